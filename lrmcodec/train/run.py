"""A training run: pool, steps, measurements on held-out clips, checkpoints, log, and the pack at its end.

A run of one seed on a CPU gives the same pack each time; one that was interrupted goes on from its last checkpoint with
the same draws, as if it had never stopped.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrmcodec.decoders.base import Decoder, Progress, RestoredSegment
from lrmcodec.decoders.registry import make_decoder
from lrmcodec.formats.pack import Pack, load_pack
from lrmcodec.metrics import psnr_db, psnr_of_mse, ssim3d
from lrmcodec.provenance import tool_versions
from lrmcodec.train.checkpoint import append_log, load_state, save_state
from lrmcodec.train.data import Frames, held_out, training_pool
from lrmcodec.train.export import PackInMemory, write_pack
from lrmcodec.train.recipe import Recipe, RecipeError
from lrmcodec.train.start import load_start
from lrmcodec.train.trainer import Trainer, make_trainer
from lrmcodec.train.wavelet_run import WaveletRun

STATE, LOG, PACK = "state.pt", "log.csv", "pack"
CHECKPOINT_S = 60.0
REPORT_STEPS = 20


@dataclass(frozen=True)
class Outcome:
    """What a run came to: steps done, whether all are, and the pack's folder if so."""

    step_count: int
    finished: bool
    pack: Path | None
    psnr_db: float


def run(recipe: Recipe, out: Path, *, device: str = "cpu", resume: bool = False, minutes: float | None = None,
        cache: Path | None = None, progress: Progress = lambda fraction, label: None) -> Outcome:
    """Train by a recipe until its end, or for `minutes`, and write the pack.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder for checkpoint, log and pack; made if it is missing.
    device : str
        "cpu" or "cuda".
    resume : bool
        Go on from the checkpoint in `out`.
    minutes : float, optional
        Stop after so long with a checkpoint.
    cache : Path, optional
        Folder for clips made once; default `out`/clips.
    progress : callable
        Called with the fraction done and a label; may raise to interrupt, after which `resume` goes on.

    Raises
    ------
    RecipeError
        When there is a checkpoint and `resume` is false, none and it is true, or one of another recipe.
    """
    _check_folder(out, resume)
    if recipe.structure == "wavelet":
        return _run_wavelet(recipe, out, device, resume, minutes, cache, progress)
    if recipe.training.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    progress(0.0, "making the clips")
    pool = training_pool(recipe.data, cache or out / "clips", device)
    trainer = make_trainer(recipe, pool, device)
    if resume:
        _resume(trainer, load_state(out / STATE), recipe)
    elif recipe.training.start:
        load_start(trainer, recipe.training.start)
    finished = _loop(trainer, held_out(recipe.data), out, minutes, progress)
    log = _last_row(out / LOG)
    if not finished:
        return Outcome(trainer.step_count, False, None, log.get("train_psnr_db", math.nan))
    write_pack(out / PACK, make_card(trainer, log), trainer.tensors())
    return Outcome(trainer.step_count, True, out / PACK, log.get("train_psnr_db", math.nan))


def _run_wavelet(recipe: Recipe, out: Path, device: str, resume: bool, minutes: float | None, cache: Path | None,
                 progress: Progress) -> Outcome:
    """`run` for the entropy model of wavelet pictures, which learns from pages instead of frames."""
    training = WaveletRun(recipe, out, cache or out / "clips", device, progress)
    if resume:
        training.resume(out / STATE)
    elif recipe.training.start:
        training.start(recipe.training.start)
    if not training.loop(out / STATE, out / LOG, minutes):
        return Outcome(training.trainer.step_count, False, None, math.nan)
    training.write(out / PACK, _last_row(out / LOG))
    return Outcome(training.trainer.step_count, True, out / PACK, math.nan)


def make_card(trainer: Trainer, log: Mapping[str, Any]) -> dict[str, Any]:
    """Card of the pack as far as the run knows it; measured qualities and limits are added by hand."""
    recipe = trainer.recipe
    sources = {name: int((trainer.pool.groups == index).sum()) for index, name in enumerate(trainer.pool.names)}
    return {"name": recipe.name, "architecture": trainer.architecture(), "structure": recipe.structure,
            "training": f"{recipe.training.method}, {trainer.step_count} steps, clips: {sources}",
            "recipe": _plain(recipe),
            "run": {"steps": trainer.step_count, "clips": sources, "pool_sha256": trainer.pool.digest(),
                    "device": str(trainer.device), "machine": platform.machine(), "log": dict(log),
                    "versions": tool_versions(("torch", "numpy"))}}


