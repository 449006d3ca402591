"""Painted tissue of a chest: the wall from skin to pleura, the echoes below the pleura, a consolidated lobe.

Pictures are painted once a clip in the tissue's own coordinates (cm) and looked up at displaced places, so that
speckle, fascia and streaks are carried along. They repeat after the patient's span, twice what is in view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lrmcodec.simulate.noise import complex_noise

ROWS = 800
COLUMNS = 400
"""Painted samples over one span in depth and across."""

GRAIN = 0.75
"""Standard deviation, in samples, of the smoothing that makes painted speckle fit to be looked up between samples."""

LINE_SAMPLES = 512
"""Samples of curves along the pleura over one span."""

WALL_DEPTH = 1.5
"""Depth to which the wall is painted, in depths of the pleura; below the pleura only its roughness shows it."""


@dataclass(frozen=True)
class Rib:
    """A rib cut across: middle and half width in cm along the wall, height of its top above the pleura in cm.

    `surface_db` is the level of its surface, `shadow_db` (negative) what passes through it, reached `onset_cm` below.
    """

    at_cm: float
    half_width_cm: float
    above_cm: float
    surface_db: float
    shadow_db: float
    onset_cm: float


@dataclass(frozen=True)
class Wall:
    """A chest wall: depth of the pleura, what lies above it.

    Attributes
    ----------
    span_cm : float
        Width after which everything painted repeats.
    pleura_cm, tilt, bend : float
        Depth of the pleura below the face at x = 0; its slope; and its curvature, positive when it bulges to the probe.
    fat : float
        Share of fat in the wall's thickness.
    fat_db, muscle_db, face_db : float
        Levels of fat and muscle; and what is added at the face, where the probe hardly touches.
    streak_db : float
        Standard deviation in dB of fibers and septa.
    fasciae : int
        Number of bright lines.
    fascia_db : float
        Level of the brightest of them.
    evenness : float
        Smooth (in phase) part of the echo relative to speckle, as scanners that compound and filter leave it.
    ribs : tuple of Rib
    """

    span_cm: float
    pleura_cm: float
    tilt: float
    bend: float
    fat: float
    fat_db: float
    muscle_db: float
    face_db: float
    streak_db: float
    fasciae: int
    fascia_db: float
    evenness: float
    ribs: tuple[Rib, ...]


def look_up(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Values (C, N, D, L) of a picture (C, rows + 1, columns + 1) at x and y (N, D, L), in widths and depths of it.

    The picture repeats across; its last column is its first. Depths outside 0 to 1 are continued.
    """
    grid = torch.stack([torch.remainder(x, 1) * 2 - 1, y * 2 - 1], -1)
    found = grid_sample(picture[None], grid.flatten(0, 1)[None], padding_mode="border", align_corners=True)
    return found[0].reshape(len(picture), *x.shape)


def around(distance_cm: Tensor, span_cm: float) -> Tensor:
    """Distances brought to within half a span."""
    return torch.remainder(distance_cm + 0.5 * span_cm, span_cm) - 0.5 * span_cm


def paint_wall(wall: Wall, rng: np.random.Generator, generator: torch.Generator, device: str) -> Tensor:
    """Paint the wall, (3, rows + 1, COLUMNS + 1): complex speckle and smooth surfaces down to `WALL_DEPTH`."""
    bottom = WALL_DEPTH * wall.pleura_cm
    rows = math.ceil(bottom / wall.span_cm * ROWS)
    depth = torch.linspace(0, bottom, rows, device=device)[:, None]
    across = torch.arange(COLUMNS, device=device) * (wall.span_cm / COLUMNS)
    border = wall.fat * wall.pleura_cm * (1 + 0.12 * random_curve(8, rng, device, COLUMNS))
    muscle = torch.sigmoid((depth - border) / 0.06)
    level = wall.fat_db + (wall.muscle_db - wall.fat_db) * muscle
    level = level + wall.face_db * torch.exp(-(depth / (0.15 * wall.pleura_cm)) ** 2)
    streaks = streak_field((rows, COLUMNS), (1.0, 10.0), generator, device).real
    septa = streak_field((rows, COLUMNS), (2.0, 20.0), generator, device).real
    level = level + wall.streak_db * (0.8 * streaks + 1.2 * septa.clamp_min(-0.8))
    lines = torch.zeros_like(level)
    for index in range(wall.fasciae):
        lines = lines + _fascia(wall, index, depth, rng, device)
    amplitude, lines = _bones(wall, depth, across, 10 ** (level / 20) + 0.2 * lines, lines)
    rough, smooth = shares(wall.evenness)
    speckle = rough * streak_field((rows, COLUMNS), (GRAIN, GRAIN), generator, device) * amplitude
    return _wrap(torch.stack([speckle.real, speckle.imag, lines + smooth * amplitude]))


