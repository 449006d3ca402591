"""A training run: pool, steps, measurements on held-out clips, checkpoints, log, and the pack at its end.

A run of one seed on a CPU gives the same pack each time; one that was interrupted goes on from its last checkpoint with
the same draws, as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lrmcodec.decoders.base import Progress
from lrmcodec.formats.pack import Pack, load_pack
from lrmcodec.train import loop
from lrmcodec.train.checkpoint import last_row
from lrmcodec.train.frame_job import FrameJob
from lrmcodec.train.recipe import Recipe, RecipeError
from lrmcodec.train.refine_job import RefineJob
from lrmcodec.train.wavelet_job import WaveletJob

STATE, LOG, PACK = "state.pt", "log.csv", "pack"


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
    job = make_job(recipe, cache or out / "clips", device, progress)
    if resume:
        loop.resume(job, out / STATE)
    elif recipe.training.start:
        job.start(recipe.training.start)
    finished = loop.train(job, out / STATE, out / LOG, minutes, progress)
    log = last_row(out / LOG)
    if finished:
        job.write(out / PACK, log)
    return Outcome(job.trainer.step_count, finished, out / PACK if finished else None,
                   log.get("train_psnr_db", math.nan))


def make_job(recipe: Recipe, cache: Path, device: str, progress: Progress) -> loop.Job:
    """What the recipe's structure learns from, and how."""
    kinds: dict[str, Callable[[Recipe, Path, str, Progress], loop.Job]] = {
        "wavelet": WaveletJob, "refined": RefineJob}
    return kinds.get(recipe.structure, FrameJob)(recipe, cache, device, progress)


def _check_folder(out: Path, resume: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if (out / STATE).exists() and not resume:
        raise RecipeError(f"{out} holds a run.", "Go on with --resume, or choose another folder with -o.")
    if resume and not (out / STATE).exists():
        raise RecipeError(f"{out} holds no checkpoint to resume.", "Start without --resume.")


def trained_pack(out: Path) -> Pack:
    """Pack that a finished run left in its folder."""
    return load_pack(out / PACK)
