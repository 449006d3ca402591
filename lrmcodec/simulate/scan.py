"""From echoes to gray pictures: beam, clutter, noise, log compression, scan conversion, persistence, marks.

Sound is not propagated. As in convolution-based simulators (COLE: Gao et al., IEEE Trans. UFFC 56, 2009, 404-409),
the picture before detection is the complex reflectivity of the tissue convolved with a point-spread function that
depends on depth; here on a grid of scan lines, with one matrix for the axial pulse and one a depth zone for the beam.

Lengths are in cm, x to the right and y away from the probe, with (0, 0) in the middle of the probe's face; angles in
radians; levels in decibels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lrmcodec.simulate.jpeg import jpeg_artefacts
from lrmcodec.simulate.noise import complex_noise

ZONES = 8
"""Depth zones with a beam width of their own."""

PITCH_CM = 0.06
"""Spacing of the depth samples for pictures of up to `BASE_SIDE` pixels; finer in proportion for larger ones."""

LINES = 176
BASE_SIDE = 112


@dataclass(frozen=True)
class Probe:
    """Shape of the field of view.

    Attributes
    ----------
    radius_cm : float
        Radius of the face of a curved array; 0 for a phased array, whose lines start in one point; infinite for a
        linear array.
    half_width : float
        Half of the field of view: radians, or cm for a linear array.
    depth_cm : float
    """

    radius_cm: float
    half_width: float
    depth_cm: float

    def points(self, depth: Tensor, lateral: Tensor) -> tuple[Tensor, Tensor]:
        """Places x, y in cm of depths (cm below the face) and lateral positions (radians or cm)."""
        if math.isinf(self.radius_cm):
            return lateral + 0 * depth, depth + 0 * lateral
        reach = self.radius_cm + depth
        return reach * torch.sin(lateral), reach * torch.cos(lateral) - self.radius_cm

    def lines(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `points`: depth and lateral position of places x, y in cm."""
        if math.isinf(self.radius_cm):
            return y, x
        return torch.hypot(x, y + self.radius_cm) - self.radius_cm, torch.atan2(x, y + self.radius_cm)


@dataclass(frozen=True)
class Settings:
    """Beam, gains and display of one scan; what is drawn at random for each clip.

    Attributes
    ----------
    wavelength_cm : float
        Of the carrier; motion along the beam by half of it turns the echo's phase once.
    pulse_cm : float
        Standard deviation of the pulse along the beam.
    beam : float
        Standard deviation of the beam at the focus, radians or cm as the probe's lateral position.
    focus_cm, spread : float
        The beam widens by `spread` times its width for each focal length away from the focus.
    side_lobe_db : float
        Level of a pedestal six beams wide.
    depth_gain_db, lateral_gain_db : tuple of float
        Gain at equally spaced knots along depth and across the field of view, interpolated smoothly.
    clutter_db, clutter_cm : float
        Stationary near-field clutter at the face, and the depth over which it falls to 1/e.
    haze_db : float
        Stationary clutter at all depths.
    noise_db : float
        Electronic noise at the face; it rises with the depth gain.
    gain_db, dynamic_range_db, gamma : float
        Echoes at `-gain_db` are white, those `dynamic_range_db` below black; gray levels are raised to `gamma`.
    persistence : float
        Weight of the frame before in what is shown, 0 to 1.
    cm_per_pixel : float
    origin : tuple of float
        Column and row, as fractions of the picture, of the middle of the face.
    jpeg_quality : int or None
        Quality 1 to 100 of motion-JPEG artefacts.
    marks : int
        Burned-in marks: 0 none, else the seed of their places.
    """

    wavelength_cm: float
    pulse_cm: float
    beam: float
    focus_cm: float
    spread: float
    side_lobe_db: float
    depth_gain_db: tuple[float, ...]
    lateral_gain_db: tuple[float, ...]
    clutter_db: float
    clutter_cm: float
    haze_db: float
    noise_db: float
    gain_db: float
    dynamic_range_db: float
    gamma: float
    persistence: float
    cm_per_pixel: float
    origin: tuple[float, float]
    jpeg_quality: int | None
    marks: int


class Echo(NamedTuple):
    """What the tissue sends back, on the scan grid (N frames, D depths, L lines).

    `reflectivity` (complex64) is scattering before the beam; `mirror` (float32) are smooth surfaces, in phase along
    themselves; `pass_db` (float32 or None) is what shadows leave, at most 0.
    """

    reflectivity: Tensor
    mirror: Tensor
    pass_db: Tensor | None


