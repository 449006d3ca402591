"""From a trained auto-decoder to the tensors of a decoder pack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor

from lrmcodec.train.auto_decoder import AutoDecoder

STATISTICS_FRAMES, STATISTICS_PIXELS = 2, 512


@torch.no_grad()
def pack_tensors(trainer: AutoDecoder) -> dict[str, NDArray[np.float32]]:
    """Tensors of a pack (see `decoders.siren`), float32.

    The modulation space is turned so that the latents of the training clips are uncorrelated there, largest
    variance first. A rotation changes no pixel and keeps an orthonormal basis orthonormal; the entropy coder
    gains from it.
    """
    centered = trainer.latents - trainer.latents.mean(0)
    turn = torch.linalg.eigh(centered.T.double() @ centered.double()).eigenvectors.flip(1).float()  # (d, d)
    latent_gain, coeff_scale = _gains(trainer, turn)
    tensors = {**trainer.net.state_dict(),
               "modulation": trainer.net.modulation @ turn,
               "basis": turn.T @ trainer.basis,
               "latent_mean": trainer.latents.mean(0) @ turn,
               "latent_scale": (centered @ turn).std(0),
               "coeff_std": trainer.coeffs.square().mean((0, 1)).sqrt(),
               "latent_gain": latent_gain, "coeff_scale": coeff_scale}
    return {name: np.array(tensor.detach().numpy(), np.float32, order="C") for name, tensor in tensors.items()}


def _gains(trainer: AutoDecoder, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Root mean square change of a pixel for a unit change of each turned latent value and coefficient."""
    generator = torch.Generator().manual_seed(trainer.recipe.seed)
    frame_count = trainer.pool.shape[1]
    by_latent, by_coeff = [], []
    for clip in range(len(trainer.pool)):
        frames = torch.randint(frame_count, (STATISTICS_FRAMES,), generator=generator)
        pixels = torch.randint(len(trainer.grid), (STATISTICS_FRAMES, STATISTICS_PIXELS), generator=generator)
        modulations = trainer.latents[clip] + trainer.coeffs[clip, frames] @ trainer.basis.T
        _, jacobian = trainer.net.linearize(trainer.grid[pixels], modulations, turn)
        by_latent.append(jacobian.square().mean((0, 1)))
        by_coeff.append((jacobian @ (turn.T @ trainer.basis)).square().mean((0, 1)))
    return torch.stack(by_latent).mean(0).sqrt(), torch.stack(by_coeff).mean(0).sqrt()


def write_pack(folder: Path, card: dict[str, Any], tensors: dict[str, NDArray[np.float32]]) -> None:
    """Write a pack folder: `weights.safetensors` and `card.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
