"""Training of the entropy model of wavelet pictures, which learns from pages instead of frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
from lrmcodec.train.export import Arrays, write_pack
from lrmcodec.train.loop import CLIPS_SHARE, card_of_run
from lrmcodec.train.pages import LEVEL_UNIT, digest, draw_page, held_out_pages, page_files
from lrmcodec.train.recipe import Recipe, RecipeError
from lrmcodec.train.wavelet_tables import chance_table, fit_offsets
from lrmcodec.train.wavelet_trainer import WaveletTrainer, quantize

TEST_PICTURES, TEST_WEIGHT = 9, 0.12
TEST_Q = (60.0, 100.0, 145.0, 190.0)
OFFSET_PAGES, OFFSET_PICTURES, OFFSET_ROUNDS = 10, 9, 2
OFFSET_Q = (60, 200)
OFFSET_SEED = 5


class WaveletJob:
    """A `loop.Job`: the trainer of the entropy model, and pages that it is tested on."""

    def __init__(self, recipe: Recipe, cache: Path, device: str, progress: Progress) -> None:
        self.recipe = recipe
        files = page_files(recipe.data, cache, lambda done: progress(CLIPS_SHARE * done, "making the pages"))
        self._tests = held_out_pages(recipe.data, cache)
        self._digest = digest(path for paths in files.values() for path in paths)
        self.trainer = WaveletTrainer(recipe, files, device)

    def clips(self) -> dict[str, str]:
        """Digest of the pages."""
        return {"pages": self._digest}

    def start(self, pack: str) -> None:
        """Take the networks of a pack over; RecipeError when it is of another kind."""
        found = find_pack(pack)
        card, network = found.card["architecture"], self.recipe.network
        if found.arch_id != Architecture.WAVELET or (card["channels"], card["hidden"]) != (
                network.channels, network.width):
            raise RecipeError(f"pack '{pack}' is of another architecture or size than the recipe.", "Change 'start'.")
        self.trainer.take(found.tensors())

    def words(self, errors: list[float]) -> str:
        """Bits a coefficient of the last steps."""
        return f"{np.mean(errors):.3f} bits a coefficient"

    def row(self, errors: list[float]) -> dict[str, float]:
        """Bits a coefficient since the last row, bytes of held-out pages."""
        return {"train_bits": round(float(np.mean(errors)), 5), **self._test_bytes()}

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
                "training": f"{trainer.step_count} steps, pages: {sources}", "recipe": self.recipe.portable(),
                "run": {"pages": sources, "pages_sha256": self._digest,
                        **card_of_run(trainer, str(trainer.device), log)}}
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
