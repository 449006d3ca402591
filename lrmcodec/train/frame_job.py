"""Training on frames of clips: low-rank, video and framewise networks and the autoencoder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrmcodec.decoders.base import Decoder, Progress, RestoredSegment
from lrmcodec.decoders.registry import make_decoder
from lrmcodec.metrics import psnr_db, psnr_of_mse, ssim3d
from lrmcodec.train.data import Frames, held_out, training_pool
from lrmcodec.train.export import PackInMemory, write_pack
from lrmcodec.train.loop import card_of_run
from lrmcodec.train.recipe import Recipe
from lrmcodec.train.start import load_start
from lrmcodec.train.trainer import Trainer, make_trainer


class FrameJob:
    """A `loop.Job`: the trainer of a recipe's structure, its pool of clips, and clips that it never sees."""

    def __init__(self, recipe: Recipe, cache: Path, device: str, progress: Progress) -> None:
        if recipe.training.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        progress(0.0, "making the clips")
        self.recipe = recipe
        self.trainer: Trainer = make_trainer(recipe, training_pool(recipe.data, cache, device), device)
        self._tests = held_out(recipe.data)

    def clips(self) -> dict[str, str]:
        """Digest of the pool."""
        return {"pool": self.trainer.pool.digest()}

    def start(self, pack: str) -> None:
        """Take the network of a pack over; RecipeError when it does not fit."""
        load_start(self.trainer, pack)

    def words(self, errors: list[float]) -> str:
        """PSNR of the batches of the last steps."""
        return f"{_db(errors):.1f} dB"

    def row(self, errors: list[float]) -> dict[str, float]:
        """PSNR of the batches since the last row, and of held-out clips through the pack."""
        trainer = self.trainer
        pack = PackInMemory({"name": "in training", "architecture": trainer.architecture()}, trainer.tensors())
        decoder = make_decoder(pack, trainer.device.type)
        row = {"train_psnr_db": round(_db(errors), 3)}
        rank = max(map(int, self.recipe.training.ranks))
        for name, clips in self._tests.items():
            found = [measure(decoder, clip, rank) for clip in clips]
            row[f"{name}_psnr_db"] = round(float(np.mean([item["psnr_db"] for item in found])), 3)
            row[f"{name}_ssim3d"] = round(float(np.mean([item["ssim3d"] for item in found])), 4)
        return row

    def write(self, folder: Path, log: Mapping[str, Any]) -> None:
        """Write the pack; measured qualities and limits are added to its card by hand."""
        recipe, trainer = self.recipe, self.trainer
        sources = {name: int((trainer.pool.groups == index).sum()) for index, name in enumerate(trainer.pool.names)}
        card = {"name": recipe.name, "architecture": trainer.architecture(), "structure": recipe.structure,
                "training": f"{recipe.training.method}, {trainer.step_count} steps, clips: {sources}",
                "recipe": recipe.portable(),
                "run": {"clips": sources, "pool_sha256": trainer.pool.digest(),
                        **card_of_run(trainer, str(trainer.device), log)}}
        write_pack(folder, card, trainer.tensors())


def _db(errors: list[float]) -> float:
    return float(psnr_of_mse(sum(errors) / max(len(errors), 1)))


def measure(decoder: Decoder, frames: Frames, rank: int) -> dict[str, float]:
    """PSNR in dB, SSIM3D and seconds of fitting of one clip at one rank, nothing quantized."""
    size = (frames.shape[1], frames.shape[2])
    begin = time.monotonic()
    fitted = decoder.fit(frames, min(rank, decoder.rank_limit(len(frames), size)), 0, lambda done, label: None)
    seconds = time.monotonic() - begin
    segment = RestoredSegment(fitted.latent, None, fitted.coeffs, size)
    decoded = np.floor(255 * decoder.render(segment, fitted.coeffs) + 0.5).astype(np.uint8)
    return {"psnr_db": psnr_db(frames, decoded), "ssim3d": ssim3d(frames, decoded), "fit_seconds": seconds}
