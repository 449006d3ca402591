"""From a trained `GridTrainer` to a decoder pack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from lrmcodec.decoders.grid_fit import coeff_jacobian
from lrmcodec.decoders.grid_network import GridSiren, node_weights
from lrmcodec.decoders.ids import Architecture
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.pack import CARD, WEIGHTS
from lrmcodec.train.grid_trainer import GridTrainer

STATISTICS_CLIPS, STATISTICS_PIXELS = 96, 1024
LEAST_STD = 1e-3

Arrays = dict[str, NDArray[Any]]


@torch.no_grad()
def pack_tensors(trainer: GridTrainer) -> Arrays:
    """Tensors of a pack (see `decoders.grid_siren`), float16.

    The channels of v are turned so that they are uncorrelated over the training clips, largest variance first, which
    changes no pixel and helps the entropy coder.
    """
    modules, shape = trainer.modules, trainer.shape
    latents = trainer.latents.table + modules.mean
    turn = _channel_turn(latents, shape.latent_channels, shape.channels)
    turned = _turned_net(modules.net, turn)
    latents, basis = _turn_values(latents, turn), _turn_values(modules.basis.T, turn).T
    std = latents.std(0, correction=min(1, len(latents) - 1)).clamp_min(LEAST_STD)
    std[shape.latent_size:] = 0.0
    coeff_std = trainer.coeff_std().clamp_min(LEAST_STD)
    gains = _gains(trainer, turned, latents, basis)
    tensors = {**turned.state_dict(), "basis": basis, "mean": latents.mean(0), "latent_std": std,
               "coeff_std": coeff_std, "latent_gain": gains[0], "coeff_scale": gains[1],
               **{f"encoder.{key}": value for key, value in modules.encoder.state_dict().items()}}
    return {name: to_half(tensor) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class PackInMemory:
    """A pack that is not on disk, for `decoders.registry.make_decoder`."""

    card: Mapping[str, Any]
    arrays: Arrays

    @property
    def name(self) -> str:
        """As in the card."""
        return str(self.card["name"])

    @property
    def arch_id(self) -> int:
        """Id of the architecture."""
        return int(self.card["architecture"]["id"])

    def tensors(self) -> Arrays:
        """Weights by name."""
        return dict(self.arrays)


def card_architecture(kind: Architecture, shape: Mapping[str, Any]) -> dict[str, Any]:
    """The card's `architecture` object, which the pack's digest covers."""
    return {"id": int(kind), "name": kind.label, **shape}


def to_half(tensor: Tensor) -> NDArray[np.float16]:
    """Array as float16, in C order: half the bytes, and far finer than training fixes a weight."""
    return np.array(tensor.detach().cpu().numpy(), np.float16, order="C")


def _channel_turn(latents: Tensor, latent_channels: int, channels: int) -> Tensor:
    """Orthogonal (C, C) whose first rows are the principal directions of v's channels; others are left alone."""
    turn = torch.eye(channels, dtype=torch.float64)
    if latent_channels:
        planes = (latents - latents.mean(0)).view(len(latents), channels, -1)[:, :latent_channels]
        flat = planes.transpose(0, 1).reshape(latent_channels, -1).double().cpu()
        vectors = torch.linalg.eigh(flat @ flat.T).eigenvectors.flip(1)
        turn[:latent_channels, :latent_channels] = (vectors * torch.sign(vectors.sum(0) + 1e-12)).T
    return turn.float().to(latents.device)


def _turn_values(values: Tensor, turn: Tensor) -> Tensor:
    """Modulation vectors (n, d) in turned channels."""
    return torch.einsum("ij,njk->nik", turn, values.view(len(values), len(turn), -1)).flatten(1)


def _turned_net(net: GridSiren, turn: Tensor) -> GridSiren:
    """The same network for turned channels."""
    turned = GridSiren(net.shape).to(turn.device)
    turned.load_state_dict(net.state_dict())
    turned.modulation.copy_(net.modulation @ turn.T)
    turned.displacement.copy_(net.displacement @ turn.T)
    return turned


def _gains(trainer: GridTrainer, net: GridSiren, latents: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """How much pixels change for a unit of each latent channel's values and of each coefficient; see `grid_siren`."""
    generator = torch.Generator().manual_seed(trainer.recipe.training.seed)
    chosen = torch.linspace(0, len(latents) - 1, min(len(latents), STATISTICS_CLIPS)).long()
    by_latent, by_coeff = [], []
    for clip in chosen.tolist():
        frame = torch.randint(trainer.frames.shape[1], (1,), generator=generator).to(trainer.device)
        pixels = torch.randint(len(trainer.grid), (STATISTICS_PIXELS,), generator=generator).to(trainer.device)
        coeffs = trainer.guess(torch.tensor([clip], device=trainer.device), frame[None])
        linear = net.linearize(trainer.grid[pixels][None], latents[clip] + coeffs @ basis.T)
        weights = node_weights(linear.sources, net.shape.grid).square().sum(2, keepdim=True)
        # Mean over pixels of what all nodes do, shared by the nodes.
        squares = ((linear.at_pixel + linear.at_source).square() * weights).mean((0, 1)) / net.shape.node_count
        by_latent.append(squares)
        by_coeff.append(coeff_jacobian(net, linear, basis).square().mean((0, 2)))
    latent_gain = torch.stack(by_latent).mean(0).sqrt()[:net.shape.latent_channels]
    return latent_gain, torch.stack(by_coeff).mean(0).sqrt()


def write_pack(folder: Path, card: dict[str, Any], tensors: Arrays) -> None:
    """Write a pack folder: weights first, then the card that makes it a pack, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / WEIGHTS, save(tensors), force=True)
    write_atomic(folder / CARD, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode(), force=True)
