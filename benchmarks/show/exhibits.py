"""A few clips to look at: frames of ours and of AV1 at equal bytes, and the trajectory of the coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec, metrics
from lrmcodec.benchmarks.measure.rows import OURS, Row
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.measure.worker import kept_file
from lrmcodec.benchmarks.peers import envelope
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show.curves import by_clip, front
from lrmcodec.cardiac.readout import Phase, read_phase
from lrmcodec.formats.clip import Clip

SHOWN_RATIO = 1000.0
PEER = "av1"
COUNT = 3

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """One frame of a decoded clip, with the clip's size and quality."""

    frame: Frame
    size_bytes: float
    psnr_db: float
    setting: str


@dataclass(frozen=True)
class Exhibit:
    """One clip: a frame of the original, of ours and of the peer, coefficients (T, r) at times (T,), and phase."""

    name: str
    original: Frame
    ours: Shown
    peer: Shown | None
    coeffs: NDArray[np.float64]
    times_s: NDArray[np.float64]
    phase: Phase


def exhibits(sources: Sequence[Source], rows: Sequence[Row], files: Path, pack: str) -> list[Exhibit]:
    """Exhibits of the first clips of a run, from the .lrm files it kept."""
    found: list[Exhibit] = []
    for source in sources:
        row = _shown_row([row for row in rows if row.clip == source.name and row.codec == OURS + Path(pack).name])
        if row is not None and len(found) < COUNT:
            path = kept_file(files, source.name, pack, row.setting)
            if path.exists():
                found.append(_exhibit(source, row, rows, path, pack))
    return found


def _shown_row(rows: Sequence[Row]) -> Row | None:
    """Row of the best rank whose ratio is nearest to the one shown."""
    asked = [row for row in rows if row.setting.is_ratio_at_best_rank and row.ratio is not None]
    return min(asked, key=lambda row: abs(np.log((row.ratio or 1) / SHOWN_RATIO)), default=None)


def _exhibit(source: Source, row: Row, rows: Sequence[Row], path: Path, pack: str) -> Exhibit:
    clip, _ = source.load()
    file = codec.open(path, pack=pack if "/" in pack else None)
    decoded = file.frames()
    middle = len(decoded) // 2
    ours = Shown(decoded[middle], float(file.size_bytes), metrics.psnr_db(clip.frames, decoded), row.setting.words)
    return Exhibit(source.name, clip.frames[middle], ours, _peer(clip, rows, row, middle), file.coeffs[0],
                   file.times_s[:len(file.coeffs[0])], read_phase(file))


def _peer(clip: Clip, rows: Sequence[Row], ours: Row, middle: int) -> Shown | None:
    """AV1 as close to our bytes from below as its whole steps of quality allow, at the better of two envelope points.

    The points are those of its front on either side of our size.
    """
    assert ours.size_bytes is not None
    measured = by_clip(rows, PEER).get((ours.clip, ours.clip_id), [])
    found = []
    for point in _neighbors(measured, ours.size_bytes):
        within = envelope.code_within(clip.frames, envelope.AV1, point, clip.fps, ours.size_bytes)
        if within is not None:
            tried, coded = within
            quality = metrics.psnr_db(clip.frames, coded.frames)
            found.append(Shown(coded.frames[middle], coded.size_bytes, quality, tried.words))
    return max(found, key=lambda shown: shown.psnr_db, default=None)


def _neighbors(measured: Sequence[Row], size_bytes: float) -> list[Setting]:
    """Points of the front just below and just above a size."""
    edge = {size for size, _ in front(measured, "psnr_db")}
    ordered = sorted((row for row in measured if row.size_bytes in edge), key=lambda row: row.size_bytes or 0)
    below = [row for row in ordered if (row.size_bytes or 0) <= size_bytes][-1:]
    above = [row for row in ordered if (row.size_bytes or 0) > size_bytes][:1]
    return list(dict.fromkeys(row.setting for row in below + above))