class Scanner:
    """Probe, settings and picture size, with everything computed that no frame changes."""

    def __init__(self, probe: Probe, settings: Settings, size: tuple[int, int], seed: int, device: str) -> None:
        self.probe, self.settings, self.size, self.device = probe, settings, size, device
        detail = max(1.0, max(size) / BASE_SIDE)
        rows = round(max(probe.depth_cm / PITCH_CM, 1.4 * BASE_SIDE) * detail)  # shallow scans need the latter
        columns = round(LINES * detail)
        self.depth = (torch.arange(rows, device=device) + 0.5) * (probe.depth_cm / rows)  # (D,)
        self.lateral = ((torch.arange(columns, device=device) + 0.5) / columns * 2 - 1) * probe.half_width  # (L,)
        self.x, self.y = probe.points(self.depth[:, None], self.lateral)  # (D, L)
        self.noise = torch.Generator(device).manual_seed(seed)
        self._pulse = _band_matrix(self.depth, settings.pulse_cm)
        self._beams = _beam_matrices(settings, self.depth, self.lateral)  # (Z, L, L)
        self._gain_db = _gain_db(settings, rows, columns, device)
        self._clutter = self._draw_clutter()
        self._grid, self.outside = self._conversion()

    def pictures(self, echo: Echo, times_s: Tensor) -> Tensor:
        """Gray pictures (N, H, W) float32 in [0, 1] of echoes, not yet blended in time nor compressed as JPEG."""
        settings = self.settings
        signal = self.blur(echo.reflectivity) + self.blur(echo.mirror.to(torch.complex64))
        gain_db = self._gain_db if echo.pass_db is None else self._gain_db + echo.pass_db
        each = [complex_noise(self.x.shape, self.noise, self.device) for _ in signal]  # the same for any chunks
        noise = torch.stack(each) * 10 ** (settings.noise_db / 20)
        amplitude = ((signal + self._moving_clutter(times_s)) * 10 ** (gain_db / 20)
                     + noise * 10 ** (self._gain_db / 20)).abs()
        level = 20 * torch.log10(amplitude + 1e-6) + settings.gain_db
        shown = (1 + level / settings.dynamic_range_db).clamp(0, 1) ** settings.gamma
        picture = grid_sample(shown[:, None], self._grid.expand(len(shown), -1, -1, -1), align_corners=False)[:, 0]
        return picture.masked_fill(self.outside, 0.0)

    def finish(self, pictures: Tensor) -> Tensor:
        """Frames (T, H, W) uint8 of a whole clip: persistence, marks, JPEG artefacts."""
        settings = self.settings
        if settings.persistence > 0:
            pictures = pictures.clone()
            for index in range(1, len(pictures)):
                pictures[index].lerp_(pictures[index - 1], settings.persistence)
        if settings.marks:
            pictures = torch.maximum(pictures, self._marks())
        frames = (255 * pictures).round()
        if settings.jpeg_quality is not None:
            frames = jpeg_artefacts(frames, settings.jpeg_quality)
        return frames.to(torch.uint8)

    def blur(self, field: Tensor) -> Tensor:
        """Convolve (..., D, L) complex with pulse and beam; white noise keeps its power."""
        parts = torch.view_as_real(field).movedim(-1, 0)  # (2, ..., D, L)
        along = self._pulse @ parts
        rows = along.shape[-2]
        edges = [round(rows * zone / ZONES) for zone in range(ZONES + 1)]
        zones = [along[..., start:stop, :] @ beam
                 for start, stop, beam in zip(edges, edges[1:], self._beams, strict=False)]
        return torch.view_as_complex(torch.cat(zones, dim=-2).movedim(0, -1).contiguous())

    def _draw_clutter(self) -> Tensor:
        """Two stationary fields (2, D, L) complex; mixtures of them move slowly."""
        settings = self.settings
        fields = self.blur(complex_noise((2, *self.x.shape), self.noise, self.device))
        near = 10 ** (settings.clutter_db / 20) * torch.exp(-self.depth / settings.clutter_cm)
        bands = 1 + 0.7 * torch.cos(2 * math.pi * self.depth / (0.35 * settings.clutter_cm))
        level = near * bands + 10 ** (settings.haze_db / 20)
        return fields * level[:, None]

    def _moving_clutter(self, times_s: Tensor) -> Tensor:
        phase = 0.6 * torch.sin(2 * math.pi * 0.23 * times_s)[:, None, None]
        return torch.cos(phase) * self._clutter[0] + torch.sin(phase) * self._clutter[1]

    def pixel_places(self) -> tuple[Tensor, Tensor]:
        """Places x, y (H, W) in cm of the pixels' centers."""
        height, width = self.size
        scale, (column, row) = self.settings.cm_per_pixel, self.settings.origin
        x = (torch.arange(width, device=self.device) + 0.5 - column * width) * scale
        y = (torch.arange(height, device=self.device) + 0.5 - row * height) * scale
        return x.expand(height, width), y[:, None].expand(height, width)

    def _conversion(self) -> tuple[Tensor, Tensor]:
        """Where each pixel lies on the scan grid (1, H, W, 2), and which pixels lie outside (H, W)."""
        x, y = self.pixel_places()
        depth, lateral = self.probe.lines(x, y)
        grid = torch.stack([lateral / self.probe.half_width, depth / self.probe.depth_cm * 2 - 1], -1)
        outside = (lateral.abs() > self.probe.half_width) | (depth < 0) | (depth > self.probe.depth_cm)
        return grid[None], outside

    def _marks(self) -> Tensor:
        """Marks (H, W) in [0, 1] as scanners burn in: a badge at the apex and a slanting scale outside the sector."""
        rng = np.random.default_rng(self.settings.marks)
        height, width = self.size
        marks = torch.zeros(self.size, device=self.device)
        column, row = (round(self.settings.origin[0] * width), round(max(self.settings.origin[1], 0) * height))
        side = max(1, round(height / 56))
        marks[max(row - 2 * side, 0):max(row, 1), column + side:column + 3 * side] = float(rng.uniform(0.3, 0.8))
        top, left, steps = rng.uniform(0.22, 0.30), rng.uniform(0.78, 0.84), int(rng.integers(6, 14))
        for step in range(steps):
            y, x = round(top * height) + step * side, round(left * width) + step * side
            if y < height and x < width:
                marks[y, x] = 0.9 if step in (0, steps - 1) else 0.6
        return torch.where(self.outside, marks, torch.zeros_like(marks))


