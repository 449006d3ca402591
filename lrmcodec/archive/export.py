"""Clips for those who train on them: in the layout of EchoNet-Dynamic, square gray videos and one table.

The layout is that of Ouyang et al. 2020 (10.1038/s41586-020-2145-8), as `lrmcodec.formats.echonet` reads it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.archive import objects
from lrmcodec.archive.entry import CLIP, Entry, parse_line
from lrmcodec.archive.home import Archive, Packs, open_archive
from lrmcodec.archive.manifest import listed
from lrmcodec.archive.restore import open_clip
from lrmcodec.archive.workers import Lost, Workers, closing
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import uniform_times
from lrmcodec.formats.echonet import FILES, VIDEOS
from lrmcodec.formats.errors import LrmError
from lrmcodec.formats.frames import resize
from lrmcodec.formats.stamps import even_rate
from lrmcodec.formats.video import write_frames
from lrmcodec.reader import LrmFile

SIDE = 112
SOURCES = "Sources.csv"
COLUMNS = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
SHARES = (("TRAIN", 0.75), ("VAL", 0.875), ("TEST", 1.0))
"""Upper ends of the parts, about those of EchoNet-Dynamic."""

DARK = 12
"""Gray level up to which a pixel counts as empty when the picture is looked for."""


@dataclass(frozen=True)
class Item:
    """A clip to export: a line of an archive's manifest, or the path of a .lrm file; and whose it is, as a digest."""

    name: str
    group: str
    line: bytes = b""
    path: str = ""

    @property
    def split(self) -> str:
        """TRAIN, VAL or TEST, the same for all clips of a patient or study, whatever else is exported."""
        share = int(hashlib.sha256(self.group.encode("utf-8", "replace")).hexdigest()[:8], 16) / 2**32
        return next(name for name, end in SHARES if share < end)


@dataclass(frozen=True)
class Row:
    """What the tables say of an exported clip: the size and rate of its source, and where it came from."""

    height: int
    width: int
    fps: float
    frames: int
    source: str


@dataclass
class Exported:
    """What an export gave: rows by name, and failures as (name, reason)."""

    rows: dict[str, Row] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)


def items_of_archive(archive: Archive) -> Iterator[Item]:
    """Clips of an archive; grouped by patient where that is kept, else by study or folder."""
    for entry in listed(archive.store):
        if entry.kind == CLIP:
            yield Item(f"0X{entry.id.upper()}", _group(archive, entry), entry.to_line())


def items_of_files(paths: Sequence[Path]) -> Iterator[Item]:
    """Clips of .lrm files, grouped by folder."""
    for path in paths:
        name = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        yield Item(f"0X{name.upper()}", str(path.resolve().parent), path=str(path))


def export_echonet(place: str, items: Iterable[Item], folder: Path, workers: Workers,
                   watch: Callable[[Exported], None] | None = None) -> Exported:
    """Write `Videos/NAME.avi`, 112 x 112, `FileList.csv`, and `Sources.csv`, which says what each clip is.

    Videos that are there are not made again; the tables are written last. EF, ESV and EDV are not known and empty.
    """
    done, watch = Exported(), watch or (lambda exported: None)
    (folder / VIDEOS).mkdir(parents=True, exist_ok=True)
    todo = {item.name: item for item in items}
    orders = ((item, str(folder / VIDEOS / f"{item.name}.avi")) for item in todo.values())
    with closing(workers.map(export_item, place, orders)) as results:
        for (item, _), result in results:
            if isinstance(result, Row):
                done.rows[item.name] = result
            else:
                done.failures.append((item.name, result.reason if isinstance(result, Lost) else result))
            watch(done)
    _write_tables(folder, todo, done)
    return done


def export_item(place: str, order: tuple[Item, str]) -> Row | str:
    """Export one clip, unless its video is there; a row, or why not. What every worker does."""
    item, target = order
    try:
        file, source = _open(place, item)
        times = file.times_s
        rate = even_rate(times)
        if rate is None:  # a rate for all, as the layout wants it
            times = file.select_times(fps=file.fps)
        if not Path(target).exists():
            frames = square(file.frames(times), SIDE)
            write_frames(target, iter([frames]), uniform_times(len(times), float(rate or file.fps)))
        return Row(*file.size, float(rate or file.fps), len(times), source)
    except (LrmError, OSError) as error:
        return str(error)


def square(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Frames (T, H, W) cut to the square around what is not dark, padded where it is wider than high, and resized."""
    height, width = frames.shape[1:]
    if height != width:
        frames = _cut(frames)
    return np.stack([resize(frame, (side, side)) for frame in frames])


def _cut(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bright = frames.max(0) > DARK
    rows, columns = (np.flatnonzero(bright.any(axis)) for axis in (1, 0))
    if not len(rows):
        rows, columns = np.arange(frames.shape[1]), np.arange(frames.shape[2])
    part = frames[:, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    height, width = part.shape[1:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(part, ((0, 0), (top, side - height - top), (left, side - width - left)))


def _open(place: str, item: Item) -> tuple[LrmFile, str]:
    """The coded clip, and its id and path in the archive, or its own path."""
    if item.path:
        return codec.open(item.path), item.path
    archive, packs = _opened(place)
    entry = parse_line(item.line)
    return open_clip(archive.store, packs, entry), f"{entry.id} {entry.path}"


@lru_cache(maxsize=2)
def _opened(place: str) -> tuple[Archive, Packs]:
    archive = open_archive(place)
    return archive, Packs(archive.store)


def _group(archive: Archive, entry: Entry) -> str:
    """Whose clip it is: a patient's id where the archive keeps it, else the study."""
    if not archive.policy.keep_study or entry.header is None:
        return entry.study
    from lrmcodec.formats.dicom_study import StudyTags

    tags = StudyTags.from_bytes(objects.read(archive.store, entry.header))
    return str(tags.elements.get("PatientID") or entry.study)


def _write_tables(folder: Path, items: dict[str, Item], done: Exported) -> None:
    names = sorted(done.rows)
    rows = [(name, "", "", "", row.height, row.width, f"{row.fps:g}", row.frames, items[name].split)
            for name in names for row in (done.rows[name],)]
    write_atomic(folder / FILES, _csv(COLUMNS, rows), force=True)
    write_atomic(folder / SOURCES, _csv(("FileName", "Source"), [(name, done.rows[name].source) for name in names]),
                 force=True)


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
