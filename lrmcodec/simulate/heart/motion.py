"""How the heart deforms: a few displacement fields in the tissue's own coordinates, mixed over time.

A point of the tissue at X (end diastole) is at X + sum_k a_k(t) U_k(X) at time t, then moved as a whole by breathing,
swing and the probe. Where a place x came from is found by fixed-point iteration, X = x - u(X), which converges because
the fields change by less than their arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from lrmcodec.simulate.heart.anatomy import Anatomy
from lrmcodec.simulate.heart.heartbeat import Heartbeat
from lrmcodec.simulate.heart.tissue import EXTENT_CM, LEFT_CM, TOP_CM, local, places, sample, signed_distance
from lrmcodec.simulate.noise import Wander, draw_wander

Array = NDArray[np.float64]

SIDE = 88
"""Samples of each displacement field along a side of the painted square."""

ITERATIONS = 6
COARSE = 4
"""The inverse is found for every fourth line and depth, then interpolated."""

LONG_SHARE = 0.45
"""Shortening along the axis as a share of that across, of the displacement at the annulus."""

RIGHT_SHARE, ATRIAL_SHARE = 0.30, 0.16
"""Movement of the right ventricle's free wall and of the atria's, as shares of their half-width."""

STRENGTH_LIMIT = 0.85


@dataclass(frozen=True)
class Regional:
    """A piece of the left ventricle's wall that moves less, and a side that moves on after ejection.

    `side` is -1 or +1 (of n), `at` the place along the axis (0 apex to 1 annulus), `spared` what is left of its motion,
    `after` the share of its stroke by which that whole side goes on shortening after ejection has ended.
    """

    side: int
    at: float
    spared: float
    after: float


@dataclass(frozen=True)
class Delays:
    """Seconds by which the side of positive n and the shortening along the axis come after the other side."""

    side_s: float
    long_s: float


@dataclass(frozen=True)
class Sway:
    """Motion of the heart as a whole over time, as functions of seconds.

    Attributes
    ----------
    breath_cm : tuple of float
        Amplitude across and along, at `breath_hz` with phase `breath_phase`.
    swing_cm, swing_angle : tuple of float, float
        Displacement in cm and turn in radians at full contraction.
    drift_size : tuple of float
        Standard deviation of slow drift across and along in cm, and of its turn in radians.
    drift : tuple of Wander
        Its course.
    """

    breath_cm: tuple[float, float]
    breath_hz: float
    breath_phase: float
    swing_cm: tuple[float, float]
    swing_angle: float
    drift_size: tuple[float, float, float]
    drift: tuple[Wander, Wander, Wander]

    def at(self, times_s: Array, contraction: Array) -> Array:
        """Displacement x, y in cm and turn in radians (3, T)."""
        breath = np.sin(2 * np.pi * self.breath_hz * times_s + self.breath_phase)
        drift = np.stack([size * wander.at(times_s) for size, wander in zip(self.drift_size, self.drift, strict=True)])
        own = np.array([*self.swing_cm, self.swing_angle])[:, None] * contraction
        return np.asarray(drift + own + np.array([*self.breath_cm, 0.0])[:, None] * breath)


def draw_sway(rng: np.random.Generator, unrest: float) -> Sway:
    """Draw whole-heart motion; `unrest` 1 is a careful sonographer, 3 a moving one."""
    size = (unrest * rng.uniform(0.02, 0.12), unrest * rng.uniform(0.02, 0.12), unrest * rng.uniform(0.005, 0.02))
    drift = (draw_wander(rng, 2.5), draw_wander(rng, 2.5), draw_wander(rng, 2.5))
    breath = rng.uniform(0.0, 0.25) * unrest
    return Sway((breath * rng.uniform(-0.5, 0.5), breath), rng.uniform(0.18, 0.35), rng.uniform(0, 2 * np.pi),
                (rng.uniform(-0.15, 0.15), rng.uniform(-0.05, 0.15)), rng.uniform(-0.05, 0.05), size, drift)


class Motion:
    """Deformation of one heart, and the areas and volumes that follow from it."""

    def __init__(self, anatomy: Anatomy, heartbeat: Heartbeat, sway: Sway, ejection_fraction: float,
                 delays: Delays, regional: Regional | None, device: str) -> None:
        self.anatomy, self.heartbeat, self.sway, self.delays = anatomy, heartbeat, sway, delays
        self._after = (0.0, 0.0) if regional is None else (regional.after * (regional.side < 0),
                                                           regional.after * (regional.side > 0))
        self.fields = _fields(anatomy, regional, device)  # (K, 2, SIDE, SIDE)
        self._outline = anatomy.chambers[0].outline
        world = torch.as_tensor(anatomy.to_world(self._outline), dtype=torch.float32, device=device)
        moved = sample(self.fields.flatten(0, 1), world[None, :, 0], world[None, :, 1])
        self._outline_fields = moved.reshape(len(self.fields), 2, -1).cpu().numpy().astype(float)  # (K, 2, P)
        self._outline_world = world.cpu().numpy().astype(float).T  # (2, P)
        self.strength = self._solve(ejection_fraction)

    def amplitudes(self, times_s: Array) -> Array:
        """Weights (T, K) of the displacement fields."""
        contraction = self.heartbeat.contraction
        septal = contraction(times_s, self._after[0])
        lateral = contraction(times_s - self.delays.side_s, self._after[1])
        along = contraction(times_s - self.delays.long_s)
        both = 0.5 * (septal + lateral)
        return np.asarray(self.strength * np.stack([septal, lateral, along, both, both, both], 1))

    def size(self, times_s: Array) -> tuple[Array, Array]:
        """Area in cm^2 and length in cm of the left ventricle (T,)."""
        return self._size(self.amplitudes(times_s))

    def origin(self, x: Tensor, y: Tensor, times_s: Tensor) -> tuple[Tensor, Tensor]:
        """Where the tissue now (times (N,)) at places x, y (D, L) was at end diastole, each (N, D, L)."""
        now = times_s.cpu().numpy().astype(float)
        weights = torch.as_tensor(self.amplitudes(now), dtype=torch.float32, device=x.device)
        field = torch.einsum("nk,kcij->ncij", weights, self.fields)
        rigid = torch.as_tensor(self.sway.at(now, self.heartbeat.contraction(now)), dtype=torch.float32,
                                device=x.device)[:, :, None, None]
        place = torch.stack([x, y])[None]  # (1, 2, D, L)
        coarse = _shrink(place).expand(len(now), -1, -1, -1)
        start = self._unturn(coarse, rigid)
        found = start
        for _ in range(ITERATIONS):
            found = start - _sample_each(field, found)
        moved = interpolate(found - coarse, x.shape, mode="bilinear", align_corners=True) + place
        return moved[:, 0], moved[:, 1]

    def forward(self, points: Array, times_s: Array) -> Array:
        """Places (T, P, 2) in the probe's frame of points (P, 2) n, s of the tissue."""
        world = self.anatomy.to_world(points)
        at = torch.as_tensor(world, dtype=torch.float32, device=self.fields.device)[None]
        moved = sample(self.fields.flatten(0, 1), at[..., 0], at[..., 1]).reshape(len(self.fields), 2, -1)
        path = world + np.einsum("tk,kcp->tpc", self.amplitudes(times_s), moved.cpu().numpy().astype(float))
        dx, dy, turn = self.sway.at(times_s, self.heartbeat.contraction(times_s))
        pivot = np.asarray(self.anatomy.apex)
        sine, cosine = np.sin(turn)[:, None], np.cos(turn)[:, None]
        x, y = (path - pivot)[..., 0], (path - pivot)[..., 1]
        return np.stack([cosine * x - sine * y + pivot[0] + dx[:, None],
                         sine * x + cosine * y + pivot[1] + dy[:, None]], -1)

    def _unturn(self, place: Tensor, rigid: Tensor) -> Tensor:
        """Undo the motion as a whole for places (N, 2, d, l)."""
        px, py = self.anatomy.apex
        x, y = place[:, 0] - rigid[0] - px, place[:, 1] - rigid[1] - py
        sine, cosine = torch.sin(rigid[2]), torch.cos(rigid[2])
        return torch.stack([cosine * x + sine * y + px, cosine * y - sine * x + py], 1)

    def _size(self, amplitudes: Array) -> tuple[Array, Array]:
        x, y = np.einsum("tk,kcp->ctp", amplitudes, self._outline_fields) + self._outline_world[:, None]
        area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1))
        tip = int(np.argmin(self._outline[:, 1]))
        length = np.hypot(0.5 * (x[:, 0] + x[:, -1]) - x[:, tip], 0.5 * (y[:, 0] + y[:, -1]) - y[:, tip])
        return area, length

    def _solve(self, ejection_fraction: float) -> float:
        """Strength at which a full contraction empties the ventricle by the ejection fraction."""
        low, high = 0.0, STRENGTH_LIMIT
        for _ in range(30):
            middle = 0.5 * (low + high)
            area, length = self._size(np.array([[0.0], [middle]]) * np.ones(len(self.fields)))
            volume = area ** 1.5 if self.anatomy.view == "psax" else area ** 2 / length
            low, high = (middle, high) if 1 - volume[1] / volume[0] < ejection_fraction else (low, middle)
        return low


