"""The beating heart as a scene: echoes of its deformed tissue and valves, label masks, truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from lrmcodec.simulate.heart.anatomy import Anatomy, Valve
from lrmcodec.simulate.heart.motion import Motion
from lrmcodec.simulate.heart.tissue import LABELS, Tissue, sample
from lrmcodec.simulate.heart.truth import true_events
from lrmcodec.simulate.noise import smooth_field
from lrmcodec.simulate.scan import Echo, Scanner
from lrmcodec.timeline import nearest_frames

Array = NDArray[np.float64]

TILE = 288
TILE_CM = 13.0
"""The scatterers repeat after this length."""

GRAIN = 0.8
"""Standard deviation of the scatterers' own blur, in samples of the tile, so that they can be interpolated."""


@dataclass(frozen=True)
class Slice:
    """How the imaged plane leaves and re-enters the tissue, as angles of a mixture of two independent fields.

    Attributes
    ----------
    beat_turn : float
        Radians at full contraction; pi / 2 makes end systole independent of end diastole.
    sway_turn, sway_hz, sway_phase : float
        Slow turn by breathing and the probe.
    coherence : float
        Share of the motion along the beam that turns the echo's phase, 0 to 1: strain then changes the speckle.
    brighten_db : float
        Change of the walls' level at full contraction (cyclic variation of backscatter).
    """

    beat_turn: float
    sway_turn: float
    sway_hz: float
    sway_phase: float
    coherence: float
    brighten_db: float

    def turn(self, times_s: Array, contraction: Array) -> Array:
        """Angle in radians (T,)."""
        slow = np.sin(2 * np.pi * self.sway_hz * times_s + self.sway_phase)
        return np.asarray(self.beat_turn * contraction + self.sway_turn * slow)


