"""Pictures of rows, drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.peers import AV1_ENVELOPE
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show.curves import Metric, by_clip, codecs, mean_curve
from lrmcodec.benchmarks.show.exhibits import Exhibit
from lrmcodec.benchmarks.show.names import name_of
from lrmcodec.benchmarks.show.summary import (
    ANCHOR,
    STILLS,
    best_rank_settings,
    event_share,
    matched_error,
    rank_groups,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

RATIOS = np.geomspace(2, 8000, 160)
OUR_COLORS = ("#c0392b", "#8e44ad", "#e67e22", "#d35490", "#7f5a2f", "#a03050", "#5b3a8c")
PEER_COLORS = {"av1": "#1f5f99", "x265": "#2e8b57", "x264": "#8fbc8f", "vp9": "#17a2b8", "lowrank-av1": "#222222",
               "jpeg2000": "#888888", "jpeg": "#bbbbbb"}
DPI = 110
ERROR_GAIN = 4
NAME_LENGTH = 26
NOT_SHOWN = {*STILLS, *AV1_ENVELOPE} - {ANCHOR}
LEAST_RATIO = 9  # of curves of several sets beside each other
PART_COLORS = {"header": "#555555", "times": "#999999", "metadata": "#bbbbbb", "pictures": "#1f5f99",
               "latent": "#17a2b8", "coeffs": "#e67e22", "phase": "#c0392b", "ventricle": "#c0392b",
               "heart": "#c0392b"}


def png(figure: Figure) -> bytes:
    """Bytes of a PNG file of 256 colors, half of one of all colors; equal rows give equal files."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    Image.open(drawn).convert("RGB").quantize(256).save(small, "png", optimize=True)
    return small.getvalue()