def _check_folder(out: Path, resume: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if (out / STATE).exists() and not resume:
        raise RecipeError(f"{out} holds a run.", "Go on with --resume, or choose another folder with -o.")
    if resume and not (out / STATE).exists():
        raise RecipeError(f"{out} holds no checkpoint to resume.", "Start without --resume.")


def _resume(trainer: Trainer, state: dict[str, Any], recipe: Recipe) -> None:
    if state["recipe"] != _plain(recipe) or state["pool"] != trainer.pool.digest():
        what = "recipe" if state["recipe"] != _plain(recipe) else "set of clips"
        raise RecipeError(f"the checkpoint belongs to another {what}.", "Choose another folder with -o.")
    trainer.load(state["trainer"])


def _plain(recipe: Recipe) -> dict[str, Any]:
    """Recipe without the places of its data, which may move."""
    return replace(recipe, data=replace(recipe.data, echonet="", lung="", videos="")).to_card()


def _loop(trainer: Trainer, tests: Mapping[str, list[Frames]], out: Path, minutes: float | None,
          progress: Progress) -> bool:
    """Train to the end of the recipe or of the time; whatever ends it, a checkpoint is left."""
    training = trainer.recipe.training
    errors: list[float] = []
    begin = saved = time.monotonic()
    first = trainer.step_count
    try:
        while trainer.step_count < training.steps and (minutes is None or time.monotonic() - begin < 60 * minutes):
            errors.append(trainer.step())
            if trainer.step_count % REPORT_STEPS == 0:
                progress(trainer.step_count / training.steps, _label(trainer, first, begin, errors))
            if trainer.step_count % training.check_every == 0 or trainer.step_count == training.steps:
                _check(trainer, tests, errors, out, time.monotonic() - begin)
                errors.clear()
            if time.monotonic() - saved > CHECKPOINT_S:
                _save(trainer, out)
                saved = time.monotonic()
    finally:
        _save(trainer, out)
    return trainer.step_count >= training.steps


def _label(trainer: Trainer, first: int, begin: float, errors: list[float]) -> str:
    done, total = trainer.step_count, trainer.recipe.training.steps
    left_s = (time.monotonic() - begin) / max(done - first, 1) * (total - done)
    return f"step {done} of {total}, {_db(errors[-REPORT_STEPS:]):.1f} dB, {left_s / 60:.0f} min left"


def _db(errors: list[float]) -> float:
    return float(psnr_of_mse(sum(errors) / max(len(errors), 1)))


def _save(trainer: Trainer, out: Path) -> None:
    save_state({"trainer": trainer.state(), "recipe": _plain(trainer.recipe), "pool": trainer.pool.digest()},
               out / STATE)


def _check(trainer: Trainer, tests: Mapping[str, list[Frames]], errors: list[float], out: Path,
           seconds: float) -> None:
    """Append a row to the log: PSNR of the batches since the last row, and of held-out clips through the pack."""
    pack = PackInMemory({"name": "in training", "architecture": trainer.architecture()}, trainer.tensors())
    decoder = make_decoder(pack, trainer.device.type)
    row: dict[str, Any] = {"step": trainer.step_count, "seconds": round(seconds, 1),
                           "train_psnr_db": round(_db(errors), 3)}
    rank = max(map(int, trainer.recipe.training.ranks))
    for name, clips in tests.items():
        found = [measure(decoder, clip, rank) for clip in clips]
        row[f"{name}_psnr_db"] = round(float(np.mean([item["psnr_db"] for item in found])), 3)
        row[f"{name}_ssim3d"] = round(float(np.mean([item["ssim3d"] for item in found])), 4)
    append_log(out / LOG, row)


def measure(decoder: Decoder, frames: Frames, rank: int) -> dict[str, float]:
    """PSNR in dB, SSIM3D and seconds of fitting of one clip at one rank, nothing quantized."""
    size = (frames.shape[1], frames.shape[2])
    begin = time.monotonic()
    fitted = decoder.fit(frames, min(rank, decoder.rank_limit(len(frames), size)), 0, lambda done, label: None)
    seconds = time.monotonic() - begin
    segment = RestoredSegment(fitted.latent, None, fitted.coeffs, size)
    decoded = np.floor(255 * decoder.render(segment, fitted.coeffs) + 0.5).astype(np.uint8)
    return {"psnr_db": psnr_db(frames, decoded), "ssim3d": ssim3d(frames, decoded), "fit_seconds": seconds}


def trained_pack(out: Path) -> Pack:
    """Pack that a finished run left in its folder."""
    return load_pack(out / PACK)


def _last_row(path: Path) -> dict[str, Any]:
    """Last row of the log, numbers as numbers."""
    import csv

    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: float(value) for key, value in rows[-1].items() if value} if rows else {}
