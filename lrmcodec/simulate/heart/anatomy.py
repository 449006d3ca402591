"""Hearts at end diastole, drawn at random for each view: outlines of the cavities, walls, valves, muscles.

Everything is given in the ventricle's own frame, in cm: `s` along its long axis from the apex (0) to the mitral
annulus (its length), `n` across, positive towards the right of the picture in apical views. Dimensions follow the
reference ranges of the echocardiography societies (Lang et al., J Am Soc Echocardiogr 28, 2015, 1-39), with dilated
and hypertrophic hearts beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

VIEWS = ("a4c", "a2c", "plax", "psax")
SHAPES = ("normal", "dilated", "hypertrophic")
SIDE_POINTS = 40
"""Points of an outline along each side of the left ventricle."""


@dataclass(frozen=True)
class Chamber:
    """A cavity and its wall.

    Attributes
    ----------
    name : str
        "lv", "la", "rv", "ra" or "ao".
    outline : ndarray, (P, 2)
        Points (n, s) of the closed endocardial outline.
    walls_cm : tuple of float
        Thickness of the wall on the side of negative and of positive n.
    """

    name: str
    outline: Array
    walls_cm: tuple[float, float]


@dataclass(frozen=True)
class Valve:
    """Two leaflets between two hinges.

    Attributes
    ----------
    hinges : ndarray, (2, 2)
        Points (n, s).
    lengths : tuple of float
        Of the leaflets, in units of the distance between the hinges.
    side : int
        +1 or -1: on which side of the line from the first hinge to the second the leaflets open.
    is_inlet : bool
        Whether it opens while the ventricle fills; otherwise while it empties.
    """

    hinges: Array
    lengths: tuple[float, float]
    side: int
    is_inlet: bool


@dataclass(frozen=True)
class Muscle:
    """An ellipse of muscle inside a cavity: center and half-axes (n, s)."""

    center: tuple[float, float]
    half_axes: tuple[float, float]


@dataclass(frozen=True)
class Anatomy:
    """One heart in one view.

    Attributes
    ----------
    view, shape : str
    chambers : tuple of Chamber
        The left ventricle first.
    valves : tuple of Valve
    muscles : tuple of Muscle
    orifices : tuple of ndarray, each (2, 2)
        Segments (n, s) across which blood joins two cavities.
    length, half_width : float
        Of the left ventricle; radius twice for the short-axis view.
    apex : tuple of float
        Where the frame's origin lies, in the probe's frame.
    tilt : float
        Radians from straight down to the long axis, towards the right of the picture.
    effusion_cm : float
        Fluid between heart and pericardium.
    """

    view: str
    shape: str
    chambers: tuple[Chamber, ...]
    valves: tuple[Valve, ...]
    muscles: tuple[Muscle, ...]
    orifices: tuple[Array, ...]
    length: float
    half_width: float
    apex: tuple[float, float]
    tilt: float
    effusion_cm: float

    def to_world(self, points: Array) -> Array:
        """Places (..., 2) x, y in the probe's frame of points (..., 2) n, s."""
        sine, cosine = np.sin(self.tilt), np.cos(self.tilt)
        n, s = points[..., 0], points[..., 1]
        return np.stack([self.apex[0] + n * cosine + s * sine, self.apex[1] - n * sine + s * cosine], axis=-1)


def draw_anatomy(rng: np.random.Generator, view: str, shape: str, effusion: bool) -> Anatomy:
    """Draw a heart for one of `VIEWS` with one of `SHAPES`."""
    draw = {"a4c": _apical_four, "a2c": _apical_two, "plax": _long_axis, "psax": _short_axis}[view]
    return draw(rng, shape, rng.uniform(0.4, 1.3) if effusion else 0.0)


@dataclass(frozen=True)
class _Ventricle:
    """Size of a left ventricle and the profile of its half-width."""

    length: float
    half_width: float
    walls: tuple[float, float]
    widest: float
    taper: float
    bend: float

    def half(self, s: Array) -> Array:
        """Half-width at `s`, which is held between apex and annulus."""
        u = np.clip(s / self.length, 0, 1)
        cap = np.sqrt(np.maximum(1 - (1 - np.minimum(u, self.widest) / self.widest) ** 2, 0))
        return np.asarray(self.half_width * cap * (1 - self.taper * (np.maximum(u - self.widest, 0)
                                                                     / (1 - self.widest)) ** 2))

    def axis(self, s: Array) -> Array:
        """Where the bent axis lies across."""
        return np.asarray(self.bend * np.sin(np.pi * np.clip(s / self.length, 0, 1)))

    def outline(self) -> Array:
        """Outline from the annulus's negative side round the apex to its positive side."""
        s = self.length * np.linspace(0, 1, SIDE_POINTS) ** 1.6
        left = np.stack([self.axis(s) - self.half(s), s], 1)[::-1]
        right = np.stack([self.axis(s) + self.half(s), s], 1)[1:]
        return np.concatenate([left, right])


