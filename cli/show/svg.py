"""Charts of the report as SVG text; colors and strokes are classes that the page's style sheet defines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH, LEFT, RIGHT = 1000, 34, 988
HEIGHT, TOP, BOTTOM = 190, 30, 160
SIDE, EDGE = 420, 34
POINTS = 4000  # of a curve; more cannot be seen
EARLY, LATE = (72, 40, 120), (240, 200, 40)  # colors of the first and the last moment


def time_chart(times_s: Array, values: Array, label: str,
               events: Sequence[tuple[str, str, Sequence[int]]] = ()) -> Markup:
    """Curve over time with a play head; `events` are a class, a word and the frames to mark."""
    x, y = _along(times_s, times_s), _up(values)
    every = max(1, len(x) // POINTS)
    curve = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[::every], y[::every], strict=True))
    marks = [f'<line class="{name}" x1="{x[k]:.1f}" x2="{x[k]:.1f}" y1="{TOP}" y2="{BOTTOM}" opacity=".3"/>'
             f'<circle class="{name}" cx="{x[k]:.1f}" cy="{y[k]:.1f}" r="5"/>'
             f'<text class="{name}" x="{x[k]:.1f}" y="{TOP - 8}" text-anchor="middle">{word}</text>'
             for name, word, frames in events for k in frames]
    return Markup(f'<svg class="seek" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label} over time">'
            f'<text transform="translate(16 {(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{label}</text>'
            f'{_ticks(times_s)}<polyline class="curve" points="{curve}"/>{"".join(marks)}'
            f'<line class="head" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{BOTTOM}"/></svg>')


def path_chart(points: Array, start: int, across: tuple[str, str],
               events: Sequence[tuple[str, str, Sequence[int]]]) -> tuple[Markup, Array]:
    """Path of points (T, 2) of the frames from `start` on, and the places (T, 2) of its points in the chart."""
    low, high = points.min(0), points.max(0)
    scale = (SIDE - 2 * EDGE) / np.maximum(high - low, 1e-9)
    places = EDGE + (points - low) * scale
    places[:, 1] = SIDE - places[:, 1]
    colors = np.linspace(EARLY, LATE, len(points)).round().astype(int)
    lines = [f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" stroke-width="1.8" '
             f'stroke="rgb({color[0]},{color[1]},{color[2]})"/>'
             for a, b, color in zip(places[:-1], places[1:], colors, strict=False)]
    dots = [f'<circle class="{name}" cx="{places[k - start][0]:.1f}" cy="{places[k - start][1]:.1f}" r="6"/>'
            for name, _, frames in events for k in frames if 0 <= k - start < len(points)]
    middle = SIDE - EDGE + low[1] * scale[1]
    axis = (f'<line class="arrow" x1="{EDGE}" x2="{SIDE - EDGE}" y1="{middle:.1f}" y2="{middle:.1f}" '
            f'stroke-dasharray="5 4"/><text x="{EDGE}" y="{SIDE - 8}">{across[0]}</text>'
            f'<text x="{SIDE / 2}" y="{SIDE - 8}" text-anchor="middle">principal direction</text>'
            f'<text x="{SIDE - EDGE}" y="{SIDE - 8}" text-anchor="end">{across[1]}</text>')
    text = (f'<svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="Path of the coefficients">{axis}{"".join(lines)}'
            f'{"".join(dots)}<circle class="dot" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="7"/></svg>')
    return Markup(text), places


def _along(times_s: Array, wanted_s: Array) -> Array:
    return np.asarray(LEFT + (RIGHT - LEFT) * wanted_s / max(float(times_s[-1]), 1e-9))


def _up(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    return np.asarray(BOTTOM - 6 - (BOTTOM - TOP - 12) * (values - low) / max(high - low, 1e-9))


def _ticks(times_s: Array) -> str:
    """Time axis with about eight round marks."""
    last = max(float(times_s[-1]), 1e-9)
    step = next(size * 10 ** power for power in range(-6, 9) for size in (1.0, 2.0, 5.0)
                if last / (size * 10 ** power) <= 8)
    marks = np.arange(0, last + 1e-9, step)
    x = _along(times_s, marks)
    lines = "".join(f'<line class="tick" x1="{a:.1f}" x2="{a:.1f}" y1="{BOTTOM}" y2="{BOTTOM + 5}"/>'
                    f'<text x="{a:.1f}" y="{BOTTOM + 21}" text-anchor="middle">{mark:g}</text>'
                    for a, mark in zip(x[:-1] if x[-1] > RIGHT - 30 else x, marks, strict=False))
    return (f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>{lines}'
            f'<text x="{RIGHT}" y="{BOTTOM + 21}" text-anchor="end">seconds</text>')
