"""The picture of docs/readout.md: the signal chain of the phase readout on one simulated heart.

python -m lrmcodec.benchmarks.studies.readout_picture -o docs/readout.png [--seed 1] [--ratio 1000]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.cardiac.cavity import FINE, cavity_shares
from lrmcodec.cardiac.direction import MAX_WEIGHTS
from lrmcodec.cardiac.readout import Phase, read_phase
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ED_COLOR, ES_COLOR, LINE_COLOR, FAINT = "#c8452f", "#2867b2", "#30343b", "#9aa1ab"
CURVES = ("#4c78a8", "#e0913f", "#5ba08c", "#b279a2")
STYLE: Any = {"font.size": 9, "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.spines.top": False,
              "axes.spines.right": False, "axes.edgecolor": "#80868f"}
COLORS = 240  # of the PNG file


def draw(clip: Clip, labels: Labels, file: codec.LrmFile, phase: Phase) -> Figure:
    """Cavity in the pixels, coefficients of the file, and the signal with its events."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shares = cavity_shares(clip.frames)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.2), dpi=100)
        for column, (frame, word) in enumerate(((phase.ed_frames[1], "ED"), (phase.es_frames[1], "ES"))):
            axes = figure.add_axes((0.02 + 0.155 * column, 0.6, 0.15, 0.3))
            _draw_frame(axes, clip.frames[frame], shares[frame], f"{word}, frame {frame}")
        figure.text(0.02, 0.95, "1  While encoding: the cavity is found,", fontsize=10)
        figure.text(0.37, 0.95, "its area tells how full the ventricle is", fontsize=10)
        _draw_area(figure.add_axes((0.38, 0.64, 0.6, 0.27)), clip.times_s, np.asarray(labels.area), shares.sum((1, 2)))
        weights = min(file.rank, MAX_WEIGHTS)
        figure.text(0.02, 0.53, f"2  In the file: {file.rank} coefficients φ, {weights} weights w", fontsize=10)
        _draw_coeffs(figure.add_axes((0.03, 0.08, 0.3, 0.4)), file)
        figure.text(0.37, 0.53, "3  While reading: s(t) = w . φ(t), its falls begin at ED and end at ES", fontsize=10)
        _draw_signal(figure.add_axes((0.38, 0.08, 0.6, 0.4)), clip.times_s, labels, phase)
    return figure


def _draw_frame(axes: Axes, frame: NDArray[np.uint8], shares: NDArray[np.float32], title: str) -> None:
    height, width = frame.shape
    axes.imshow(frame, cmap="gray", vmin=0, vmax=255)
    middle = (np.arange(FINE.side) + 0.5) / FINE.side
    axes.contour(middle * width - 0.5, middle * height - 0.5, shares, levels=[0.5], colors=["#f2c744"], linewidths=1.5)
    axes.set_title(title)
    axes.axis("off")


def _draw_area(axes: Axes, times_s: Array, true_area: Array, area: NDArray[np.float32]) -> None:
    for values, color, word in ((true_area, FAINT, "true area"), (area, LINE_COLOR, "area found")):
        axes.plot(times_s, (values - values.min()) / np.ptp(values), color=color, label=word,
                  linewidth=2.6 if color == FAINT else 1.2)
    axes.legend(frameon=False, loc="upper right", ncols=2, bbox_to_anchor=(1, 1.16))
    axes.set(yticks=[], xticks=[])
    axes.margins(x=0.01)


def _draw_coeffs(axes: Axes, file: codec.LrmFile) -> None:
    coeffs = file.coeffs[0][:, :len(CURVES)]
    for index, color in enumerate(CURVES[:coeffs.shape[1]]):
        axes.plot(file.times_s, coeffs[:, index] / 6 - index, color=color, linewidth=1.1)
        axes.text(-0.02, -index, f"φ{index + 1}", color=color, ha="right", va="center",
                  transform=axes.get_yaxis_transform())
    axes.set(yticks=[], xlabel="seconds")
    axes.margins(x=0.01)


def _draw_signal(axes: Axes, times_s: Array, labels: Labels, phase: Phase) -> None:
    axes.plot(times_s, phase.signal, color=LINE_COLOR, linewidth=1.4)
    for word, color, found, true in (("ED", ED_COLOR, phase.ed_frames, labels.ed_frames),
                                     ("ES", ES_COLOR, phase.es_frames, labels.es_frames)):
        axes.vlines(times_s[list(true)], -1.0, 0.9, color=color, linewidth=5, alpha=0.18, label=f"true {word}")
        axes.plot(times_s[found], phase.signal[found], "o", color=color, markersize=6, label=f"{word} read")
    axes.set(yticks=[], xlabel="seconds", ylim=(-1.0, 0.9))
    axes.legend(frameon=False, loc="lower right", ncols=4, bbox_to_anchor=(1, 0.98), columnspacing=1, handletextpad=0.4)
    axes.margins(x=0.01)


def main() -> None:
    """Command line of this module."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ratio", type=float, default=1000)
    options = parser.parse_args()
    clip, labels = Source("heart", preset="echonet_like", seed=options.seed).load()
    assert labels is not None
    file = codec.open(codec.encode(clip, ratio=options.ratio).data)
    buffer = io.BytesIO()
    draw(clip, labels, file, read_phase(file)).savefig(buffer, format="png")
    picture = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(COLORS).save(picture, "png", optimize=True)
    write_atomic(options.output, picture.getvalue(), force=True)


if __name__ == "__main__":
    main()
