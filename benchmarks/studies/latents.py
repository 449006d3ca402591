"""The latents' paths of one simulated heart: the paper's picture of a spiral, a line, and a matrix with side diagonals.

python -m lrmcodec.benchmarks.studies.latents -o PICTURE.png [--seed N] [--frames N] [--packs a,b]

A column a pack: above the two coefficients of a file of rank 2, from blue, the first frame, to yellow, the last, with
the true ED and ES; below the cosines between the frames' modulations, at a rank that shows more of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.benchmarks.measure.path_shape import path_shape
from lrmcodec.benchmarks.show.plots import png
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.cardiac.trajectory import find_motion
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.simulate import simulate
from lrmcodec.train.data import TEST_SEED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

PACKS = ("lrm-ortho-gated", "lrm-basic-gated", "vidfuncta-gated", "lrm-ortho", "lrm-basic")
PATH_RANK, MATRIX_RANK, QUALITY = 2, 8, 80.0


@dataclass(frozen=True)
class Latents:
    """Path (T, 2) of a pack's files of rank 2, and cosines (T, T) of those of a higher rank."""

    pack: str
    path: Array
    cosines: Array


def latents_of(clip: Clip, pack: str) -> Latents:
    """Encode a clip twice and read its latents."""
    low, high = (codec.open(codec.encode(clip, rank=rank, quality=QUALITY, pack=pack, device="cpu").data, device="cpu")
                 for rank in (PATH_RANK, MATRIX_RANK))
    return Latents(pack, low.coeffs[0], find_motion(high, read_phase(high)).similarity())


def draw(found: Sequence[Latents], ed_frames: Sequence[int], es_frames: Sequence[int]) -> Figure:
    """A column a pack."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(found), 5.4), layout="constrained")
    axes = np.atleast_2d(figure.subplots(2, len(found), squeeze=False))
    for latents, (upper, lower) in zip(found, axes.T, strict=True):
        _draw_path(upper, latents, ed_frames, es_frames)
        lower.imshow(latents.cosines, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        lower.set_xlabel("frame", fontsize=8)
        lower.tick_params(labelsize=7)
    axes[1, 0].set_ylabel(f"cosines, rank {MATRIX_RANK}", fontsize=8)
    return figure


def _draw_path(panel: Axes, latents: Latents, ed_frames: Sequence[int], es_frames: Sequence[int]) -> None:
    path = latents.path
    share, turning = path_shape(path)
    panel.plot(*path.T, color="#bbbbbb", linewidth=0.6, zorder=1)
    panel.scatter(path[:, 0], path[:, 1], c=np.arange(len(path)), s=9, cmap="viridis", zorder=2)
    for frames, mark, name in ((ed_frames, "o", "ED"), (es_frames, "s", "ES")):
        panel.plot(*path[list(frames)].T, mark, color="none", markeredgecolor="#c0392b", markersize=7, label=name)
    panel.set_title(f"{latents.pack}\nacross / along {share:.2f}, turning {turning:.2f}", fontsize=8)
    panel.set_aspect("equal", "datalim")
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=6, frameon=False)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=TEST_SEED + 500)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--packs", default=",".join(PACKS))
    options = parser.parse_args()
    made = simulate("echonet_like", options.seed, frame_count=options.frames)
    found = [latents_of(made.clip, pack) for pack in options.packs.split(",")]
    write_atomic(options.output, png(draw(found, made.truth.ed_frames, made.truth.es_frames)), force=True)
    for latents in found:
        print(latents.pack, *(f"{value:.3f}" for value in path_shape(latents.path)))


if __name__ == "__main__":
    main()
