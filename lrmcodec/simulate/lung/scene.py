"""A lung under a curved or linear probe: chest wall, ribs, the sliding pleura, and what is seen below it.

Below aerated lung nothing is imaged: sound comes back from the pleura, runs to and fro, and is shown too deep. These
echoes are drawn along the scan lines: copies of the wall, A-lines at multiples of the pleura's depth, B-lines from the
pleura to the bottom (what they are is described in Lichtenstein & Meziere, Chest 134, 2008, 117-125; and Volpicelli et
al., Intensive Care Medicine 38, 2012, 577-591). Where lung is consolidated or lies under fluid, tissue is seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from lrmcodec.simulate.lung.motion import Motion
from lrmcodec.simulate.lung.tissue import (
    COLUMNS,
    GRAIN,
    LINE_SAMPLES,
    ROWS,
    WALL_DEPTH,
    Rib,
    Wall,
    around,
    look_up,
    paint_air,
    paint_lobe,
    paint_wall,
    random_curve,
    rib_depth,
    shares,
)
from lrmcodec.simulate.scan import Echo, Scanner

LUNG_LABELS = {"background": 0, "pleura": 1, "rib": 2, "b_line": 3, "consolidation": 4, "effusion": 5}
"""Values of the label masks: the pleural line; the surface of ribs; B-lines, 1.3 standard deviations to each side;
consolidated lung; fluid between chest wall and lung."""

RIB_LABEL_CM = 0.15
PLEURA_LABEL_CM = 0.1


@dataclass(frozen=True)
class BLine:
    """Place in cm along the pleura, standard deviation in cm there, and level in dB."""

    at_cm: float
    sigma_cm: float
    level_db: float


@dataclass(frozen=True)
class Lesion:
    """A consolidation below the pleura, or fluid: "consolidation" or "effusion".

    `ragged` is how much its lower border (the shred sign) varies, as a share of its depth.
    """

    kind: str
    at_cm: float
    half_width_cm: float
    depth_cm: float
    level_db: float
    ragged: float


@dataclass(frozen=True)
class Surface:
    """The pleura, and the echoes below aerated lung; levels in dB.

    Attributes
    ----------
    pleura_db : float
    thickness_cm : float
        Standard deviation of the pleural line.
    rough_cm : float
        Standard deviation of its irregularity.
    air_db, air_fall : float
        Level just below the pleura, and its fall in dB a cm.
    copies_db : float
        Copies of the wall below the pleura.
    a_lines_db : float
        Fall from the pleura to the first A-line, and from each to the next.
    rays_db : float
        Standard deviation of the brightness across the pleura.
    streak_db : float
        Standard deviation of streaks.
    evenness : float
        As in `Wall`.
    b_fall : float
        Fall of B-lines in dB a cm.
    """

    pleura_db: float
    thickness_cm: float
    rough_cm: float
    air_db: float
    air_fall: float
    copies_db: float
    a_lines_db: float
    rays_db: float
    streak_db: float
    evenness: float
    b_fall: float


class _Lines(NamedTuple):
    """What holds for whole scan lines in each frame.

    Curves of the motion (C, N, 1, 1); and (N, 1, L): depths in cm of the pleura without and with its roughness and of
    aerated lung, places in cm along the pleura, and how upright the beam meets it, 0 to 1.
    """

    curves: Tensor
    even: Tensor
    pleura: Tensor
    lung: Tensor
    along: Tensor
    upright: Tensor


class _Cover(NamedTuple):
    """A rib, the depth (N, 1, L) of its surface, and how far it covers the scan lines (N, 1, L), 0 to 1."""

    rib: Rib
    surface: Tensor
    cover: Tensor


class LungScene:
    """A `Scene` (see `plan`): a chest and its motion; everything random is fixed by `seed` and `rng`.

    `scan_hz` is the rate of the scanner where a recorder repeats its frames, else None.
    """

    label_values: Mapping[str, int] = LUNG_LABELS

    def __init__(self, wall: Wall, surface: Surface, b_lines: tuple[BLine, ...], lesion: Lesion | None, motion: Motion,
                 findings: list[str], scan_hz: float | None, rng: np.random.Generator, seed: int, device: str) -> None:
        self.wall, self.surface, self.b_lines, self.lesion = wall, surface, b_lines, lesion
        self._motion, self._findings, self._scan_hz = motion, findings, scan_hz
        generator = torch.Generator(device).manual_seed(seed)
        self._painted_wall = paint_wall(wall, rng, generator, device)
        self._painted_air = paint_air(surface.streak_db, generator, device)
        self._painted_lobe = paint_lobe(rng, generator, device)
        self._bumps = surface.rough_cm * random_curve(48, rng, device)
        self._pieces = torch.sigmoid(2.5 * (random_curve(24, rng, device) + 0.6))
        self._rays_db = surface.rays_db * (0.25 * random_curve(24, rng, device) + random_curve(7, rng, device))
        self._lesion_cm = self._draw_lesion(rng, device)

    def truth(self, times_s: NDArray[np.float64]) -> dict[str, Any]:
        """Findings and the number of B-lines; fields of hearts are empty."""
        return {"ed_frames": [], "es_frames": [], "lv_area_cm2": None, "edv_ml": None, "esv_ml": None,
                "ef_percent": None, "heart_rate_bpm": None, "rhythm": None, "findings": list(self._findings),
                "b_line_count": len(self.b_lines)}

    def echo(self, scanner: Scanner, times_s: Tensor) -> Echo:
        """What comes back at times (N,), see `Echo`."""
        lines = self._lines(scanner, times_s)
        depth = scanner.depth[:, None]
        signal, mirror = self._wall_echo(scanner, lines)
        below, smooth = self._air_echo(depth, lines)
        if self.lesion is not None:
            below, smooth = self._lesion_echo(self.lesion, depth, lines, below, smooth)
        inside = depth < lines.pleura
        signal = torch.where(inside, signal, below)
        ribs = self._ribs(scanner, lines)
        mirror = torch.where(inside, mirror, smooth) + self._pleural_echo(depth, lines, ribs)
        speckle, line = _grid_factors(scanner, self.wall.span_cm)
        return Echo(speckle * signal, line * mirror, _shadows(depth, ribs))

    def labels(self, scanner: Scanner, times_s: Tensor) -> Tensor:
        """Masks (N, H, W) uint8 of `LUNG_LABELS`."""
        lines = self._lines(scanner, times_s)
        depth = scanner.depth[:, None]
        labels = torch.zeros((len(times_s), *scanner.x.shape), dtype=torch.uint8, device=scanner.x.device)
        if self.lesion is not None:
            inside = (depth >= lines.pleura) & (depth < lines.lung) & (lines.lung - lines.pleura > PLEURA_LABEL_CM)
            labels[inside] = LUNG_LABELS[self.lesion.kind]
        for line in self.b_lines:
            inside = (lines.along - line.at_cm).abs() < 1.3 * line.sigma_cm
            labels[inside & (depth > lines.lung)] = LUNG_LABELS["b_line"]
        labels[(depth - lines.pleura).abs() < PLEURA_LABEL_CM] = LUNG_LABELS["pleura"]
        for _, surface, cover in self._ribs(scanner, lines):
            labels[(cover > 0.5) & (depth > surface)] = LUNG_LABELS["background"]
            labels[(cover > 0.5) & ((depth - surface).abs() < RIB_LABEL_CM)] = LUNG_LABELS["rib"]
        return _to_pixels(labels, scanner)

    def _lines(self, scanner: Scanner, times_s: Tensor) -> _Lines:
        """Where pleura and lung lie on each scan line."""
        if self._scan_hz is not None:
            times_s = torch.floor(times_s * self._scan_hz + 1e-3) / self._scan_hz
        curves = self._motion.at(times_s)[:, :, None, None]  # (C, N, 1, 1)
        slide, shift, scale = curves[1:4]
        depth = (self.wall.pleura_cm * scale).expand(-1, 1, len(scanner.lateral))
        for _ in range(4):  # the slope is small, so that this converges
            x, y = scanner.probe.points(depth, scanner.lateral)
            own = x - shift
            target = self.wall.pleura_cm * scale + self.wall.tilt * own + self.wall.bend * own ** 2
            depth = (depth + (target - y) / _cosine(scanner)).clamp_min(0.3)
        along = own - slide
        pleura = depth + self._curve(self._bumps, along)
        slope = torch.gradient(depth, dim=2)[0] / torch.gradient(x, dim=2)[0].clamp_min(1e-3)
        upright = torch.exp(-0.5 * (slope / 0.30) ** 2)
        swell = 1 - 0.3 * curves[0] if self.lesion is not None and self.lesion.kind == "effusion" else 1.0
        lung = pleura + swell * self._curve(self._lesion_cm, along) if self.lesion is not None else pleura
        return _Lines(curves, depth, pleura, lung, along, upright)

    def _wall_echo(self, scanner: Scanner, lines: _Lines) -> tuple[Tensor, Tensor]:
        own = scanner.x - lines.curves[2]
        deep = scanner.depth[:, None] * (self.wall.pleura_cm / lines.even)
        real, imaginary, mirror = self._look_up_wall(own, deep)
        return torch.complex(real, imaginary), mirror

    def _look_up_wall(self, x: Tensor, y: Tensor) -> Tensor:
        return look_up(self._painted_wall, x / self.wall.span_cm, y / (WALL_DEPTH * self.wall.pleura_cm))

    def _curve(self, curve: Tensor, at_cm: Tensor) -> Tensor:
        """Values of a periodic curve (LINE_SAMPLES,) at places in cm along the pleura, by linear interpolation."""
        place = torch.remainder(at_cm / self.wall.span_cm, 1) * LINE_SAMPLES
        left = place.floor()
        index = left.long() % LINE_SAMPLES
        return torch.lerp(curve[index], curve[(index + 1) % LINE_SAMPLES], place - left)

    def _below(self, painted: Tensor, lines: _Lines, past: Tensor) -> Tensor:
        """Values (C, N, D, L) of what is painted half a span deep, carried by the lung, `past` cm below a surface."""
        deep = torch.remainder(past * (2 / self.wall.span_cm), 1)
        return look_up(painted, (lines.along / self.wall.span_cm).expand(past.shape), deep)

    def _air_echo(self, depth: Tensor, lines: _Lines) -> tuple[Tensor, Tensor]:
        """Echoes of the lung (N, D, L): speckle and smooth part."""
        surface = self.surface
        past = (depth - lines.lung).clamp_min(0)
        rays_db, b_amplitude = self._across(lines)
        air = 10 ** ((surface.air_db + rays_db) / 20) * torch.exp(-past * (surface.air_fall * math.log(10) / 20))
        amplitude = air + b_amplitude * torch.exp(-past * (surface.b_fall * math.log(10) / 20))
        real, imaginary, first, second = self._below(self._painted_air, lines, past)
        turn = lines.curves[4]
        rough, even = shares(surface.evenness)
        streaks = amplitude * torch.lerp(first, second, torch.sin(0.5 * turn) ** 2)
        signal = torch.complex(real, imaginary) * torch.polar(torch.full_like(turn, rough), turn) * streaks
        smooth = even * streaks + self._a_lines(depth, lines)
        if surface.copies_db > -40:
            signal, smooth = self._add_copies(lines, past, air, signal, smooth)
        return signal, smooth

    def _across(self, lines: _Lines) -> tuple[Tensor, Tensor]:
        """Across the pleura (N, 1, L): brightness in dB, and amplitude of the B-lines."""
        rays_db = self._curve(self._rays_db, lines.along)
        amplitude = torch.zeros_like(lines.along)
        for line, flicker in zip(self.b_lines, lines.curves[5:], strict=False):
            profile = torch.exp(-0.5 * ((lines.along - line.at_cm) / line.sigma_cm) ** 2)
            amplitude = amplitude + 10 ** (line.level_db / 20) * flicker * profile
        return rays_db, amplitude

    def _add_copies(self, lines: _Lines, past: Tensor, air: Tensor, signal: Tensor,
                    smooth: Tensor) -> tuple[Tensor, Tensor]:
        """Sound that ran between pleura and wall: the wall once more below the pleura, upright, weaker with depth."""
        deep = torch.remainder(past / lines.even, 1) * self.wall.pleura_cm
        level = air * (10 ** (self.surface.copies_db / 20) * lines.upright * self._curve(self._pieces, lines.along))
        real, imaginary, mirror = self._look_up_wall((lines.along + lines.curves[1]).expand(deep.shape), deep)
        return signal + level * torch.complex(real, imaginary), smooth + level * mirror

    def _a_lines(self, depth: Tensor, lines: _Lines) -> Tensor:
        """A-lines (N, D, L): the pleura again at multiples of its depth, where the beam meets it upright."""
        surface = self.surface
        shown = lines.upright ** 2 * self._curve(self._pieces, lines.along)
        total = torch.zeros_like(depth * shown)
        for order in (2, 3, 4):
            level_db = surface.pleura_db - surface.a_lines_db * (order - 1)
            wide = surface.thickness_cm * (0.8 + 0.25 * order)
            line = torch.exp(-0.5 * ((depth - order * lines.even) / wide) ** 2)
            total = total + 10 ** (level_db / 20) * shown ** order * line
        return total

    def _pleural_echo(self, depth: Tensor, lines: _Lines, ribs: list[_Cover]) -> Tensor:
        """The pleural line (N, D, L) between the ribs, and below a lesion the border to aerated lung."""
        surface = self.surface
        pieces = self._curve(self._pieces, lines.along) * (0.25 + 0.75 * lines.upright)
        for _, _, cover in ribs:
            pieces = pieces * (1 - 0.9 * cover)
        level = 10 ** (surface.pleura_db / 20) * pieces
        line = level * torch.exp(-0.5 * ((depth - lines.pleura) / surface.thickness_cm) ** 2)
        if self.lesion is None:
            return line
        thick = ((lines.lung - lines.pleura) / 0.3).clamp(0, 1)
        border = torch.exp(-0.5 * ((depth - lines.lung) / 0.06) ** 2)
        return line * (1 - 0.6 * thick) + 0.5 * level * thick * border

    def _lesion_echo(self, lesion: Lesion, depth: Tensor, lines: _Lines, below: Tensor,
                     smooth: Tensor) -> tuple[Tensor, Tensor]:
        """Put consolidated lung or fluid between pleura and aerated lung."""
        inside = depth < lines.lung
        real, imaginary, bronchi = self._below(self._painted_lobe, lines, (depth - lines.pleura).clamp_min(0))
        level = 10 ** (lesion.level_db / 20)
        rough, even = shares(self.surface.evenness)
        air = bronchi + even if lesion.kind == "consolidation" else torch.full_like(bronchi, even)
        return (torch.where(inside, rough * level * torch.complex(real, imaginary), below),
                torch.where(inside, level * air, smooth))

    def _ribs(self, scanner: Scanner, lines: _Lines) -> list[_Cover]:
        """Where each rib is."""
        found = []
        scale = lines.even / self.wall.pleura_cm
        for rib in self.wall.ribs:
            middle = (self.wall.pleura_cm - rib.above_cm) * scale
            x, _ = scanner.probe.points(middle, scanner.lateral)
            off = around(x - lines.curves[2] - rib.at_cm, self.wall.span_cm)
            surface = rib_depth(rib, self.wall.pleura_cm, off.clamp(-rib.half_width_cm, rib.half_width_cm)) * scale
            found.append(_Cover(rib, surface, torch.sigmoid((1 - off.abs() / rib.half_width_cm) / 0.25)))
        return found

    def _draw_lesion(self, rng: np.random.Generator, device: str) -> Tensor:
        """Depth (LINE_SAMPLES,) in cm of the lesion along the pleura."""
        if self.lesion is None:
            return torch.zeros(LINE_SAMPLES, device=device)
        across = torch.arange(LINE_SAMPLES, device=device) * (self.wall.span_cm / LINE_SAMPLES)
        off = around(across - self.lesion.at_cm, self.wall.span_cm)
        shape = (1 - (off / self.lesion.half_width_cm) ** 2).clamp_min(0) ** 0.6
        ragged = random_curve(12, rng, device) + 0.5 * random_curve(36, rng, device)
        return self.lesion.depth_cm * shape * (1 + self.lesion.ragged * ragged).clamp_min(0.35)


def _shadows(depth: Tensor, ribs: list[_Cover]) -> Tensor | None:
    """What the ribs let through (N, D, L) in dB."""
    if not ribs:
        return None
    total = torch.zeros(1, device=depth.device)
    for rib, surface, cover in ribs:
        total = total + rib.shadow_db * cover * ((depth - surface - 0.1) / rib.onset_cm).clamp(0, 1)
    return total


def _cosine(scanner: Scanner) -> Tensor:
    """How much deeper in y one goes for each cm along the scan lines, (L,)."""
    if math.isinf(scanner.probe.radius_cm):
        return torch.ones_like(scanner.lateral)
    return torch.cos(scanner.lateral)


def _grid_factors(scanner: Scanner, span_cm: float) -> tuple[float, float]:
    """Factors for speckle and for smooth surfaces that make their brightness independent of the grid's spacing.

    The scanner's kernels have unit energy over samples: painted speckle, which is smooth over a grain, comes out
    stronger the finer the grid is, and smooth surfaces by the square root of the samples in a kernel.
    """
    steps = (float(scanner.depth[1] - scanner.depth[0]), float(scanner.lateral[1] - scanner.lateral[0]))
    settings = scanner.settings
    widths = (settings.pulse_cm, settings.beam)
    reach = 1.0 if math.isinf(scanner.probe.radius_cm) else scanner.probe.radius_cm + settings.focus_cm
    grains = (GRAIN * span_cm / ROWS, GRAIN * span_cm / COLUMNS / reach)
    speckle = line = 1.0
    for step, width, grain in zip(steps, widths, grains, strict=True):
        speckle *= max(1.0, math.sqrt(4 * math.pi) * grain * width / math.hypot(grain, width) / step) ** -0.5
        line *= max(1.0, 2 * math.sqrt(math.pi) * width / step) ** -0.5
    return speckle, line


def _to_pixels(labels: Tensor, scanner: Scanner) -> Tensor:
    """Labels (N, D, L) of the scan grid at the picture's pixels (N, H, W)."""
    depth, lateral = scanner.probe.lines(*scanner.pixel_places())
    grid = torch.stack([lateral / scanner.probe.half_width, depth / scanner.probe.depth_cm * 2 - 1], -1)
    outside = (grid.abs() > 1).any(-1)
    shown = grid_sample(labels[:, None].float(), grid.expand(len(labels), -1, -1, -1), mode="nearest",
                        align_corners=False)[:, 0].to(torch.uint8)
    return shown.masked_fill(outside, 0)