def _band_matrix(places: Tensor, sigma: float) -> Tensor:
    """Matrix (n, n) that convolves samples at `places` with a Gaussian; each row has unit energy."""
    kernel = torch.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    return kernel / kernel.square().sum(1, keepdim=True).sqrt()


def _beam_matrices(settings: Settings, depth: Tensor, lateral: Tensor) -> Tensor:
    """Matrices (Z, L, L) that convolve the lines of each depth zone with the beam there."""
    middles = depth[0] + (depth[-1] - depth[0]) * (torch.arange(ZONES, device=depth.device) + 0.5) / ZONES
    matrices = []
    for middle in middles.tolist():
        sigma = settings.beam * math.hypot(1.0, settings.spread * (middle / settings.focus_cm - 1.0))
        apart = (lateral[:, None] - lateral) / sigma
        kernel = (torch.exp(-0.5 * apart ** 2)
                  + 10 ** (settings.side_lobe_db / 20) * torch.exp(-0.5 * (apart / 6) ** 2))
        matrices.append(kernel / kernel.square().sum(0, keepdim=True).sqrt())
    return torch.stack(matrices)


def _gain_db(settings: Settings, rows: int, columns: int, device: str) -> Tensor:
    """Gain (D, L) in dB from the knots along depth and across."""
    along = _smooth_curve(settings.depth_gain_db, rows)
    across = _smooth_curve(settings.lateral_gain_db, columns)
    return torch.as_tensor(along[:, None] + across[None, :], dtype=torch.float32, device=device)


def _smooth_curve(knots: tuple[float, ...], count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Curve through equally spaced knots, with half cosines between them."""
    at = np.linspace(0, len(knots) - 1, count)
    left = np.minimum(at.astype(int), len(knots) - 2)
    weight = 0.5 - 0.5 * np.cos(np.pi * (at - left))
    values = np.asarray(knots)
    return np.asarray((1 - weight) * values[left] + weight * values[left + 1])
