"""Still pictures of the tissue at end diastole: how strongly each place scatters, and which part it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from lrmcodec.simulate.heart.anatomy import Anatomy, Chamber
from lrmcodec.simulate.noise import smooth_field

LABELS = {"background": 0, "lv": 1, "myocardium": 2, "la": 3, "rv": 4, "ra": 5, "ao": 6, "pericardial fluid": 7}
"""Values of the label masks."""

EXTENT_CM = 22.0
"""Side of the square that is painted, from -11 to 11 cm across and from -1 to 21 cm deep."""

LEFT_CM, TOP_CM = -11.0, -1.0
SIDE = 272
"""Samples of the painted square along each side."""


@dataclass(frozen=True)
class Looks:
    """Levels in dB of one patient's tissue, and how it varies.

    `thin_db` is how much weaker the walls of atria, right ventricle and aorta are than the left ventricle's;
    `regions_db` the standard deviation over regions of `region_cm` (drop-out, fiber direction), `patches_db` that over
    the finer ones of `patch_cm`.
    """

    blood_db: float
    muscle_db: float
    valve_db: float
    outside_db: float
    chest_db: float
    posterior_db: float
    pericardium_db: float
    thin_db: float
    patches_db: float
    patch_cm: float
    regions_db: float
    region_cm: float
    edge_cm: float


def draw_looks(rng: np.random.Generator) -> Looks:
    """Draw the levels of one patient."""
    muscle = rng.uniform(-22, -14)
    return Looks(blood_db=muscle - rng.uniform(24, 34), muscle_db=muscle, valve_db=muscle - rng.uniform(4, 12),
                 outside_db=muscle - rng.uniform(6, 22), chest_db=muscle + rng.uniform(-8, 3),
                 posterior_db=muscle + rng.uniform(-6, 5), pericardium_db=muscle - rng.uniform(4, 12),
                 thin_db=rng.uniform(2, 9), patches_db=rng.uniform(3.0, 5.5), patch_cm=rng.uniform(0.25, 0.6),
                 regions_db=rng.uniform(4.0, 8.0), region_cm=rng.uniform(1.0, 2.0), edge_cm=rng.uniform(0.06, 0.16))


@dataclass(frozen=True)
class Tissue:
    """What is painted: channels (C, SIDE, SIDE) float32 and labels (SIDE, SIDE) uint8.

    Channels: level in dB; two independent patches in dB, zero mean; amplitude of smooth surfaces.
    """

    channels: Tensor
    labels: Tensor

    def look_up(self, x: Tensor, y: Tensor) -> Tensor:
        """Channels (C, ...) at places x, y (...) in cm of the tissue at end diastole."""
        return sample(self.channels, x, y)


def sample(channels: Tensor, x: Tensor, y: Tensor, mode: str = "bilinear") -> Tensor:
    """Values (C, ...) of pictures (C, n, n) of the painted square at places x, y (...); edges are continued."""
    grid = torch.stack([(x - LEFT_CM) * (2 / EXTENT_CM) - 1, (y - TOP_CM) * (2 / EXTENT_CM) - 1], -1)
    found = grid_sample(channels[None], grid.reshape(1, -1, x.shape[-1], 2), mode=mode, padding_mode="border",
                        align_corners=False)
    return found[0].reshape(len(channels), *x.shape)


def places(side: int, device: str) -> tuple[Tensor, Tensor]:
    """Places x, y (side, side) in cm of the samples of the painted square."""
    at = (torch.arange(side, device=device) + 0.5) * (EXTENT_CM / side)
    return (at + LEFT_CM).expand(side, side), (at + TOP_CM)[:, None].expand(side, side)


def local(anatomy: Anatomy, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates n, s in the ventricle's frame of places x, y."""
    sine, cosine = float(np.sin(anatomy.tilt)), float(np.cos(anatomy.tilt))
    dx, dy = x - anatomy.apex[0], y - anatomy.apex[1]
    return dx * cosine - dy * sine, dx * sine + dy * cosine


