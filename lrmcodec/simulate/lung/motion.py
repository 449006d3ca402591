"""How the lung and the chest wall move under the probe: breathing, heartbeat, the hand, and what flickers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec.simulate.noise import draw_wander

RATE_HZ = 50.0
"""Samples a second of the stored curves."""

FLICKERS = 6
"""Independent flicker curves, one for each B-line there can be."""


@dataclass(frozen=True)
class Breathing:
    """How a patient breathes, and how far things move by it.

    Attributes
    ----------
    per_minute : float
    depth : float
        1 for full breaths; small when the breath is held.
    slide_cm : float
        Way of the lung along the chest wall between end expiration and end inspiration.
    wall_cm : float
        Way of ribs and chest wall across the probe in the same time.
    rise : float
        Fraction by which the pleura comes nearer to the probe.
    beat_cm : float
        Amplitude of the slide by the heartbeat.
    hand_cm : float
        Standard deviation of the slow wander of the probe.
    renewal_hz : float
        How often the texture below the pleura is exchanged for another, as structures leave the plane.
    flicker_s : float
        Shortest period of the flicker of B-lines.
    """

    per_minute: float
    depth: float
    slide_cm: float
    wall_cm: float
    rise: float
    beat_cm: float
    hand_cm: float
    renewal_hz: float
    flicker_s: float


@dataclass(frozen=True)
class Motion:
    """Curves (C, K) at `RATE_HZ`: breath in [0, 1], slide in cm, wall in cm, scale of depth, turns, then flickers."""

    curves: Tensor

    def at(self, times_s: Tensor) -> Tensor:
        """Curves (C, N) at times (N,) in seconds, by linear interpolation; the ends are continued."""
        place = (times_s * RATE_HZ).clamp(0, self.curves.shape[1] - 1.001)
        left = place.floor().long()
        return torch.lerp(self.curves[:, left], self.curves[:, left + 1], place - left)

    def reach(self) -> tuple[float, float]:
        """Largest distance in cm of the lung, and of the wall, from where they are drawn."""
        return float((self.curves[1] + self.curves[2]).abs().max()), float(self.curves[2].abs().max())


def draw_motion(rng: np.random.Generator, breathing: Breathing, duration_s: float, device: str) -> Motion:
    """Draw the curves for a clip of `duration_s`."""
    times = np.arange(0, duration_s + 3 / RATE_HZ, 1 / RATE_HZ)
    breath = _breaths(rng, 60 / breathing.per_minute, times) * breathing.depth
    beat = np.sin(2 * np.pi * (rng.uniform(1.0, 1.6) * times + 0.04 * draw_wander(rng, 2.0).at(times)))
    hand = breathing.hand_cm * draw_wander(rng, 3.0).at(times)
    middle = breath - 0.5 * breathing.depth
    slide = breathing.slide_cm * middle + breathing.beat_cm * (beat + 0.3 * beat ** 3)
    wall = breathing.wall_cm * middle + hand - hand.mean()
    scale = 1 - breathing.rise * middle + 0.004 * draw_wander(rng, 3.0).at(times)
    turns = breathing.renewal_hz * times * (1 + 0.2 * draw_wander(rng, 4.0).at(times)).clip(0.3)
    flickers = [_flicker(rng, times, breathing.flicker_s) for _ in range(FLICKERS)]
    curves = np.stack([breath, slide, wall, scale, 2 * np.pi * turns, *flickers])
    return Motion(torch.as_tensor(curves, dtype=torch.float32, device=device))


def _breaths(rng: np.random.Generator, period_s: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lung volume above end expiration, about 0 to 1: in, out, and a rest, each breath a little different."""
    volume = np.zeros_like(times)
    start = -rng.uniform(0, period_s)
    while start < times[-1]:
        length = period_s * rng.uniform(0.8, 1.25)
        inspiration, rest = length * rng.uniform(0.32, 0.42), length * rng.uniform(0.05, 0.3)
        since = times - start
        up = 0.5 - 0.5 * np.cos(np.pi * (since / inspiration).clip(0, 1))
        down = 0.5 + 0.5 * np.cos(np.pi * ((since - inspiration) / (length - inspiration - rest)).clip(0, 1))
        inside = (since >= 0) & (since < length)
        volume[inside] = rng.uniform(0.75, 1.1) * (up * down)[inside]
        start += length
    return volume


def _flicker(rng: np.random.Generator, times: NDArray[np.float64], period_s: float) -> NDArray[np.float64]:
    """Level of one B-line over time, 0.45 to 1."""
    return np.asarray(0.725 + 0.275 * np.tanh(1.5 * draw_wander(rng, period_s).at(times)))
