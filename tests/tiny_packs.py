"""Packs in memory with random weights, for tests of decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.decoders.amortized import CoeffEncoder
from lrmcodec.decoders.autoencoder import ConvShape
from lrmcodec.decoders.autoencoder import needed_tensors as conv_tensors
from lrmcodec.decoders.base import Components, Decoder
from lrmcodec.decoders.gated_network import GatedShape, GatedSiren
from lrmcodec.decoders.grid_network import GridShape, GridSiren
from lrmcodec.formats.errors import FormatError
from lrmcodec.train.gated_trainer import smooth_basis

GRID = GridShape(width=20, depth=4, channels=4, grid=6, latent_channels=4, max_rank=5, w0_first=12.0, w0_last=8.0)
FRAMEWISE = GridShape(width=20, depth=4, channels=4, grid=6, latent_channels=0, max_rank=9, w0_first=12.0, w0_last=8.0)
VIDEO = GridShape(width=20, depth=4, channels=5, grid=6, latent_channels=3, max_rank=5, w0_first=12.0, w0_last=8.0)
GATED = GatedShape(width=14, depth=4, gates=3, gate_grid=4, max_rank=12, w0_first=10.0, w0_last=6.0)
CONV = ConvShape(width=12, latent_size=10, max_rank=4)


@dataclass(frozen=True)
class TinyPack:
    """What a decoder needs of a pack."""

    card: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    name: str = "tiny"

    @property
    def arch_id(self) -> int:
        return int(self.card["architecture"]["id"])

    def tensors(self) -> dict[str, NDArray[Any]]:
        return dict(self.arrays)


def grid_net(shape: GridShape, seed: int = 0) -> GridSiren:
    """A network whose modulations have a strong effect."""
    net = GridSiren(shape)
    net.reset(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        net.modulation.mul_(3.0)
        net.displacement.mul_(20.0)
        net.last_weight.mul_(6.0)
    return net


def grid_pack(shape: GridShape = GRID, seed: int = 0) -> TinyPack:
    """A pack of architecture 3."""
    generator = torch.Generator().manual_seed(seed)
    d, r = shape.modulation_size, shape.max_rank
    free = d - shape.latent_size if 0 < shape.latent_channels < shape.channels else d
    basis = torch.cat([torch.zeros(d - free, r), torch.linalg.qr(torch.randn(free, r, generator=generator)).Q])
    std = np.ones(d, np.float32)
    std[shape.latent_size:] = 0
    encoder = CoeffEncoder(r, framewise=not shape.latent_channels)
    arrays = {name: np.asarray(value.numpy(), np.float16) for name, value in {
        **grid_net(shape, seed).state_dict(), "basis": basis, "mean": 0.05 * torch.randn(d, generator=generator),
        "latent_std": torch.from_numpy(std), "coeff_std": torch.ones(r),
        "latent_gain": 0.02 * torch.ones(shape.latent_channels), "coeff_scale": 0.02 * torch.ones(r),
        **{f"encoder.{key}": torch.zeros_like(value) for key, value in encoder.state_dict().items()}}.items()}
    return TinyPack({"name": "tiny", "architecture": {"id": 3, "name": "grid-siren", **shape.to_card()}}, arrays)


def gated_pack(shape: GatedShape = GATED, seed: int = 0) -> TinyPack:
    """A pack of architecture 6."""
    net = GatedSiren(shape)
    net.reset(torch.Generator().manual_seed(seed))
    tensors = {**net.state_dict(), "basis": smooth_basis(shape), "picture_std": torch.full((shape.gates + 1,), 0.1),
               "coeff_std": torch.full((shape.max_rank,), 4.0), "coeff_scale": torch.full((shape.max_rank,), 0.01)}
    return TinyPack({"name": "tiny", "architecture": {"id": 6, "name": "gated-siren", **shape.to_card()}},
                    {name: np.asarray(value.numpy(), np.float16) for name, value in tensors.items()})


def conv_pack(shape: ConvShape = CONV, seed: int = 0) -> TinyPack:
    """A pack of architecture 4."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {}
    for name, dims in conv_tensors(shape).items():
        scale = 0.05 if len(dims) < 2 else 1 / np.sqrt(np.prod(dims[1:]))
        arrays[name] = (rng.normal(size=dims) * scale).astype(np.float16)
    arrays["basis"] = np.linalg.qr(rng.normal(size=(shape.latent_size, shape.max_rank)))[0].astype(np.float16)
    arrays["latent_gain"] = np.full(shape.latent_size, 0.1, np.float16)
    arrays["coeff_scale"] = np.full(shape.max_rank, 0.1, np.float16)
    return TinyPack({"name": "tiny", "architecture": {"id": 4, "name": "autoencoder", **shape.to_card()}}, arrays)


def check_damaged(decoder: Decoder, components: Components, frame_count: int, size: tuple[int, int], rank: int) -> None:
    """Noise or cut payloads must raise FormatError or give frames of [0, 1]."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        noise = {key: rng.bytes(len(data)) for key, data in components.items()}
        cut = {key: data[:rng.integers(len(data) + 1)] for key, data in components.items()}
        for broken in (noise, cut):
            try:
                restored = decoder.restore(broken, frame_count, size, rank, 60)
            except FormatError:
                continue
            out = decoder.render(restored, restored.coeffs[:1])
            assert np.isfinite(out).all()
            assert 0 <= out.min() <= out.max() <= 1