def signed_distance(outline: NDArray[np.float64], n: Tensor, s: Tensor) -> Tensor:
    """Distance in cm to a closed outline (P, 2), negative inside, at points n, s (...)."""
    points = torch.as_tensor(outline, dtype=torch.float32, device=n.device)
    best = torch.full_like(n, torch.inf)
    inside = torch.zeros_like(n, dtype=torch.bool)
    for (an, as_), (bn, bs) in zip(points, points.roll(-1, 0), strict=True):
        en, es, pn, ps = bn - an, bs - as_, n - an, s - as_
        along = ((pn * en + ps * es) / (en * en + es * es).clamp_min(1e-9)).clamp(0, 1)
        best = torch.minimum(best, (pn - along * en) ** 2 + (ps - along * es) ** 2)
        crosses = (as_ > s) != (bs > s)
        inside ^= crosses & (n < an + (s - as_) * en / torch.where(es == 0, torch.ones_like(es), es))
    distance = best.sqrt()
    return torch.where(inside, -distance, distance)


def segment_distance(segment: NDArray[np.float64], n: Tensor, s: Tensor) -> Tensor:
    """Distance in cm to a segment (2, 2)."""
    (an, as_), (bn, bs) = segment.tolist()
    en, es = bn - an, bs - as_
    along = (((n - an) * en + (s - as_) * es) / max(en * en + es * es, 1e-9)).clamp(0, 1)
    return torch.hypot(n - an - along * en, s - as_ - along * es)


def paint(anatomy: Anatomy, looks: Looks, rng: np.random.Generator, generator: torch.Generator,
          device: str) -> Tissue:
    """Paint the heart and what lies around it."""
    x, y = places(SIDE, device)
    n, s = local(anatomy, x, y)
    uneven = smooth_field(SIDE, 0.9 * SIDE / EXTENT_CM, 1, generator, device)[0]
    distances = [_uneven_distance(chamber, n, s, uneven) for chamber in anatomy.chambers]
    wall = torch.stack([distance - _thickness(anatomy, chamber, n, s)
                        for chamber, distance in zip(anatomy.chambers, distances, strict=True)])
    cavity = torch.stack(distances).amin(0)
    for orifice in anatomy.orifices:
        cavity = torch.minimum(cavity, torch.maximum(segment_distance(orifice, n, s) - 0.35, _beyond(orifice, n, s)))
    muscle = _muscles(anatomy, n, s)
    heart = wall.amin(0)
    around = _around(anatomy, looks, x, y, heart, rng)
    fluid = anatomy.effusion_cm
    level = _mix(around, looks.blood_db, _inside(heart - fluid, 0.08)) if fluid else around
    level = _mix(level, looks.muscle_db - looks.thin_db, _inside(heart, 0.08))
    level = _mix(level, looks.muscle_db, _inside(wall[0], 0.08))
    regions = smooth_field(SIDE, looks.region_cm * SIDE / EXTENT_CM, 1, generator, device)[0].real
    level = level + looks.regions_db * regions
    blood = _inside(cavity, looks.edge_cm) * (1 - _inside(muscle, looks.edge_cm))
    level = _mix(level, looks.blood_db, blood)
    patches = smooth_field(SIDE, looks.patch_cm * SIDE / EXTENT_CM, 1, generator, device)[0]
    spread = looks.patches_db * (1 - 0.6 * blood)
    mirror = _pericardium(looks, heart - fluid, n, y, anatomy, rng) * 10 ** ((10 * regions + 4 * patches.real - 3) / 20)
    channels = torch.stack([level, spread * patches.real, spread * patches.imag, mirror]).float()
    return Tissue(channels, _labels(anatomy, distances, wall, heart, muscle))


def _uneven_distance(chamber: Chamber, n: Tensor, s: Tensor, uneven: Tensor) -> Tensor:
    """Distance to a chamber's outline, which is made uneven; the left ventricle's least, since its area is truth."""
    size = 0.08 if chamber.name == "lv" else 0.3
    return signed_distance(chamber.outline, n + size * uneven.real, s + size * uneven.imag)


def _inside(distance: Tensor, softness: float) -> Tensor:
    """1 well inside (negative distance), 0 well outside."""
    return torch.sigmoid(-distance / (0.5 * softness))


def _mix(level: Tensor, other: Tensor | float, weight: Tensor) -> Tensor:
    return level + (other - level) * weight


