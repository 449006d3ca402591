"""Train the decoder pack `lrm-ortho`: ``python -m lrmcodec.train.lrm_ortho --lung DIR --minutes N --out DIR``.

Writes `state.pt` (to resume) and `log.csv` into the output folder every few minutes, and at the end a pack into
its `pack` folder, whose card is to be completed by hand with what `lrmcodec.train.measure` finds. Interrupt it at
any time; `--resume` goes on where the last checkpoint stood.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrmcodec.decoders.siren import SirenShape
from lrmcodec.train.auto_decoder import AutoDecoder, Recipe
from lrmcodec.train.checkpoint import append_log, load_state, save_state
from lrmcodec.train.data import Frames, lung_clips, lung_files, phantom_clip
from lrmcodec.train.export import pack_tensors, write_pack

SIZE = (112, 112)
FRAME_COUNT = 32
SHAPE = SirenShape(width=128, depth=5, latent_size=256, max_rank=32, w0_first=16.0, w0_last=24.0)
RECIPE = Recipe()
REFRESH_EVERY = 25
"""Steps after which the oldest phantom of the pool is replaced by a new one."""


def build_pool(lung: Path | None, phantom_count: int) -> list[Frames]:
    """Phantoms first, then pieces of the lung clips of the training patients."""
    clips = [phantom_clip(seed, SIZE, FRAME_COUNT) for seed in range(phantom_count)]
    return clips + (lung_clips(lung_files(lung), SIZE, FRAME_COUNT) if lung else [])


def train(trainer: AutoDecoder, phantom_count: int, minutes: float, out: Path,
          checkpoint_s: float = 180.0) -> None:
    """Run `trainer` until it has trained for `minutes` in all, its earlier runs counted."""
    errors: list[float] = []
    begin = last = time.monotonic()
    before = trainer.trained_s
    while trainer.trained_s < 60.0 * minutes:
        errors.append(trainer.step(trainer.trained_s / (60.0 * minutes)))
        if phantom_count and trainer.step_count % REFRESH_EVERY == 0:
            seed = phantom_count + trainer.step_count // REFRESH_EVERY
            trainer.replace_clip(seed % phantom_count, phantom_clip(seed, SIZE, FRAME_COUNT))
        now = time.monotonic()
        trainer.trained_s = before + now - begin
        if now - last > checkpoint_s:
            last = now
            log(trainer, errors, out)
            save_state(trainer.state(), out / "state.pt")
    log(trainer, errors, out)
    save_state(trainer.state(), out / "state.pt")


def log(trainer: AutoDecoder, errors: list[float], out: Path) -> None:
    """Append one row: steps, seconds, PSNR of the mean error since the last row; and forget the errors."""
    psnr_db = -10.0 * math.log10(sum(errors) / max(len(errors), 1) + 1e-12)
    append_log(out / "log.csv", {"step": trainer.step_count, "seconds": round(trainer.trained_s, 1),
                                 "batch_psnr_db": round(psnr_db, 3),
                                 "latent_rms": round(float(trainer.latents.square().mean().sqrt()), 4),
                                 "coeff_rms": round(float(trainer.coeffs.square().mean().sqrt()), 4)})
    errors.clear()


def card(trainer: AutoDecoder) -> dict[str, Any]:
    """Card of the pack as far as the training run knows it."""
    return {"name": "lrm-ortho",
            "architecture": {"id": 1, "name": "siren", **trainer.shape.to_card()},
            "training": {"method": "auto-decoder, Gauss-Newton latents", "recipe": asdict(trainer.recipe),
                         "steps": trainer.step_count, "minutes": round(trainer.trained_s / 60, 1),
                         "versions": {"torch": str(torch.__version__), "numpy": np.__version__}}}


def main(arguments: list[str] | None = None) -> None:
    """Parse arguments, train, write the pack's weights."""
    parser = argparse.ArgumentParser(prog="python -m lrmcodec.train.lrm_ortho", description=__doc__)
    parser.add_argument("--lung", type=Path, help="folder of lung clips with ATTRIBUTION.csv")
    parser.add_argument("--minutes", type=float, default=60.0, help="training time, earlier runs counted")
    parser.add_argument("--out", type=Path, required=True, help="folder for state, log and weights")
    parser.add_argument("--phantoms", type=int, default=240, help="simulated clips in the pool")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = AutoDecoder(SHAPE, build_pool(options.lung, options.phantoms), RECIPE)
    if options.resume:
        trainer.load(load_state(options.out / "state.pt"))
    train(trainer, options.phantoms, options.minutes, options.out)
    write_pack(options.out / "pack", card(trainer), pack_tensors(trainer))


if __name__ == "__main__":
    main()
