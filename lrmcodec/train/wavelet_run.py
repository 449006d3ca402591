"""A training run of the entropy model of wavelet pictures; `run` calls it for recipes of structure "wavelet"."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.decoders.base import Progress
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.registry import find_pack
from lrmcodec.decoders.wavelet import BIT_WEIGHT
from lrmcodec.decoders.wavelet_coder import BINS, PictureModel
from lrmcodec.provenance import tool_versions
from lrmcodec.train.checkpoint import append_log, load_state, save_state
from lrmcodec.train.export import Arrays, write_pack
from lrmcodec.train.pages import LEVEL_UNIT, digest, draw_page, held_out_pages, page_files
from lrmcodec.train.recipe import Recipe, RecipeError
from lrmcodec.train.wavelet_tables import chance_table, fit_offsets
from lrmcodec.train.wavelet_trainer import WaveletTrainer, quantize

TEST_PICTURES, TEST_WEIGHT = 9, 0.12
TEST_Q = (60.0, 100.0, 145.0, 190.0)
OFFSET_PAGES, OFFSET_PICTURES, OFFSET_ROUNDS = 10, 9, 2
OFFSET_Q = (60, 200)
OFFSET_SEED = 5
CHECKPOINT_S = 60.0
REPORT_STEPS = 20
PAGES_SHARE = 0.02  # of the progress shown


class WaveletRun:
    """Trainer, its folder and the pages that it is tested on.

    Parameters
    ----------
    recipe : Recipe
    out : Path
    cache : Path
        Folder of pages made once.
    device : str
    progress : callable
    """

    def __init__(self, recipe: Recipe, out: Path, cache: Path, device: str, progress: Progress) -> None:
        self.recipe, self.out, self._progress = recipe, out, progress
        files = page_files(recipe.data, cache, lambda done: progress(PAGES_SHARE * done, "making the pages"))
        self._tests = held_out_pages(recipe.data, cache)
        self._digest = digest(path for paths in files.values() for path in paths)
        self.trainer = WaveletTrainer(recipe, files, device)

    def start(self, pack: str) -> None:
        """Take the networks of a pack over; RecipeError when it is of another kind."""
        found = find_pack(pack)
        card, network = found.card["architecture"], self.recipe.network
        if found.arch_id != Architecture.WAVELET or (card["channels"], card["hidden"]) != (
                network.channels, network.width):
            raise RecipeError(f"pack '{pack}' is of another architecture or size than the recipe.", "Change 'start'.")
        self.trainer.take(found.tensors())

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; RecipeError when it is another recipe's."""
        state = load_state(path)
        if state["recipe"] != plain(self.recipe) or state["pages"] != self._digest:
            what = "recipe" if state["recipe"] != plain(self.recipe) else "set of clips"
            raise RecipeError(f"the checkpoint belongs to another {what}.", "Choose another folder with -o.")
        self.trainer.load(state["trainer"])

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        save_state({"trainer": self.trainer.state(), "recipe": plain(self.recipe), "pages": self._digest}, path)

    def loop(self, state: Path, log: Path, minutes: float | None) -> bool:
        """Train to the end of the recipe or of the time; whatever ends it, a checkpoint is left."""
        trainer, training = self.trainer, self.recipe.training
        bits: list[float] = []
        begin = saved = time.monotonic()
        first = trainer.step_count
        try:
            while trainer.step_count < training.steps and (minutes is None or time.monotonic() - begin < 60 * minutes):
                bits.append(trainer.step())
                if trainer.step_count % REPORT_STEPS == 0:
                    self._tell(first, begin, bits)
                if trainer.step_count % training.check_every == 0 or trainer.step_count == training.steps:
                    append_log(log, {"step": trainer.step_count, "seconds": round(time.monotonic() - begin, 1),
                                     "train_bits": round(float(np.mean(bits)), 5), **self._test_bytes()})
                    bits.clear()
                if time.monotonic() - saved > CHECKPOINT_S:
                    self.save(state)
                    saved = time.monotonic()
        finally:
            self.save(state)
        return trainer.step_count >= training.steps

    def _tell(self, first: int, begin: float, bits: list[float]) -> None:
        done, total = self.trainer.step_count, self.recipe.training.steps
        left_s = (time.monotonic() - begin) / max(done - first, 1) * (total - done)
        self._progress(PAGES_SHARE + (1 - PAGES_SHARE) * done / total,
                       f"step {done} of {total}, {np.mean(bits[-REPORT_STEPS:]):.3f} bits a coefficient, "
                       f"{left_s / 60:.0f} min left")

    @torch.no_grad()
    def _test_bytes(self) -> dict[str, float]:
        """Bytes of a held-out page of each source, a geometric mean over TEST_Q."""
        found = {}
        for name, paths in self._tests.items():
            logs = []
            for path in paths:
                page = np.load(path)[:TEST_PICTURES].astype(np.float32) / LEVEL_UNIT
                for q in TEST_Q:
                    levels = quantize(page, q, TEST_WEIGHT)
                    bits = sum(float(self.trainer.bits(levels, part, q, None).sum())
                               for part in ([0], list(range(1, len(page)))))
                    logs.append(math.log(bits / 8 + 1))
            found[f"{name}_bytes"] = round(math.exp(np.mean(logs)), 1)
        return found

    def write(self, folder: Path, log: Mapping[str, Any]) -> None:
        """Write the pack as it stands now."""
        network, trainer = self.recipe.network, self.trainer
        sources = {name: len(paths) for name, paths in trainer.files.items()}
        card = {"name": self.recipe.name,
                "architecture": {"id": int(Architecture.WAVELET), "name": Architecture.WAVELET.label,
                                 "channels": network.channels, "hidden": network.width},
                "training": f"{trainer.step_count} steps, pages: {sources}", "recipe": plain(self.recipe),
                "run": {"steps": trainer.step_count, "pages": sources, "pages_sha256": self._digest,
                        "device": str(trainer.device), "machine": platform.machine(), "log": dict(log),
                        "versions": tool_versions(("torch", "numpy"))}}
        write_pack(folder, card, with_tables(trainer.tensors(), trainer.files))


def with_tables(weights: Mapping[str, NDArray[np.int16]], files: dict[str, list[Path]]) -> Arrays:
    """Tensors of a pack: the networks' weights, and tables fitted to pages that are drawn from `files`."""
    rng = np.random.default_rng(OFFSET_SEED)
    pages = [(draw_page(files, rng)[:OFFSET_PICTURES].astype(np.float64) / 255, float(rng.integers(*OFFSET_Q)))
             for _ in range(OFFSET_PAGES)]
    tensors: Arrays = {**weights, "chances": chance_table(), "offsets": np.zeros((3, BINS), np.float32)}
    for _ in range(OFFSET_ROUNDS):
        tensors["offsets"] = fit_offsets(PictureModel.from_tensors(tensors), pages, BIT_WEIGHT)
    return tensors


def plain(recipe: Recipe) -> dict[str, Any]:
    """Recipe without the places of its data, which may move."""
    return replace(recipe, data=replace(recipe.data, echonet="", lung="", videos="")).to_card()
