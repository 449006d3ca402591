"""What the beginning of a file shows: quality over its bytes, rank by rank, beside files that were made so small.

python -m lrmcodec.benchmarks.studies.progressive NAME=CLIP... -o DIR [--ratio 300] [--size HxW] [--simulated SEED]

Writes DIR/progressive.md and DIR/progressive.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrmcodec import codec, metrics
from lrmcodec.benchmarks.show import plots
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.decoders.base import RestoredSegment
from lrmcodec.decoders.wavelet import WaveletDecoder
from lrmcodec.decoders.wavelet_coder import bytes_by_picture
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import Component
from lrmcodec.formats.video import read_clip
from lrmcodec.provenance import provenance
from lrmcodec.restored import rendered
from lrmcodec.simulate.simulator import simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = (0.45, 0.6, 0.8)
"""Of the file's bytes, for which files of their own are made."""

PAGE, PICTURE = "progressive.md", "progressive.png"


class Point(NamedTuple):
    """Bytes of a file or of its beginning, and how like the clip it is; `rank` basis pictures are shown."""

    rank: int
    size_bytes: int
    psnr_db: float
    ssim3d: float


class Progress(NamedTuple):
    """One clip: the points of the ranks of its file, from the mean picture on, and files made for fewer bytes."""

    name: str
    prefixes: Sequence[Point]
    files: Sequence[Point]

    def there(self, size_bytes: int) -> Point | None:
        """The last rank that so many bytes hold whole."""
        return next((point for point in reversed(self.prefixes) if point.size_bytes <= size_bytes), None)


def measure(name: str, clip: Clip, ratio: float, shares: Sequence[float] = SHARES) -> Progress:
    """Encode a clip with pictures as wavelets and measure every rank of the file, and smaller files."""
    largest = codec.encode(clip, ratio=ratio, tool="low-rank", phase=False)
    file = codec.open(largest.data)
    files = [codec.encode(clip, size_bytes=round(share * len(largest.data)), tool="low-rank", phase=False).report
             for share in shares]
    return Progress(name, list(_prefixes(clip, file)),
                    [Point(each.rank, each.size_bytes, each.psnr_db, each.ssim3d) for each in (*files, largest.report)])


def _prefixes(clip: Clip, file: codec.LrmFile) -> Sequence[Point]:
    """A point for every rank of a file of one segment."""
    segment, (coded,) = file.segment(0), file.coded.segments
    assert isinstance(file.decoder, WaveletDecoder)
    assert segment.basis is not None
    pictures = coded.components[Component.WAVELETS]
    needed = bytes_by_picture(pictures, file.size, coded.rank, coded.q, file.decoder.model)
    points = []
    for rank, seen in enumerate(needed):
        shown = RestoredSegment(segment.latent, segment.basis[:rank], segment.coeffs[:, :rank], file.size)
        found = metrics.compare(clip.frames, rendered(file.decoder, shown, shown.coeffs, file.size))
        size = file.size_bytes - len(pictures) + min(seen, len(pictures))
        points.append(Point(rank, size if rank < coded.rank else file.size_bytes, found.psnr_db, found.ssim3d))
    return points


def page(found: Sequence[Progress]) -> str:
    """The record: a table of prefixes beside files of as many bytes, and of the ranks of every file."""
    rows = [_beside(each, point) for each in found for point in each.files]
    head = ("clip", "bytes", "basis pictures there", "PSNR dB / SSIM3D", "file made for as many bytes", "its rank")
    ranks = [(each.name, str(point.rank), f"{point.size_bytes:,}", f"{point.psnr_db:.2f}", f"{point.ssim3d:.3f}")
             for each in found for point in each.prefixes]
    tables = [Table("The beginning of a file", head, rows),
              Table("Every rank", ("clip", "rank", "bytes needed", "PSNR dB", "SSIM3D"), ranks)]
    shown = [f"## {table.title}\n\n{table.markdown()}" for table in tables]
    return "\n\n".join([f"![PSNR and SSIM3D over bytes]({PICTURE})", *shown, f"{provenance()}."]) + "\n"


def _beside(each: Progress, made: Point) -> tuple[str, ...]:
    there = each.there(made.size_bytes)
    shown = (MISSING, MISSING) if there is None else (str(there.rank), f"{there.psnr_db:.2f} / {there.ssim3d:.3f}")
    return each.name, f"{made.size_bytes:,}", *shown, f"{made.psnr_db:.2f} / {made.ssim3d:.3f}", str(made.rank)


def picture(found: Sequence[Progress]) -> bytes:
    """PNG: PSNR above and SSIM3D below over bytes, a column a clip."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.8 * len(found), 6.0), layout="constrained")
    panels = figure.subplots(2, len(found), squeeze=False).ravel().tolist()
    for index, each in enumerate(found):
        _draw(panels[index], each, "psnr_db")
        _draw(panels[len(found) + index], each, "ssim3d")
        panels[index].set_title(each.name)
        panels[len(found) + index].set_xlabel("bytes")
    panels[0].set_ylabel("PSNR, dB")
    panels[len(found)].set_ylabel("SSIM3D")
    panels[0].legend(fontsize=8, frameon=False, loc="lower right")
    return plots.png(figure)


def _draw(panel: Axes, each: Progress, metric: str) -> None:
    for points, label, style in ((each.prefixes, "the beginning of one file, rank by rank", "o-"),
                                 (each.files, "files made for as many bytes", "s--")):
        panel.plot([point.size_bytes for point in points], [getattr(point, metric) for point in points], style,
                   label=label, markersize=4)
    panel.set_xlim(0)
    panel.set_xticks(np.linspace(0, each.files[-1].size_bytes, 5).round(-2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="*", metavar="NAME=CLIP")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--ratio", type=float, default=300.0)
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))))
    parser.add_argument("--simulated", type=int, metavar="SEED")
    given = parser.parse_args(arguments)
    clips = {name: read_clip(path, size=given.size) for name, path in (each.split("=", 1) for each in given.clips)}
    if given.simulated is not None:
        clips["simulated heart"] = simulate(seed=given.simulated).clip
    found = [measure(name, clip, given.ratio) for name, clip in clips.items()]
    given.output.mkdir(parents=True, exist_ok=True)
    write_atomic(given.output / PAGE, page(found).encode(), force=True)
    write_atomic(given.output / PICTURE, picture(found), force=True)


if __name__ == "__main__":
    main()
