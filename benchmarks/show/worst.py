"""Our files beside AV1 at equal bytes, clip by clip, and the worst clip at every ratio; without loss, beside all peers.

A codec that archives rely on must not be worse than what they have on any clip, so that means are not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.peers import AV1_ENVELOPE, LOSSLESS_PEERS
from lrmcodec.benchmarks.setting import LOSSLESS
from lrmcodec.benchmarks.show.curves import Metric, at_bytes, front, smooth_at_bytes
from lrmcodec.benchmarks.show.names import name_of
from lrmcodec.benchmarks.table import MISSING, Table

WITHIN_DB, WITHIN_SSIM = 0.05, 0.002
"""By how much our files may be worse on any clip at equal bytes."""

EXACT = "av1-lossless"
METRICS: tuple[Metric, Metric] = ("psnr_db", "ssim3d")


@dataclass(frozen=True)
class Margin:
    """One of our files against the best of AV1 at equal bytes: ours minus its; None where it has no file so small."""

    row: Row
    psnr_db: float | None
    ssim3d: float | None

    @property
    def clip(self) -> str:
        """Name of the clip."""
        return self.row.clip

    @property
    def asked_ratio(self) -> float:
        """Ratio that was asked for."""
        return self.row.setting.target_value or 0

    @property
    def is_within(self) -> bool:
        """Whether it is no worse than the goal allows; a file that AV1 cannot be made as small as is."""
        return (self.psnr_db or 0.0) >= -WITHIN_DB and (self.ssim3d or 0.0) >= -WITHIN_SSIM


def margins(rows: Sequence[Row], codec: str) -> list[Margin]:
    """Margins of all files of a codec at ratios asked for, from low to high.

    Files larger than any of AV1 of the same clip are left out: what it would give there was not measured.
    """
    found = []
    for row in rows:
        if row.codec == codec and row.setting.is_ratio_at_best_rank and row.size_bytes is not None:
            beside = [other for other in rows if (other.clip, other.clip_id) == (row.clip, row.clip_id)]
            exact = [other for other in beside if other.codec == EXACT and (other.size_bytes or 0) <= row.size_bytes]
            lossy = [other for other in beside if other.codec in AV1_ENVELOPE and other.size_bytes is not None]
            if exact or row.size_bytes <= max((other.size_bytes or 0 for other in lossy), default=0):
                found.append(Margin(row, *(_margin(row, exact, lossy, metric) for metric in METRICS)))
    return sorted(found, key=lambda margin: margin.asked_ratio)


def _margin(row: Row, exact: Sequence[Row], lossy: Sequence[Row], metric: Metric) -> float | None:
    """Ours minus the best that AV1 gives in as many bytes; the largest of the lossy ones where those fall off."""
    assert row.size_bytes is not None
    curve = front(lossy, metric)
    best = getattr(exact[0], metric) if exact else _best(lossy, row.size_bytes, metric)
    if best is None and curve and row.size_bytes > curve[-1][0]:
        best = curve[-1][1]
    return None if best is None else getattr(row, metric) - best


def _best(lossy: Sequence[Row], size_bytes: float, metric: Metric) -> float | None:
    """The best at a size by any setting's own curve, or between the points of all together.

    Points of a weaker setting may lie below the curve of a stronger one, and are no limit to it. A setting's own curve
    is smooth: straight lines between points far apart would lie above it.
    """
    kinds = {(row.codec, row.setting.every, row.setting.scale) for row in lossy}
    own = [front([row for row in lossy if (row.codec, row.setting.every, row.setting.scale) == kind], metric)
           for kind in kinds]
    found = [at_bytes(front(lossy, metric), size_bytes), *(smooth_at_bytes(curve, size_bytes) for curve in own)]
    return max((value for value in found if value is not None), default=None)


def margin_table(rows: Sequence[Row], codec: str) -> Table:
    """Margins of every clip at every ratio."""
    found = {(margin.clip, margin.asked_ratio): margin for margin in margins(rows, codec)}
    ratios = sorted({ratio for _, ratio in found})
    lines = [(clip, *(_cell(found.get((clip, ratio))) for ratio in ratios))
             for clip in dict.fromkeys(row.clip for row in rows) if any((clip, ratio) in found for ratio in ratios)]
    return Table(f"{name_of(codec)} minus the best AV1 at equal bytes, dB / SSIM3D",
                 ("clip", *(f"{ratio:g}" for ratio in ratios)), lines)


def worst_table(rows: Sequence[Row], codec: str) -> Table:
    """The clip that does worst at every ratio, by PSNR and by SSIM3D, and how many clips are within the goal."""
    found = margins(rows, codec)
    lines = []
    for ratio in dict.fromkeys(margin.asked_ratio for margin in found):
        group = [margin for margin in found if margin.asked_ratio == ratio]
        lines.append((f"{ratio:g}", _worst(group, lambda margin: margin.psnr_db, "{:+.2f} dB"),
                      _worst(group, lambda margin: margin.ssim3d, "{:+.4f}"),
                      f"{sum(margin.is_within for margin in group)} of {len(group)}"))
    head = ("ratio", "worst PSNR", "worst SSIM3D", f"within {WITHIN_DB:g} dB and {WITHIN_SSIM:g}")
    return Table(f"Worst clip of {name_of(codec)} against the best AV1 at equal bytes", head, lines)


def range_table(sets: Mapping[str, Sequence[Row]], codec: str) -> Table:
    """Means of several sets over the whole range: ours, the best of AV1 at equal bytes, and the worst clip's margins.

    A dash where not every clip of a set was measured, or AV1 has no file so small.
    """
    found = {name: margins(rows, codec) for name, rows in sets.items()}
    clips = {name: len({row.clip for row in rows}) for name, rows in sets.items()}
    ratios = sorted({margin.asked_ratio for group in found.values() for margin in group})
    lines = [(f"{ratio:g}", *(cell for name, group in found.items()
                              for cell in _set_cells([m for m in group if m.asked_ratio == ratio], clips[name])))
             for ratio in ratios]
    head = ("ratio", *(f"{name}: {what}" for name in sets for what in (name_of(codec), "best AV1", "worst clip")))
    return Table("The whole range", head, [line for line in lines if set(line[1:]) != {MISSING}])


def _set_cells(group: Sequence[Margin], clips: int) -> tuple[str, str, str]:
    """Ours, the best of AV1, and the least margins, each PSNR / SSIM3D."""
    if len(group) < clips:
        return MISSING, MISSING, MISSING
    ours = [np.mean([getattr(margin.row, metric) for margin in group]) for metric in METRICS]
    over = [[value for margin in group if (value := getattr(margin, metric)) is not None] for metric in METRICS]
    cells = f"{ours[0]:.2f} / {ours[1]:.3f}"
    if min(map(len, over)) < clips:
        return cells, MISSING, MISSING
    return (cells, f"{ours[0] - np.mean(over[0]):.2f} / {ours[1] - np.mean(over[1]):.3f}",
            f"{min(over[0]):+.2f} / {min(over[1]):+.4f}")


def lossless_margins(rows: Sequence[Row], codec: str) -> Table:
    """Bytes without loss clip by clip, and how much larger ours are than the smallest peer's."""
    exact = {(row.clip, row.codec): row.size_bytes for row in rows if row.setting == LOSSLESS and row.size_bytes}
    names = [peer for peer in LOSSLESS_PEERS if any(there == peer for _, there in exact)]
    lines = []
    for clip in dict.fromkeys(clip for clip, there in exact if there == codec):
        peers = [exact.get((clip, peer)) for peer in names]
        known = [size for size in peers if size is not None]
        ours = exact[clip, codec]
        more = f"{100 * (ours / min(known) - 1):+.1f} %" if known else MISSING
        lines.append((clip, *(MISSING if size is None else f"{size:,.0f}" for size in (ours, *peers)), more))
    return Table(f"Without loss, bytes of {name_of(codec)} and of its peers",
                 ("clip", name_of(codec), *map(name_of, names), "against the smallest"), lines)


def _cell(margin: Margin | None) -> str:
    if margin is None or margin.psnr_db is None or margin.ssim3d is None:
        return MISSING
    return f"{margin.psnr_db:+.2f} / {margin.ssim3d:+.4f}"


def _worst(group: Sequence[Margin], read: Callable[[Margin], float | None], form: str) -> str:
    known = [(value, margin.clip) for margin in group if (value := read(margin)) is not None]
    return f"{form.format(min(known)[0])} ({min(known)[1]})" if known else MISSING