def _draw_ventricle(rng: np.random.Generator, shape: str, seen: float = 1.0) -> _Ventricle:
    """Draw a ventricle of which a share `seen` of the length lies in the plane: less where the apex is cut off."""
    length, half_width, wall = rng.uniform(6.6, 8.6), rng.uniform(1.75, 2.35), rng.uniform(0.75, 1.1)
    if shape == "dilated":
        length, half_width, wall = length * 1.12, half_width * rng.uniform(1.2, 1.45), wall * 0.85
    if shape == "hypertrophic":
        half_width, wall = half_width * 0.85, rng.uniform(1.3, 1.9)
    asymmetry = rng.uniform(0.85, 1.2)
    return _Ventricle(length * seen, half_width, (wall * asymmetry, wall / asymmetry), rng.uniform(0.5, 0.68),
                      rng.uniform(0.1, 0.32), rng.uniform(-0.25, 0.25))


def _foreshortening(rng: np.random.Generator) -> float:
    """Share of the ventricle's length that an apical view shows: all of it in six clips of ten."""
    return float(min(rng.uniform(0.75, 1.375), 1.0))


def _ellipse(center: tuple[float, float], half_axes: tuple[float, float], power: float = 2.4) -> Array:
    """Outline (64, 2) of a superellipse."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    round_ = np.stack([np.sign(cosine) * np.abs(cosine) ** (2 / power), np.sign(sine) * np.abs(sine) ** (2 / power)], 1)
    return np.asarray(center + round_ * np.asarray(half_axes))


def _inlet(outline: Array, rng: np.random.Generator, swap: bool = False) -> Valve:
    """Mitral valve between the ends of the ventricle's outline."""
    lengths = (rng.uniform(0.56, 0.62), rng.uniform(0.44, 0.46))
    return Valve(outline[[0, -1]], lengths[::-1] if swap else lengths, -1, True)


def _apical_apex(rng: np.random.Generator, shift: float) -> tuple[float, float]:
    return rng.uniform(-0.3, 0.9) + shift, rng.uniform(2.0, 3.4)


def _papillary(rng: np.random.Generator, ventricle: _Ventricle, sides: tuple[int, ...]) -> tuple[Muscle, ...]:
    """Papillary muscles lying on the wall half way up the ventricle."""
    found = []
    for side in sides:
        s = ventricle.length * rng.uniform(0.42, 0.58)
        edge = float(ventricle.axis(np.asarray(s)) + side * ventricle.half(np.asarray(s)))
        found.append(Muscle((edge - side * rng.uniform(0.1, 0.4), s), (rng.uniform(0.25, 0.45), rng.uniform(0.6, 1.1))))
    return tuple(found)


def _apical_four(rng: np.random.Generator, shape: str, effusion_cm: float) -> Anatomy:
    lv = _draw_ventricle(rng, shape, _foreshortening(rng))
    outline = lv.outline()
    annulus = (float(outline[0, 0]), float(outline[-1, 0]))
    size = rng.uniform(0.9, 1.25)
    la_height, la_half = rng.uniform(3.4, 4.6) * size, rng.uniform(1.7, 2.1) * size
    la_middle = 0.5 * sum(annulus) + rng.uniform(-0.1, 0.3)
    septum = lv.walls[0]
    s = np.linspace(rng.uniform(0.18, 0.32), 0.96, 24) * lv.length
    septal = lv.axis(s) - lv.half(s) - septum * (0.75 + 0.25 * s / lv.length)
    width = rng.uniform(2.2, 3.6) * np.sin(0.5 * np.pi * ((s - s[0]) / (s[-1] - s[0])).clip(0, 1) ** 0.8)
    free = septal - np.maximum(width, 0.05)
    rv = np.concatenate([np.stack([septal, s], 1)[::-1], np.stack([free, s], 1)[1:]])
    ra_half, ra_height = 0.5 * float(width[-1]) * rng.uniform(0.95, 1.2), la_height * rng.uniform(0.85, 1.05)
    ra_middle = min(0.5 * float(septal[-1] + free[-1]), la_middle - la_half - ra_half - 0.25)
    gap = rng.uniform(0.15, 0.3)
    la = _ellipse((la_middle, lv.length + gap + la_height / 2), (la_half, la_height / 2))
    chambers = (Chamber("lv", outline, lv.walls), Chamber("la", la, (0.25, 0.3)),
                Chamber("rv", rv, (rng.uniform(0.3, 0.5), 0.3)),
                Chamber("ra", _ellipse((ra_middle, s[-1] + gap + ra_height / 2), (ra_half, ra_height / 2)), (.25, .25)))
    tricuspid = Valve(np.stack([rv[-1], rv[0]]), (rng.uniform(0.55, 0.6), rng.uniform(0.45, 0.48)), -1, True)
    return Anatomy("a4c", shape, chambers, (_inlet(outline, rng, swap=rng.uniform() < 0.3), tricuspid),
                   _papillary(rng, lv, (1,)), (outline[[0, -1]], np.stack([rv[-1], rv[0]])), lv.length, lv.half_width,
                   _apical_apex(rng, 0.3), rng.uniform(-0.24, 0.16), effusion_cm)