def _beyond(orifice: NDArray[np.float64], n: Tensor, s: Tensor) -> Tensor:
    """Distance beyond the ends of an orifice, negative between them; keeps its blood off the hinges."""
    start, stop = orifice
    length = float(np.hypot(*(stop - start)))
    along = ((n - start[0]) * (stop[0] - start[0]) + (s - start[1]) * (stop[1] - start[1])) / length
    return torch.maximum(-along, along - length) + 0.1


def _thickness(anatomy: Anatomy, chamber: Chamber, n: Tensor, s: Tensor) -> Tensor:
    """Wall thickness in cm around a chamber; the ventricle's apex is thinner."""
    low, high = chamber.walls_cm
    thickness = low + (high - low) * torch.sigmoid(n / 0.4)
    if chamber.name == "lv" and anatomy.view != "psax":
        thickness = thickness * (0.6 + 0.4 * (s / (0.35 * anatomy.length)).clamp(0, 1))
        thickness = thickness * (1 - 0.8 * ((s - anatomy.length) / 0.4).clamp(0, 1))  # none below the annulus
    return thickness


def _muscles(anatomy: Anatomy, n: Tensor, s: Tensor) -> Tensor:
    """About the distance in cm to the nearest papillary muscle, negative inside."""
    nearest = torch.full_like(n, 10.0)
    for muscle in anatomy.muscles:
        (cn, cs), (hn, hs) = muscle.center, muscle.half_axes
        nearest = torch.minimum(nearest, (torch.hypot((n - cn) / hn, (s - cs) / hs) - 1) * min(hn, hs))
    return nearest


def _around(anatomy: Anatomy, looks: Looks, x: Tensor, y: Tensor, heart: Tensor, rng: np.random.Generator) -> Tensor:
    """Level in dB outside the heart: chest wall above with fascia lines, lung at the sides, a bright far tissue."""
    skin = float(rng.uniform(1.2, 2.4))
    wavy = 0.25 * torch.sin(x * float(rng.uniform(0.4, 1.0)) + float(rng.uniform(0, 6)))
    lines = 5 * torch.cos(2 * torch.pi * (y + wavy) / float(rng.uniform(0.4, 0.9)))
    chest = looks.chest_db + lines
    level = _mix(torch.full_like(x, looks.outside_db), chest, _inside(y - skin, 0.8))
    bottom = anatomy.apex[1] + anatomy.length * float(rng.uniform(1.35, 1.5)) if anatomy.view[0] == "a" else 10.5
    slope = float(rng.uniform(-0.05, 0.25))
    far = bottom - slope * x.abs() - y
    posterior = looks.posterior_db - float(rng.uniform(1.5, 4.0)) * (-far).clamp_min(0)
    return _mix(level, posterior, _inside(far, 0.8) * _inside(-heart, 0.3))


def _pericardium(looks: Looks, distance: Tensor, n: Tensor, y: Tensor, anatomy: Anatomy,
                 rng: np.random.Generator) -> Tensor:
    """Amplitude of the bright line around the heart, strongest far from the probe, in pieces."""
    middle = anatomy.apex[1] + 0.6 * (anatomy.length if anatomy.view[0] == "a" else 0)
    shown = torch.sigmoid((y - middle - float(rng.uniform(1.0, 3.0))) / 1.0)
    pieces = 0.55 + 0.45 * torch.sin(n * float(rng.uniform(0.8, 1.8)) + float(rng.uniform(0, 6)))
    line = torch.exp(-0.5 * ((distance - 0.1) / 0.14) ** 2)
    return 10 ** (looks.pericardium_db / 20) * shown * pieces * line


def _labels(anatomy: Anatomy, distances: list[Tensor], wall: Tensor, heart: Tensor, muscle: Tensor) -> Tensor:
    """Label (SIDE, SIDE) uint8 of each sample; later ones go over earlier ones."""
    labels = torch.zeros_like(heart, dtype=torch.uint8)
    labels[heart - anatomy.effusion_cm < 0] = LABELS["pericardial fluid"] if anatomy.effusion_cm else 0
    labels[(heart < 0) & (heart >= wall[0])] = LABELS["background"]
    labels[wall[0] < 0] = LABELS["myocardium"]
    for chamber, distance in reversed(list(zip(anatomy.chambers, distances, strict=True))):
        labels[distance < 0] = LABELS[chamber.name]
    labels[(muscle < 0) & (distances[0] >= 0) & (wall[0] < 0)] = LABELS["myocardium"]
    return labels
