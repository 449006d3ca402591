"""Random fields and curves, seeded, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    unit: Tensor = field / field.abs().square().mean((1, 2), keepdim=True).sqrt()
    return unit


@dataclass(frozen=True)
class Wander:
    """Smooth random curve over time of unit variance: a sum of waves with rates in Hz and phases, each (n,)."""

    rates_hz: NDArray[np.float64]
    phases: NDArray[np.float64]

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (T,) at times in seconds."""
        waves = np.cos(2 * np.pi * self.rates_hz[:, None] * times_s + self.phases[:, None])
        return np.asarray(waves.sum(0) * np.sqrt(2 / len(self.phases)))


def draw_wander(rng: np.random.Generator, period_s: float) -> Wander:
    """Draw a curve of five waves no shorter than `period_s`."""
    return draw_waves(rng, 0.15 / period_s, 1.0 / period_s)


def draw_waves(rng: np.random.Generator, lowest_hz: float, highest_hz: float) -> Wander:
    """Draw a curve of five waves between two rates."""
    return Wander(rng.uniform(lowest_hz, highest_hz, 5), rng.uniform(0, 2 * np.pi, 5))