def _shrink(place: Tensor) -> Tensor:
    """Every fourth row and column of places (1, 2, D, L), the corners kept."""
    rows, columns = (-(-side // COARSE) for side in place.shape[2:])
    return interpolate(place, (rows, columns), mode="bilinear", align_corners=True)


def _sample_each(fields: Tensor, place: Tensor) -> Tensor:
    """Values (N, 2, d, l) of fields (N, 2, n, n) at places (N, 2, d, l), one field a frame."""
    grid = torch.stack([(place[:, 0] - LEFT_CM) * (2 / EXTENT_CM) - 1, (place[:, 1] - TOP_CM) * (2 / EXTENT_CM) - 1],
                       -1)
    return grid_sample(fields, grid, padding_mode="border", align_corners=False)


def _fields(anatomy: Anatomy, regional: Regional | None, device: str) -> Tensor:
    """Displacement fields (K, 2, SIDE, SIDE) in cm, x and y, for weights of 1 at full strength.

    K = 6: left ventricle's negative and positive side, shortening along the axis, right ventricle, atria, twist.
    """
    x, y = places(SIDE, device)
    n, s = local(anatomy, x, y)
    outside = signed_distance(anatomy.chambers[0].outline, n, s).clamp_min(0)
    parts = _short_axis(n, s, outside, anatomy) if anatomy.view == "psax" else _long_axis(n, s, outside, anatomy)
    if regional is not None:
        at = regional.at * anatomy.length if anatomy.view != "psax" else 0.0
        spread = 0.22 * anatomy.length if anatomy.view != "psax" else 10.0
        keep = 1 - (1 - regional.spared) * torch.exp(-0.5 * ((s - at) / spread) ** 2)
        side = 0 if regional.side < 0 else 1
        parts[side] = parts[side] * keep
    sine, cosine = float(np.sin(anatomy.tilt)), float(np.cos(anatomy.tilt))
    return torch.stack([torch.stack([un * cosine + us * sine, us * cosine - un * sine]) for un, us in parts])


def _long_axis(n: Tensor, s: Tensor, outside: Tensor, anatomy: Anatomy) -> list[Tensor]:
    """Fields (n, s) of views along the axis."""
    length, half = anatomy.length, anatomy.half_width
    wall = sum(anatomy.chambers[0].walls_cm) / 2
    fade = torch.exp(-outside / (1.3 * wall))
    reach = n.clamp(-half, half) * fade
    near_base = (1 - 0.45 * ((s / length - 0.6) / 0.4).clamp(0, 1)) * torch.exp(-((s - length).clamp_min(0)) / 1.0)
    cap = (0.3 * length - s).clamp_min(0) * fade
    positive = torch.sigmoid(n / (0.25 * half))
    across = -reach * near_base
    left = torch.stack([across * (1 - positive), cap * (1 - positive) * 0.6])
    right = torch.stack([across * positive, cap * positive * 0.6])
    roof = 4.5
    along = (s / length).clamp(0, 1) * (1 - (s - length).clamp_min(0) / roof).clamp_min(0)
    window = torch.exp(-0.5 * ((n.abs() - half - 3.5).clamp_min(0) / 1.5) ** 2)
    shorten = torch.stack([torch.zeros_like(n), -LONG_SHARE * length * along * window])
    zero = torch.zeros_like(shorten)
    return [left, right, shorten, _right_ventricle(n, s, anatomy), _atria(n, s, anatomy), zero]


def _short_axis(n: Tensor, s: Tensor, outside: Tensor, anatomy: Anatomy) -> list[Tensor]:
    """Fields of the short axis: inward on either side, and a twist around the middle."""
    wall = anatomy.chambers[0].walls_cm[0]
    fade = torch.exp(-outside / (1.3 * wall))
    scale = (anatomy.half_width / torch.hypot(n, s).clamp_min(anatomy.half_width)) * fade
    inward = -torch.stack([n, s]) * scale
    positive = torch.sigmoid(n / (0.25 * anatomy.half_width))
    twist = 0.22 * torch.stack([-s, n]) * torch.exp(-outside / 1.0)
    zero = torch.zeros_like(inward)
    return [inward * (1 - positive), inward * positive, zero, _right_ventricle(n, s, anatomy), zero, twist]


def _right_ventricle(n: Tensor, s: Tensor, anatomy: Anatomy) -> Tensor:
    """The free wall moves towards the septum."""
    found = [chamber.outline for chamber in anatomy.chambers if chamber.name == "rv"]
    if not found:
        return torch.zeros(2, *n.shape, device=n.device)
    outline = found[0]
    center = outline.mean(0)
    septal = outline[np.argmin(np.hypot(*(outline - [0.0, anatomy.length / 2 * (anatomy.view != "psax")]).T))]
    toward = (septal - center) / max(float(np.hypot(*(septal - center))), 1e-6)
    outside = signed_distance(outline, n, s).clamp_min(0)
    away = -((n - septal[0]) * float(toward[0]) + (s - septal[1]) * float(toward[1]))
    limit = 2 * float(np.hypot(*(septal - center)))
    size = RIGHT_SHARE * away.clamp(0, limit) * torch.exp(-outside / 0.8)
    return torch.stack([size * float(toward[0]), size * float(toward[1])])


def _atria(n: Tensor, s: Tensor, anatomy: Anatomy) -> Tensor:
    """The atria widen while the ventricles empty."""
    total = torch.zeros(2, *n.shape, device=n.device)
    for chamber in anatomy.chambers:
        if chamber.name in ("la", "ra"):
            middle = chamber.outline.mean(0)
            outside = signed_distance(chamber.outline, n, s).clamp_min(0)
            half = float(np.ptp(chamber.outline[:, 0])) / 2
            total[0] += ATRIAL_SHARE * (n - float(middle[0])).clamp(-half, half) * torch.exp(-outside / 0.5)
    return total
