"""Random fields and curves, seeded, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def complex_noise(shape: Sequence[int], generator: torch.Generator, device: str) -> Tensor:
    """White circular Gaussian noise (complex64) of unit power."""
    return torch.randn(tuple(shape), generator=generator, device=device, dtype=torch.complex64)


def smooth_field(side: int, sigma: float, count: int, generator: torch.Generator, device: str) -> Tensor:
    """Periodic Gaussian fields (count, side, side) complex64 of unit power, low-passed with `sigma` samples."""
    spectrum = torch.fft.fft2(complex_noise((count, side, side), generator, device))
    frequency = torch.fft.fftfreq(side, device=device) * (2 * torch.pi * sigma)
    window = torch.exp(-0.5 * frequency ** 2)
    field = torch.fft.ifft2(spectrum * window[:, None] * window)
    return field / field.abs().square().mean((1, 2), keepdim=True).sqrt()


def smooth_walk(rng: np.random.Generator, times_s: NDArray[np.float64], period_s: float) -> NDArray[np.float64]:
    """Smooth random curve (T,) of unit variance over long times, as a sum of a few waves no shorter than `period_s`."""
    rates, phases = rng.uniform(0.15, 1.0, 5) / period_s, rng.uniform(0, 2 * np.pi, 5)
    waves = np.cos(2 * np.pi * rates[:, None] * times_s + phases[:, None])
    return np.asarray(waves.sum(0) * np.sqrt(2 / 5))