def _apical_two(rng: np.random.Generator, shape: str, effusion_cm: float) -> Anatomy:
    lv = _draw_ventricle(rng, shape, _foreshortening(rng))
    outline = lv.outline()
    height, half = rng.uniform(3.4, 4.8), rng.uniform(1.8, 2.4)
    middle = float(outline[[0, -1], 0].mean()) + rng.uniform(-0.3, 0.3)
    la = _ellipse((middle, lv.length + 0.2 + height / 2), (half, height / 2))
    return Anatomy("a2c", shape, (Chamber("lv", outline, lv.walls), Chamber("la", la, (0.25, 0.25))),
                   (_inlet(outline, rng),), _papillary(rng, lv, (-1, 1)), (outline[[0, -1]],), lv.length,
                   lv.half_width, _apical_apex(rng, -0.4), rng.uniform(-0.15, 0.15), effusion_cm)


def _long_axis(rng: np.random.Generator, shape: str, effusion_cm: float) -> Anatomy:
    """Parasternal: apex to the left, positive n up towards the right ventricle."""
    lv = _draw_ventricle(rng, shape)
    outline = lv.outline()
    length, root = lv.length, rng.uniform(1.3, 1.7)
    low, high = float(outline[0, 0]), float(outline[-1, 0])
    root_low = high - root - 0.3
    ao_s = np.linspace(0, rng.uniform(3.0, 4.5), 12)
    bulge = 0.25 * np.exp(-((ao_s - 1.0) / 0.6) ** 2)
    rise = 0.12 * ao_s
    aorta = np.concatenate([np.stack([root_low - bulge + rise, length + 0.1 + ao_s], 1)[::-1],
                            np.stack([root_low + root + 0.4 + bulge + rise, length + 0.1 + ao_s], 1)])
    la_half, la_height = rng.uniform(1.5, 2.1), rng.uniform(3.6, 4.6)
    la = _ellipse((root_low - 0.35 - la_half, length + 0.25 + la_height / 2), (la_half, la_height / 2))
    s = np.linspace(0.2 * length, length + rng.uniform(1.0, 2.5), 24)
    below = lv.axis(s) + np.maximum(lv.half(s), high) + lv.walls[1] + 0.12 * np.maximum(s - length, 0)
    tall = rng.uniform(1.4, 2.4) * np.sin(np.pi * np.linspace(0.03, 0.9, 24)) ** 0.5
    rv = np.concatenate([np.stack([below, s], 1)[::-1], np.stack([below + tall, s], 1)])
    mitral = np.array([[low, length], [root_low - 0.1, length + 0.1]])
    outlet = np.array([[root_low, length + 0.25], [root_low + root + 0.4, length + 0.15]])
    chambers = (Chamber("lv", outline, lv.walls), Chamber("la", la, (0.25, 0.2)), Chamber("rv", rv, (0.3, 0.45)),
                Chamber("ao", aorta, (0.2, 0.25)))
    valves = (Valve(mitral, (0.5, 0.68), -1, True), Valve(outlet, (0.52, 0.52), 1, False))
    apex = (-rng.uniform(0.55, 0.75) * length, rng.uniform(6.0, 7.6))
    return Anatomy("plax", shape, chambers, valves, (), (mitral, outlet), length, lv.half_width, apex,
                   rng.uniform(1.35, 1.62), effusion_cm)


def _short_axis(rng: np.random.Generator, shape: str, effusion_cm: float) -> Anatomy:
    """Mid-papillary short axis: the ventricle is a circle around the frame's origin."""
    lv = _draw_ventricle(rng, shape)
    radius, wall = lv.half_width * 1.12, float(np.mean(lv.walls))
    lv_outline = _ellipse((0.0, 0.0), (radius * rng.uniform(0.96, 1.04), radius), power=2.0)
    angle = np.linspace(-0.55 * np.pi, 0.5 * np.pi, 24)
    inner = (radius + wall) * np.stack([-np.cos(angle), -np.sin(angle)], 1)
    depth = rng.uniform(1.2, 2.2) * np.sin(np.linspace(0.03, 0.97, 24) * np.pi)
    outer = (radius + wall + depth)[:, None] * np.stack([-np.cos(angle), -np.sin(angle)], 1)
    rv = np.concatenate([inner, outer[::-1]])
    muscles = tuple(Muscle((radius * 0.72 * np.cos(a), radius * 0.72 * np.sin(a)), (rng.uniform(.35, .5),) * 2)
                    for a in (rng.uniform(0.05, 0.25) * np.pi, rng.uniform(0.7, 0.9) * np.pi))
    chambers = (Chamber("lv", lv_outline, (wall, wall)), Chamber("rv", rv, (0.35, 0.35)))
    return Anatomy("psax", shape, chambers, (), muscles, (), radius, radius,
                   (rng.uniform(-0.2, 0.9), rng.uniform(6.4, 7.6)), rng.uniform(-0.2, 0.2), effusion_cm)
