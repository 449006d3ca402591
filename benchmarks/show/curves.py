"""Rate-distortion curves of a codec from its rows: upper hull of one clip, means over clips at equal ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.measure.rows import Row

Metric = Literal["psnr_db", "ssim3d"]
Front = list[tuple[float, float]]
"""(bytes, quality), both rising."""

LEAST_POINTS = 3  # of a curve that can be integrated
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


def smooth_at_bytes(curve: Front, size_bytes: float) -> float | None:
    """As `at_bytes`, by monotone cubic pieces (Fritsch and Carlson 1980, 10.1137/0717021) over log bytes."""
    if len(curve) < LEAST_POINTS or not curve[0][0] <= size_bytes <= curve[-1][0]:
        return at_bytes(curve, size_bytes)
    from scipy.interpolate import PchipInterpolator

    sizes, qualities = zip(*curve, strict=True)
    return float(PchipInterpolator(np.log(sizes), qualities)(np.log(size_bytes)))


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


def bd_rate_percent(anchor: Front, test: Front) -> float | None:
    """Percent by which the test's sizes differ from the anchor's at equal quality, averaged over quality.

    Bjontegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33, 2001; with monotone
    piecewise cubic interpolation in place of one cubic, because curves over three decades of size are no cubics.

    Returns
    -------
    float or None
        Negative where the test is smaller; None where the curves share no range of quality or have fewer than three
        points.
    """
    if min(len(anchor), len(test)) < LEAST_POINTS:
        return None
    if max(anchor[0][1], test[0][1]) >= min(anchor[-1][1], test[-1][1]):
        return None
    from bjontegaard import bd_rate  # here, because it imports matplotlib's pyplot

    return float(bd_rate(*zip(*anchor, strict=True), *zip(*test, strict=True), method="pchip",
                         require_matching_points=False, min_overlap=0))


def bd_rates(rows: Sequence[Row], codec: str, anchor: str, metric: Metric) -> list[float]:
    """BD-rate of a codec against the anchor in percent, for every clip where both curves share qualities."""
    anchors = by_clip(rows, anchor)
    found = []
    for clip, clip_rows in by_clip(rows, codec).items():
        value = bd_rate_percent(front(anchors.get(clip, []), metric), front(clip_rows, metric))
        found += [] if value is None else [value]
    return found