def _figure(columns: int, width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
    return figure, axes


def _clean(axes: Axes) -> None:
    axes.grid(True, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _style(codec: str, ours: Sequence[str]) -> dict[str, Any]:
    if codec in ours:
        return {"color": OUR_COLORS[ours.index(codec) % len(OUR_COLORS)], "linewidth": 2.6, "zorder": 3}
    dashed = {"linestyle": "--"} if codec == "lowrank-av1" else {}
    return {"color": PEER_COLORS.get(codec, "#999999"), "linewidth": 1.5, **dashed}


def rate_distortion(rows: Sequence[Row]) -> Figure:
    """Mean PSNR and SSIM3D of every codec over the honest ratio."""
    figure, axes = _figure(2, 11, 4.4)
    for panel, metric, label in zip(axes, ("psnr_db", "ssim3d"), ("PSNR, dB", "SSIM3D"), strict=True):
        draw_curves(panel, rows, metric)  # type: ignore[arg-type]
        panel.set_ylabel(label)
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def rate_distortion_of_sets(sets: dict[str, Sequence[Row]]) -> Figure:
    """Mean PSNR over the honest ratio, and SSIM3D below, one column a set of clips.

    Codecs of stills, other settings of AV1, codecs that not every clip of a set met, and packs that were not tried on
    every set are left out.
    """
    figure, axes = _figure(len(sets), 12, 6.6, 2)
    whole = {title: _of_all_clips(rows) for title, rows in sets.items()}
    everywhere = set.intersection(*(set(codecs(rows)) for rows in whole.values()))
    for index, (title, rows) in enumerate(whole.items()):
        upper, lower = axes[index], axes[len(sets) + index]
        moving = [row for row in rows if (row.codec in everywhere or not row.is_ours)
                  and row.codec not in NOT_SHOWN and (row.ratio or 0) > LEAST_RATIO]
        draw_curves(upper, moving, "psnr_db")
        draw_curves(lower, moving, "ssim3d")
        upper.set_title(title, fontsize=10)
        upper.set_xlabel("")
    axes[0].set_ylabel("PSNR, dB")
    axes[len(sets)].set_ylabel("SSIM3D")
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def _of_all_clips(rows: Sequence[Row]) -> list[Row]:
    """Rows of codecs that were measured on every clip."""
    clips = len({(row.clip, row.clip_id) for row in rows})
    whole = {name for name in codecs(rows) if len(by_clip(rows, name)) == clips}
    return [row for row in rows if row.codec in whole]


def draw_curves(panel: Axes, rows: Sequence[Row], metric: Metric) -> None:
    """Mean curve of every codec in one panel; marks where a ratio was asked for."""
    ours = sorted({row.codec for row in rows if row.is_ours}, key=lambda name: (name_of(name) != "lrmcodec", name))
    for name in [*ours, *(name for name in codecs(rows) if name not in ours)]:
        means = mean_curve(rows, name, metric, RATIOS.tolist())
        if np.isfinite(means).any():
            panel.plot(RATIOS, means, label=name_of(name), **_style(name, ours))
    for name in ours:
        points = [_mean_point(rows, name, setting, metric) for setting in best_rank_settings(rows, name)]
        panel.plot(*np.array(points).reshape(-1, 2).T, "o", color=_style(name, ours)["color"], markersize=5, zorder=4)
    panel.set_xscale("log")
    panel.set_xlabel("ratio: one byte a pixel over all bytes")
    _round_ticks(panel.xaxis)
    _clean(panel)


def _round_ticks(axis: Axis) -> None:
    """Powers of ten and three times them, in plain numbers."""
    low, high = axis.get_view_interval()
    ticks = [tick for power in range(6) for tick in (10**power, 3 * 10**power) if low <= tick <= high]
    axis.set_ticks(ticks, [str(tick) for tick in ticks])
    axis.set_ticks([], minor=True)


def _mean_point(rows: Sequence[Row], codec: str, setting: Setting, metric: Metric) -> tuple[float, float]:
    """Means over all clips; NaN where one of them has no such file."""
    group = [row for row in rows if row.codec == codec and row.setting == setting and row.ratio is not None]
    if len({(row.clip, row.clip_id) for row in group}) < len(by_clip(rows, codec)):
        return float("nan"), float("nan")
    return float(np.mean([row.ratio for row in group])), float(np.mean([getattr(row, metric) for row in group]))


def rank_axis(rows: Sequence[Row], codec: str) -> Figure:
    """Over the rank: quality, and what compression is by the paper's count and in bytes."""
    figure, axes = _figure(3, 12, 3.8)
    groups = _by_quality(rows, codec)
    shades = _shades(len(groups))
    for (quality, ranks), color in zip(groups.items(), shades, strict=True):
        label = f"quality {quality:g}"
        _line(axes[0], ranks, lambda group: _average(group, "psnr_db"), label=label, color=color)
        _line(axes[1], ranks, lambda group: _average(group, "ssim3d"), label=label, color=color)
        _line(axes[2], ranks, lambda group: _average(group, "ratio"), label=f"all bytes, {label}", color=color)
    first = next(iter(groups.values()))
    _line(axes[2], first, lambda group: _average(group, "scalars_ratio"), label="scalars alone", color="#222222",
          linestyle="--")
    axes[2].set_yscale("log")
    _round_ticks(axes[2].yaxis)
    for panel, label in zip(axes, ("PSNR, dB", "SSIM3D", "compression, times"), strict=True):
        _rank_panel(panel, sorted(first), label)
        panel.legend(fontsize=8, frameon=False)
    return figure


def phase_errors(rows: Sequence[Row], codec: str) -> Figure:
    """Over the rank: error, misses and false alarms of end diastole and end systole at every quality."""
    figure, axes = _figure(3, 12, 3.8)
    groups = _by_quality(rows, codec)
    shades = _shades(len(groups))
    for (quality, ranks), color in zip(groups.items(), shades, strict=True):
        for event, dash in (("ed", "-"), ("es", "--")):
            look = {"label": f"{event.upper()}, quality {quality:g}", "color": color, "linestyle": dash}
            _line(axes[0], ranks, _event_error(event), **look)
            _line(axes[1], ranks, _event_share(event, "misses"), **look)
            _line(axes[2], ranks, _event_share(event, "false_alarms"), **look)
    first = next(iter(groups.values()))
    for panel, label in zip(axes, ("mean error, frames", "missed, % of events", "false, % of events"), strict=True):
        _rank_panel(panel, sorted(first), label)
        panel.set_ylim(bottom=0)
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def _by_quality(rows: Sequence[Row], codec: str) -> dict[float, dict[int, list[Row]]]:
    """Rows of the rank grid by quality, finest first, and rank."""
    groups: dict[float, dict[int, list[Row]]] = {}
    for group in rank_groups(rows, codec):
        setting, measured = group[0].setting, [row for row in group if row.size_bytes is not None]
        if measured:
            groups.setdefault(setting.target_value or 0, {})[setting.asked_rank or 0] = measured
    return dict(sorted(groups.items(), reverse=True))


def _shades(count: int) -> list[str]:
    return ["#7b1e12", "#c0392b", "#e59a8f", "#f2c9c3"][:count] if count <= 4 else ["#c0392b"] * count


def _line(panel: Axes, ranks: dict[int, list[Row]], read: Callable[[Sequence[Row]], float | None],
          **look: Any) -> None:
    points = [(place, read(ranks[rank])) for place, rank in enumerate(sorted(ranks))]
    known = [(place, value) for place, value in points if value is not None]
    if known:
        panel.plot(*zip(*known, strict=True), marker="o", markersize=4, **look)


def _average(group: Sequence[Row], column: str) -> float | None:
    values = [getattr(row, column) for row in group if getattr(row, column) is not None]
    return float(np.mean(values)) if values else None


def _event_error(event: str) -> Callable[[Sequence[Row]], float | None]:
    return lambda group: matched_error(group, event, "frames")


def _event_share(event: str, what: str) -> Callable[[Sequence[Row]], float | None]:
    def read(group: Sequence[Row]) -> float | None:
        share = event_share(group, event, what)
        return None if share is None else 100 * share

    return read


def _rank_panel(panel: Axes, ranks: Sequence[int], label: str) -> None:
    panel.set_xticks(range(len(ranks)), [str(rank) for rank in ranks])
    panel.set_xlabel("rank: coefficients a frame")
    panel.set_ylabel(label)
    _clean(panel)


def parts(rows: Sequence[Row], codec: str) -> Figure:
    """Where the bytes go at the ratios asked for, means over clips, in percent."""
    groups = {setting.words: [row for row in rows if (row.codec, row.setting) == (codec, setting) and row.parts]
              for setting in best_rank_settings(rows, codec)}
    names = [name for name, group in groups.items() if group]
    shares = [_mean_parts(groups[name]) for name in names]
    figure, (panel,) = _figure(1, 10, 0.9 + 0.35 * len(names))
    left = np.zeros(len(names))
    for part in dict.fromkeys(part for share in shares for part in share):
        widths = np.array([share.get(part, 0.0) for share in shares])
        panel.barh(names, widths, left=left, color=PART_COLORS.get(part, "#cccccc"), label=part)
        left += widths
    panel.invert_yaxis()
    panel.set_xlim(0, 100)
    panel.set_xlabel("% of the file")
    _clean(panel)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _mean_parts(rows: Sequence[Row]) -> dict[str, float]:
    """Mean share of every part in percent."""
    total: dict[str, float] = {}
    measured = [row for row in rows if row.parts and row.size_bytes]
    for row in measured:
        for name, count in row.part_bytes.items():
            total[name] = total.get(name, 0.0) + 100 * count / (row.size_bytes or 1) / len(measured)
    return total


def trajectories(shown: Sequence[Exhibit]) -> Figure:
    """First two coefficients as a path colored by time, and the readout's signal with ED and ES, one row a clip."""
    figure, axes = _figure(2, 10, 3.3 * len(shown), len(shown))
    for exhibit, (path, signal) in zip(shown, np.array(axes, dtype=object).reshape(-1, 2), strict=True):
        _path(path, exhibit)
        _signal(signal, exhibit)
    return figure


def _path(panel: Axes, exhibit: Exhibit) -> None:
    coeffs = exhibit.coeffs
    second = coeffs[:, 1] if coeffs.shape[1] > 1 else np.zeros(len(coeffs))
    panel.plot(coeffs[:, 0], second, color="#cccccc", linewidth=0.7)
    dots = panel.scatter(coeffs[:, 0], second, c=exhibit.times_s, s=9, cmap="viridis", zorder=2)
    panel.figure.colorbar(dots, ax=panel, label="seconds")
    panel.set_xlabel("coefficient 1")
    panel.set_ylabel("coefficient 2")
    panel.set_title(f"{exhibit.name}, rank {coeffs.shape[1]}", fontsize=9)
    _clean(panel)


def _signal(panel: Axes, exhibit: Exhibit) -> None:
    phase, times = exhibit.phase, exhibit.times_s
    panel.plot(times, phase.signal[:len(times)], color="#555555", linewidth=1)
    for frames, color, label in ((phase.ed_frames, "#c0392b", "ED"), (phase.es_frames, "#1f5f99", "ES")):
        inside = [frame for frame in frames if frame < len(times)]
        panel.plot(times[inside], phase.signal[inside], "o", color=color, markersize=5, label=label)
    rate = "" if phase.heart_rate_bpm is None else f", {phase.heart_rate_bpm:.0f} beats a minute"
    panel.set_title(f"readout: {phase.quality_word}{rate}", fontsize=9)
    panel.set_xlabel("seconds")
    if phase.ed_frames or phase.es_frames:
        panel.legend(fontsize=8, frameon=False, loc="upper right")
    _clean(panel)


def strip(shown: Sequence[Exhibit]) -> Figure:
    """Original, ours, AV1 at no more bytes, and the errors of both, one row a clip."""
    figure, axes = _figure(5, 12.5, 2.95 * len(shown), len(shown))
    for exhibit, row in zip(shown, np.array(axes, dtype=object).reshape(-1, 5), strict=True):
        _gray(row[0], exhibit.original, f"{_brief(exhibit.name)},\noriginal")
        ours = exhibit.ours
        _gray(row[1], ours.frame, f"lrmcodec, {ours.size_bytes:,.0f} bytes\n{ours.psnr_db:.2f} dB")
        _error(row[3], exhibit, ours.frame, "lrmcodec")
        if exhibit.peer is None:
            row[2].set_title("AV1: out of reach", fontsize=9)
            row[2].set_axis_off()
            row[4].set_axis_off()
        else:
            peer = exhibit.peer
            _gray(row[2], peer.frame, f"AV1, {peer.size_bytes:,.0f} bytes\n{peer.psnr_db:.2f} dB")
            _error(row[4], exhibit, peer.frame, "AV1")
    return figure


def _brief(name: str) -> str:
    """A name that fits over a picture."""
    return name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH // 2]}...{name[-NAME_LENGTH // 2 + 3:]}"


def _gray(panel: Axes, frame: Any, title: str) -> None:
    panel.imshow(frame, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    panel.set_title(title, fontsize=9)
    panel.set_axis_off()


def _error(panel: Axes, exhibit: Exhibit, frame: Any, name: str) -> None:
    error = 128 + ERROR_GAIN * (frame.astype(np.int32) - exhibit.original)
    _gray(panel, error.clip(0, 255), f"error of {name},\n{ERROR_GAIN} times enlarged")
