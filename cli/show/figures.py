"""Figures of what the coefficients say, drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.readout import Phase
from lrmcodec.cardiac.trajectory import Motion, end_words, picked_frames

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ED_COLOR, ES_COLOR, LINE_COLOR, FAINT = "#c8452f", "#2867b2", "#30343b", "#b9bec6"
STYLE: Any = {"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left", "axes.spines.top": False,
         "axes.spines.right": False, "axes.edgecolor": "#80868f", "axes.labelcolor": LINE_COLOR,
         "xtick.color": "#565c66", "ytick.color": "#565c66"}
DPI = 110
ROW_INCHES, LEGEND_INCHES = 2.1, 0.2
CAUTION = "Read from the coefficients alone; not a medical device."
MARGIN = 0.12  # of the range, left free around a trajectory


def new_figure(width: float, height: float) -> Figure:
    """Empty figure of a size in inches that needs no display."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update(STYLE)
    return Figure(figsize=(width, height), dpi=DPI)


def png(figure: Figure) -> bytes:
    """Bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_signals(found: Sequence[tuple[str, Phase, Array]]) -> Figure:
    """One row for every file's name, phase and frame times: the signal with its end diastoles and end systoles."""
    height = LEGEND_INCHES + ROW_INCHES * len(found) + 0.25
    figure = new_figure(10, height)
    for row, (name, phase, times_s) in enumerate(found):
        bottom = 1 - (LEGEND_INCHES + (row + 0.8) * ROW_INCHES) / height
        axes = figure.add_axes((0.05, bottom, 0.93, 0.6 * ROW_INCHES / height))
        _draw_signal(axes, phase, times_s)
        axes.set_title(f"{name}: {verdict(phase)}", fontsize=9, loc="left")
    _explain_marks(figure)
    figure.axes[-1].set_xlabel(f"seconds.  {CAUTION}")
    return figure


def _explain_marks(figure: Figure) -> None:
    """One legend for all rows, above them."""
    marks: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, words = axes.get_legend_handles_labels()
        marks.update(zip(words, handles, strict=True))
    if marks:
        figure.legend(list(marks.values()), list(marks), loc="upper right", bbox_to_anchor=(0.985, 1), ncols=2,
                      frameon=False)


def draw_overview(name: str, phase: Phase, times_s: Array, motion: Motion, frames: NDArray[np.uint8]) -> Figure:
    """Signal, trajectory, likeness of frames, and the two frames (2, H, W) that `picked_frames` names."""
    figure = new_figure(13, 6.6)
    figure.suptitle(f"{name}: {verdict(phase)}", x=0.02, y=0.97, ha="left", fontsize=12)
    top = figure.add_axes((0.04, 0.66, 0.94, 0.23))
    _draw_signal(top, phase, times_s)
    top.set_xlabel(f"seconds.  {CAUTION}")
    if phase.ed_frames or phase.es_frames:
        top.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderpad=0)
    _draw_trajectory(figure.add_axes((0.03, 0.13, 0.21, 0.385)), phase, times_s, motion)
    _draw_likeness(figure.add_axes((0.29, 0.13, 0.21, 0.385)), phase, times_s, motion)
    picked = picked_frames(phase, motion)
    for column, (frame, word) in enumerate(zip(frames, end_words(phase), strict=True)):
        axes = figure.add_axes((0.53 + 0.235 * column, 0.06, 0.215, 0.455))
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{word}: frame {picked[column]}, {times_s[picked[column]]:.2f} s")
        axes.set_anchor("N")
        axes.axis("off")
    return figure


def verdict(phase: Phase) -> str:
    """What the readout found, in a few words."""
    if phase.quality_word == "not sure":
        return "a heart seems to beat, but its events are not clear"
    if phase.quality_word != "cardiac":
        return "no heartbeat found"
    rate = "" if phase.heart_rate_bpm is None else f"{phase.heart_rate_bpm:.0f} beats a minute, "
    sure = f"{100 * phase.polarity_confidence:.0f} % sure which is which"
    return f"{rate}{len(phase.ed_frames)} ED and {len(phase.es_frames)} ES frames, {sure}"


def _events(phase: Phase) -> list[tuple[str, str, list[int]]]:
    return [("ED: the ventricle is full", ED_COLOR, phase.ed_frames),
            ("ES: the ventricle is emptied", ES_COLOR, phase.es_frames)]


def _draw_signal(axes: Axes, phase: Phase, times_s: Array) -> None:
    axes.plot(times_s, phase.signal, color=LINE_COLOR, linewidth=1.3)
    for word, color, frames in _events(phase):
        if frames:
            axes.plot(times_s[frames], phase.signal[frames], "o", color=color, markersize=6, label=word)
            axes.vlines(times_s[frames], 0, 1, transform=axes.get_xaxis_transform(), color=color, linewidth=0.8,
                        alpha=0.35)
    axes.set_ylabel("ventricle\nsmall  ←   →  large" if phase.quality_word == "cardiac" else "main motion")
    axes.set_yticks([])
    axes.margins(x=0.01)


def _draw_trajectory(axes: Axes, phase: Phase, times_s: Array, motion: Motion) -> None:
    from matplotlib.collections import LineCollection

    points, span_s = motion.plane(), times_s[motion.start:motion.stop]
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    line = axes.add_collection(LineCollection(list(pieces), cmap="viridis", linewidths=1.2, alpha=0.8))
    line.set_array(span_s[:-1])
    low, high = points.min(0), points.max(0)
    margin = MARGIN * np.maximum(high - low, 1e-9)
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    for _, color, frames in _events(phase):
        inside = [frame - motion.start for frame in frames if motion.start <= frame < motion.stop]
        axes.plot(points[inside, 0], points[inside, 1], "o", color=color, markersize=6, zorder=3)
    axes.annotate("", (high[0], 0), (low[0], 0), arrowprops={"arrowstyle": "<->", "color": LINE_COLOR, "lw": 1.2})
    upper, lower = end_words(phase)
    axes.set_xlabel(f"{lower}  ←  principal direction  →  {upper}")
    axes.set_ylabel("next strongest motion")
    axes.set_title("Path of the coefficients")
    axes.set(xticks=[], yticks=[])
    _draw_scale(axes, line, "seconds")


def _draw_likeness(axes: Axes, phase: Phase, times_s: Array, motion: Motion) -> None:
    span_s = times_s[motion.start:motion.stop]
    extent = (span_s[0], span_s[-1], span_s[-1], span_s[0])
    image = axes.imshow(motion.similarity(), cmap="RdBu_r", vmin=-1, vmax=1, extent=extent, aspect="auto")
    for _, color, frames in _events(phase):
        inside = [float(times_s[frame]) for frame in frames if motion.start <= frame < motion.stop]
        axes.plot(inside, [span_s[0]] * len(inside), "v", color=color, markersize=6, clip_on=False, zorder=3)
    axes.set_title("How alike two frames are", pad=10)
    axes.set(xticks=[], ylabel="seconds")
    _draw_scale(axes, image, "cosine of their modulations")


def _draw_scale(axes: Axes, mappable: Any, label: str) -> None:
    """Thin color scale below the axes."""
    figure, box = axes.get_figure(), axes.get_position()
    assert figure is not None
    scale = figure.add_axes((box.x0 + 0.2 * box.width, box.y0 - 0.055, 0.6 * box.width, 0.015))
    figure.colorbar(mappable, cax=scale, orientation="horizontal")
    scale.set_title(label, fontsize=8, loc="center", y=-4.6)
