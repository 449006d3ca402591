"""Rate-distortion curves of a codec from its rows: upper hull of one clip, means over clips at equal ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.show.bdrate import bd_rate_percent

Metric = Literal["psnr_db", "ssim3d"]
Front = list[tuple[float, float]]
"""(bytes, quality), both rising."""

LOSSLESS_DB = 100.0
"""Rows of this PSNR and above are no part of a curve: between them and any lossy point nothing can be interpolated."""


def front(rows: Iterable[Row], metric: Metric) -> Front:
    """Points of one clip that no smaller point beats."""
    points = [(row.size_bytes, value) for row in rows
              if (value := getattr(row, metric)) is not None and row.size_bytes is not None
              and row.psnr_db is not None and row.psnr_db < LOSSLESS_DB]
    best: Front = []
    for size, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or quality > best[-1][1]:
            best.append((size, quality))
    return best


def at_bytes(curve: Front, size_bytes: float) -> float | None:
    """Quality of a front at a size, log-linear between its points; None outside them."""
    if not curve or not curve[0][0] <= size_bytes <= curve[-1][0]:
        return None
    sizes, qualities = zip(*curve, strict=True)
    return float(np.interp(np.log(size_bytes), np.log(sizes), qualities))


def by_clip(rows: Iterable[Row], codec: str) -> dict[tuple[str, str], list[Row]]:
    """Measured rows of a codec by clip."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.codec == codec and row.size_bytes is not None:
            found.setdefault((row.clip, row.clip_id), []).append(row)
    return found


def codecs(rows: Iterable[Row]) -> list[str]:
    """Codecs with a measured row, ours first, then in the order of the rows."""
    names = list(dict.fromkeys(row.codec for row in rows if row.size_bytes is not None))
    ours = {row.codec for row in rows if row.is_ours}
    return sorted(names, key=lambda name: name not in ours)


def mean_curve(rows: Sequence[Row], codec: str, metric: Metric,
               ratios: Sequence[float]) -> NDArray[np.float64]:
    """Means over clips of the fronts at equal ratios; NaN where a clip's front does not reach."""
    fronts = [(clip_rows[0].raw_bytes, front(clip_rows, metric)) for clip_rows in by_clip(rows, codec).values()]
    means = []
    for ratio in ratios:
        found = [at_bytes(curve, raw / ratio) for raw, curve in fronts]
        reached = [value for value in found if value is not None]
        means.append(float(np.mean(reached)) if reached and len(reached) == len(found) else float("nan"))
    return np.array(means)


def bd_rates(rows: Sequence[Row], codec: str, anchor: str, metric: Metric) -> list[float]:
    """BD-rate of a codec against the anchor in percent, for every clip where both curves share qualities."""
    anchors = by_clip(rows, anchor)
    found = []
    for clip, clip_rows in by_clip(rows, codec).items():
        test, reference = front(clip_rows, metric), front(anchors.get(clip, []), metric)
        if test and reference:
            value = bd_rate_percent(*zip(*reference, strict=True), *zip(*test, strict=True))
            found += [] if value is None else [value]
    return found