class HeartScene:
    """A patient's heart; see `plan.Scene`."""

    label_values: Mapping[str, int] = LABELS

    def __init__(self, anatomy: Anatomy, tissue: Tissue, motion: Motion, plane: Slice, valve_db: float,
                 findings: list[str], generator: torch.Generator, device: str) -> None:
        self.anatomy, self.tissue, self.motion, self.plane = anatomy, tissue, motion, plane
        self.valve_db, self.findings = valve_db, findings
        self._scatterers = _tile(generator, device)

    def echo(self, scanner: Scanner, times_s: Tensor) -> Echo:
        """Scatterers carried by the tissue, its smooth surfaces, and the valves, on the scan grid."""
        now = times_s.cpu().numpy().astype(float)
        x, y = self.motion.origin(scanner.x, scanner.y, times_s)  # (N, D, L)
        contraction = self.motion.heartbeat.contraction(now)
        turn = torch.as_tensor(self.plane.turn(now, contraction), dtype=torch.float32, device=x.device)[:, None, None]
        cosine, sine = torch.cos(turn), torch.sin(turn)
        level, first, second, mirror = self.tissue.look_up(x, y)
        brighten = torch.as_tensor(contraction, dtype=torch.float32, device=x.device)[:, None, None]
        decibels = level + cosine * first + sine * second + self.plane.brighten_db * brighten
        field = self._scatter(x, y, cosine, sine) * 10 ** (decibels / 20)
        field = field * self._phase(scanner, x, y)
        return Echo(field, mirror + self._valves(scanner, now), None)

    def labels(self, scanner: Scanner, times_s: Tensor) -> Tensor:
        """Masks (N, H, W) uint8, values `tissue.LABELS`."""
        x, y = self.motion.origin(*scanner.pixel_places(), times_s)
        found = sample(self.tissue.labels[None].float(), x, y, mode="nearest")[0]
        return found.to(torch.uint8).masked_fill(scanner.outside, 0)

    def truth(self, times_s: Array) -> dict[str, Any]:
        """Areas, events, volumes, rate, findings."""
        area, _ = self.motion.size(times_s)
        events = true_events(times_s, area, self.motion.heartbeat, (float(times_s[0]), float(times_s[-1])))
        ed, es = (nearest_frames(times_s, np.asarray(found)).tolist() for found in events)
        volumes = self._volumes()
        ejection = None if volumes is None else 100 * (1 - volumes[1] / volumes[0])
        beat = self.motion.heartbeat
        return {"ed_frames": ed, "es_frames": es, "lv_area_cm2": area.tolist(),
                "edv_ml": volumes and volumes[0], "esv_ml": volumes and volumes[1], "ef_percent": ejection,
                "heart_rate_bpm": 60 / float(np.mean(np.diff(beat.onsets_s))), "rhythm": beat.rhythm,
                "findings": self.findings, "b_line_count": None}

    def _volumes(self) -> tuple[float, float] | None:
        """End-diastolic and end-systolic volume in ml, means over beats, sampled finely."""
        if self.anatomy.view not in ("a4c", "a2c"):
            return None
        onsets = self.motion.heartbeat.onsets_s
        fine = np.arange(onsets[0], onsets[-1], 0.002)
        area, length = self.motion.size(fine)
        volume = 8 * area ** 2 / (3 * np.pi * length)
        beat = np.searchsorted(onsets, fine, side="right")
        each = [volume[beat == index] for index in np.unique(beat)]
        return float(np.mean([part.max() for part in each])), float(np.mean([part.min() for part in each]))

    def _scatter(self, x: Tensor, y: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Scatterers (N, D, L) complex64 of the imaged plane at the tissue's places."""
        u, v = (torch.remainder(place / TILE_CM, 1.0) for place in (x, y))
        scale = 2 * TILE / (TILE + 1)  # the tile carries one more row and column, equal to the first
        grid = torch.stack([u * scale - TILE / (TILE + 1), v * scale - TILE / (TILE + 1)], -1)
        parts = grid_sample(self._scatterers, grid.reshape(1, -1, x.shape[-1], 2), align_corners=False)
        a, b, c, d = parts[0].reshape(4, *x.shape)
        return torch.complex(cosine * a + sine * c, cosine * b + sine * d)

    def _phase(self, scanner: Scanner, x: Tensor, y: Tensor) -> Tensor:
        """Turn of the carrier by motion along the beam."""
        before, _ = scanner.probe.lines(x, y)
        wave_number = 4 * torch.pi / scanner.settings.wavelength_cm * self.plane.coherence
        angle = wave_number * (scanner.depth[:, None] - before)
        return torch.complex(torch.cos(angle), torch.sin(angle))

    def _valves(self, scanner: Scanner, now: Array) -> Tensor:
        """Amplitude (N, D, L) of the leaflets."""
        total = torch.zeros(len(now), *scanner.x.shape, device=scanner.x.device)
        flow, shut = self.motion.heartbeat.filling(now)
        outflow = self.motion.heartbeat.ejecting(now)
        for valve in self.anatomy.valves:
            opening = flow if valve.is_inlet else outflow
            shape = leaflets(self.motion.forward(valve.hinges, now), valve, opening, shut)
            _draw(total, scanner, shape, 10 ** (self.valve_db / 20))
        return total


def leaflets(hinges: Array, valve: Valve, opening: Array, shut: Array) -> Array:
    """Leaflets as chains of three points (T, 2, 3, 2) in cm, for hinges (T, 2, 2) and opening (T,) of 0 to 1.

    Closed, the tips meet; open, they point away from the line between the hinges. A shut inlet valve bends a little
    towards the atrium where the pressure pushes it.
    """
    base = hinges[:, 1] - hinges[:, 0]
    span = np.hypot(base[:, 0], base[:, 1])[:, None]
    along = base / span
    away = valve.side * np.stack([-along[:, 1], along[:, 0]], 1)
    closed = np.arccos(min(1.0 / sum(valve.lengths), 1.0))
    angle = (closed + (1.45 - closed) * opening)[:, None]
    chains = []
    for hinge, direction, length in ((hinges[:, 0], along, valve.lengths[0]), (hinges[:, 1], -along, valve.lengths[1])):
        size = length * span
        bent = angle * (0.75 + 0.35 * opening[:, None]) - 0.25 * (shut[:, None] if valve.is_inlet else 0)
        middle = hinge + 0.5 * size * (np.cos(bent) * direction + np.sin(bent) * away)
        tip = hinge + size * (np.cos(angle) * direction + np.sin(angle) * away)
        chains.append(np.stack([hinge, middle, tip], 1))
    return np.stack(chains, 1)


def _draw(total: Tensor, scanner: Scanner, chains: Array, amplitude: float, thickness_cm: float = 0.10) -> None:
    """Add chains (N, 2, 3, 2) of leaflets to amplitudes (N, D, L), within their bounding box."""
    low, high = chains.min((0, 1, 2)) - 0.4, chains.max((0, 1, 2)) + 0.4
    near = (scanner.x > low[0]) & (scanner.x < high[0]) & (scanner.y > low[1]) & (scanner.y < high[1])
    rows, columns = near.any(1).nonzero()[:, 0], near.any(0).nonzero()[:, 0]
    if not len(rows) or not len(columns):
        return
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    x, y = scanner.x[box], scanner.y[box]
    points = torch.as_tensor(chains, dtype=torch.float32, device=x.device)
    nearest = torch.full((len(points), *x.shape), torch.inf, device=x.device)
    for leaflet in range(2):
        for piece in range(2):
            start, stop = (points[:, leaflet, piece + step, :, None, None] for step in (0, 1))
            ex, ey = stop[:, 0] - start[:, 0], stop[:, 1] - start[:, 1]
            dx, dy = x - start[:, 0], y - start[:, 1]
            along = ((dx * ex + dy * ey) / (ex * ex + ey * ey)).clamp(0, 1)
            nearest = torch.minimum(nearest, (dx - along * ex) ** 2 + (dy - along * ey) ** 2)
    total[:, box[0], box[1]] += amplitude * torch.exp(-0.5 * nearest / thickness_cm ** 2)


def _tile(generator: torch.Generator, device: str) -> Tensor:
    """Two complex fields as four channels (1, 4, TILE + 1, TILE + 1), the first row and column repeated at the end."""
    fields = torch.view_as_real(smooth_field(TILE, GRAIN, 2, generator, device)).permute(0, 3, 1, 2)
    return torch.nn.functional.pad(fields.reshape(1, 4, TILE, TILE), (0, 1, 0, 1), mode="circular")