def paint_air(streak_db: float, generator: torch.Generator, device: str) -> Tensor:
    """Paint what is seen below aerated lung, half a span deep (4, ROWS / 2 + 1, COLUMNS + 1).

    Channels: complex speckle of unit power, and two independent pictures of streaks with mean 1.
    """
    shape = (ROWS // 2, COLUMNS)
    speckle = streak_field(shape, (GRAIN, GRAIN), generator, device)
    fine, coarse = (streak_field(shape, sigma, generator, device) for sigma in ((0.9, 2.5), (5.0, 8.0)))
    level = streak_db * (fine + 0.4 * coarse)
    streaks = [10 ** (part / 20) for part in (level.real, level.imag)]
    return _wrap(torch.stack([speckle.real, speckle.imag, *streaks]))


def paint_lobe(rng: np.random.Generator, generator: torch.Generator, device: str) -> Tensor:
    """Paint consolidated lung like `paint_air`, with 3 channels: liver-like speckle, and bright air in its bronchi."""
    shape = (ROWS // 2, COLUMNS)
    patches = streak_field(shape, (14.0, 8.0), generator, device).real
    speckle = streak_field(shape, (GRAIN, GRAIN), generator, device) * 10 ** (2.5 * patches / 20)
    air = streak_field(shape, (2.5, 3.5), generator, device).real
    bronchi = 10 ** (float(rng.uniform(10, 18)) / 20) * torch.sigmoid((air - 1.3) * 8)
    return _wrap(torch.stack([speckle.real, speckle.imag, bronchi]))


def streak_field(shape: tuple[int, int], sigma: tuple[float, float], generator: torch.Generator,
                 device: str) -> Tensor:
    """Periodic complex Gaussian field whose parts have unit variance, low-passed with `sigma` samples a side."""
    spectrum = torch.fft.fft2(complex_noise(shape, generator, device))
    for axis, (side, width) in enumerate(zip(shape, sigma, strict=True)):
        frequency = torch.fft.fftfreq(side, device=device) * (2 * torch.pi * width)
        window = torch.exp(-0.5 * frequency ** 2)
        spectrum = spectrum * (window[:, None] if axis == 0 else window)
    field: Tensor = torch.fft.ifft2(spectrum)
    return field * field.real.square().mean().rsqrt()


def random_curve(waves: float, rng: np.random.Generator, device: str, count: int = LINE_SAMPLES) -> Tensor:
    """Smooth periodic random curve (count,) of unit variance over one span, of up to `waves` waves."""
    orders = np.arange(1, max(2, round(waves)) + 1)
    phases, weights = rng.uniform(0, 2 * np.pi, len(orders)), rng.normal(0, 1, len(orders)) / np.sqrt(orders)
    weights = weights / np.sqrt(0.5 * np.square(weights).sum())
    angle = 2 * np.pi * np.arange(count) / count
    curve = (weights[:, None] * np.cos(orders[:, None] * angle + phases[:, None])).sum(0)
    return torch.as_tensor(curve, dtype=torch.float32, device=device)


def rib_depth(rib: Rib, pleura_cm: float, off_cm: Tensor) -> Tensor:
    """Depth of the surface of a rib at distances `off_cm` from its middle: an arc, bulging to the probe."""
    return pleura_cm - rib.above_cm + 0.45 * rib.above_cm * (off_cm / rib.half_width_cm) ** 2


def shares(evenness: float) -> tuple[float, float]:
    """Amplitudes of speckle and of the smooth part in an echo of unit power, `evenness` their ratio."""
    rough = 1 / math.hypot(1, evenness)
    return rough * math.sqrt(0.5), rough * evenness


def _wrap(picture: Tensor) -> Tensor:
    """Repeat the first row and column (..., rows, columns) after the last."""
    picture = torch.cat([picture, picture[..., :1, :]], -2)
    return torch.cat([picture, picture[..., :1]], -1)


def _fascia(wall: Wall, index: int, depth: Tensor, rng: np.random.Generator, device: str) -> Tensor:
    """Amplitude (rows, COLUMNS) of one bright line across the wall, fading in and out along its way."""
    place = wall.pleura_cm * (rng.uniform(0.04, 0.95) if index else wall.fat)
    size = 0.03 * wall.pleura_cm
    middle = place + size * rng.uniform(0.5, 2.0) * random_curve(rng.uniform(2, 6), rng, device, COLUMNS)
    middle = middle + size * rng.uniform(0.05, 0.3) * random_curve(30, rng, device, COLUMNS)
    level_db = wall.fascia_db - (rng.uniform(0, 14) if index else 0)
    shown = torch.sigmoid(2 * (random_curve(rng.uniform(5, 20), rng, device, COLUMNS) + rng.uniform(-0.6, 1.0)))
    thickness = max(rng.uniform(0.015, 0.035), 0.8 * wall.span_cm / ROWS)
    line = torch.exp(-0.5 * ((depth - middle) / thickness) ** 2) * shown
    return 10 ** (float(level_db) / 20) * line


def _bones(wall: Wall, depth: Tensor, across: Tensor, amplitude: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
    """Put the ribs into the painted wall: a bright surface, and little below it."""
    for rib in wall.ribs:
        off = around(across - rib.at_cm, wall.span_cm) / rib.half_width_cm
        below = depth - rib_depth(rib, wall.pleura_cm, off.clamp(-1.2, 1.2) * rib.half_width_cm)
        cover = torch.sigmoid((1 - off.abs()) / 0.15)
        surface = torch.exp(-0.5 * (below / 0.04) ** 2) * cover * torch.exp(-2 * off ** 2)
        bone = cover * torch.sigmoid(below / 0.05)
        amplitude = amplitude * (1 - 0.5 * bone) + 0.3 * 10 ** (rib.surface_db / 20) * surface
        lines = lines * (1 - 0.9 * bone) + 10 ** (rib.surface_db / 20) * surface
    return amplitude, lines
