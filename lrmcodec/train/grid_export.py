"""From a trained `GridSiren` to the tensors of its pack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lrmcodec.decoders.grid_fit import coeff_jacobian
from lrmcodec.decoders.grid_network import GridSiren, node_weights
from lrmcodec.train.export import Arrays, to_half
from lrmcodec.train.grid_modules import Modules

LEAST_STD = 1e-3


@dataclass(frozen=True)
class Probe:
    """Pixels of a frame at which gains are measured: its clip's number, coordinates (1, p, 2), coefficients (1, r)."""

    clip: int
    coords: Tensor
    coeffs: Tensor


@torch.no_grad()
def grid_tensors(modules: Modules, latents: Tensor, coeff_std: Tensor, probes: Iterable[Probe]) -> Arrays:
    """Tensors of a pack (see `decoders.grid_siren`), float16.

    Latents (n, d) are those of the training clips, without the mean of framewise codes. The channels of v are turned so
    that they are uncorrelated over the training clips, largest variance first, which changes no pixel and helps the
    entropy coder.
    """
    shape = modules.net.shape
    latents = latents + modules.mean
    turn = _channel_turn(latents, shape.latent_channels, shape.channels)
    turned = _turned_net(modules.net, turn)
    latents, basis = _turn_values(latents, turn), _turn_values(modules.basis.T, turn).T
    std = latents.std(0, correction=min(1, len(latents) - 1)).clamp_min(LEAST_STD)
    std[shape.latent_size:] = 0.0
    gains = _gains(turned, latents, basis, probes)
    tensors = {**turned.state_dict(), "basis": basis, "mean": latents.mean(0), "latent_std": std,
               "coeff_std": coeff_std.clamp_min(LEAST_STD), "latent_gain": gains[0], "coeff_scale": gains[1],
               **{f"encoder.{key}": value for key, value in modules.encoder.state_dict().items()}}
    return {name: to_half(tensor) for name, tensor in tensors.items()}


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


def _gains(net: GridSiren, latents: Tensor, basis: Tensor, probes: Iterable[Probe]) -> tuple[Tensor, Tensor]:
    """How much pixels change for a unit of each latent channel's values and of each coefficient; see `grid_siren`."""
    by_latent, by_coeff = [], []
    for probe in probes:
        linear = net.linearize(probe.coords, latents[probe.clip] + probe.coeffs @ basis.T)
        weights = node_weights(linear.sources, net.shape.grid).square().sum(2, keepdim=True)
        # Mean over pixels of what all nodes do, shared by the nodes.
        squares = ((linear.at_pixel + linear.at_source).square() * weights).mean((0, 1)) / net.shape.node_count
        by_latent.append(squares)
        by_coeff.append(coeff_jacobian(net, linear, basis).square().mean((0, 2)))
    latent_gain = torch.stack(by_latent).mean(0).sqrt()[:net.shape.latent_channels]
    return latent_gain, torch.stack(by_coeff).mean(0).sqrt()
