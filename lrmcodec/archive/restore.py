"""Getting files back: byte for byte where that is stored, else decoded into a clip of any kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from lrmcodec.archive import objects
from lrmcodec.archive.entry import CLIP, Entry, parse_line
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.headers import CLIP_SUFFIXES
from lrmcodec.archive.home import Archive, Packs, open_archive
from lrmcodec.archive.manifest import listed
from lrmcodec.archive.store import Store
from lrmcodec.archive.workers import Lost, Workers, closing
from lrmcodec.decoders.registry import make_decoder
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.formats.errors import LrmError
from lrmcodec.formats.frames import DicomOptions
from lrmcodec.formats.video import write_frames
from lrmcodec.reader import LrmFile

SUFFIXES = {"dicom": ".dcm", "avi": ".avi", "mp4": ".mp4", "lrm": ".lrm"}
WRITABLE = {".avi": ".avi", ".mp4": ".mp4", ".gif": ".gif", ".npy": ".npy", ".npz": ".npz", ".mkv": ".mkv"}
"""Sources' suffixes that decoded clips keep where no kind is asked for; others become DICOM or avi."""


@dataclass(frozen=True)
class Order:
    """One entry to restore, as its line, and where to."""

    line: bytes
    target: str
    is_exact: bool
    force: bool


@dataclass
class Restored:
    """What a restoration gave: files written, files that were there and left alone, and those that failed.

    Attributes
    ----------
    exact : int
        Files written byte for byte as they were.
    failures : list of (id, path, reason)
    """

    written: int = 0
    exact: int = 0
    bytes: int = 0
    there: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What became of one order."""

    is_exact: bool = False
    was_there: bool = False
    problem: str = ""


def choose(archive: Archive, ids: Iterable[str]) -> list[Entry]:
    """Entries by their ids or the beginnings of them, or by their paths.

    Raises
    ------
    ArchiveError
        When one names no entry, or several.
    """
    wanted: dict[str, list[Entry]] = {name: [] for name in ids}
    for entry in listed(archive.store):
        for name, found in wanted.items():
            if entry.path == name or (len(name) >= 4 and entry.id.startswith(name)):
                found.append(entry)
    for name, found in wanted.items():
        if len(found) != 1:
            what = f"{name} names {len(found) or 'no'} file{'s' if found else ''} of the archive."
            raise ArchiveError(what, "'lrmcodec archive list' shows the ids.")
    return [found[0] for found in wanted.values()]


def restore(archive: Archive, entries: Iterable[Entry], folder: str, kind: str, workers: Workers, *,
            force: bool = False, watch: Callable[[Restored], None] | None = None) -> Restored:
    """Write entries below a folder, each whole or not at all, under the names of their sources."""
    done, watch = Restored(), watch or (lambda restored: None)
    with closing(workers.map(restore_entry, archive.store.url, _orders(entries, folder, kind, force, done))) as results:
        for order, result in results:
            _take(parse_line(order.line), result, done)
            watch(done)
    return done


def _orders(entries: Iterable[Entry], folder: str, kind: str, force: bool, done: Restored) -> Iterator[Order]:
    """Where each entry goes; one whose name another has taken gets its id into the name."""
    taken: set[Path] = set()
    for entry in entries:
        try:
            is_exact = _is_exact(entry, kind)
            target = output_path(entry, str(Path(folder).resolve()), kind, is_exact)
        except ArchiveError as error:
            done.failures.append((entry.id, entry.path, str(error)))
            continue
        if target in taken:
            target = target.with_name(f"{target.stem}.{entry.id[:8]}{target.suffix}")
        taken.add(target)
        yield Order(entry.to_line(), str(target), is_exact, force)


def restore_entry(place: str, order: Order) -> Outcome:
    """Restore one entry; what every worker does."""
    archive, packs = _opened(place)
    entry, target = parse_line(order.line), Path(order.target)
    try:
        if target.exists() and not order.force:
            return Outcome(was_there=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if order.is_exact:
            _write_original(archive.store, entry, target, force=order.force)
        else:
            _write_clip(archive, packs, entry, target, force=order.force)
        return Outcome(order.is_exact)
    except (LrmError, OSError) as error:
        return Outcome(problem=str(error) if isinstance(error, LrmError) else str(error.strerror))


def open_clip(store: Store, packs: Packs, entry: Entry) -> LrmFile:
    """The coded clip of an entry, with the archive's own decoder pack.

    Raises
    ------
    ArchiveError, FormatError
        When the object or the pack is missing or damaged.
    """
    if entry.coded is None or entry.coding is None:
        raise ArchiveError(f"{entry.path} is no coded clip.")
    return LrmFile(objects.read(store, entry.coded), decoder=make_decoder(packs.get(entry.coding.pack), "cpu"))


def output_path(entry: Entry, folder: str, kind: str, exact: bool) -> Path:
    """Where an entry is written: its path, with the suffix of what is written.

    Raises
    ------
    ArchiveError
        When the path would lead out of the folder.
    """
    parts = entry.path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or any("\0" in part for part in parts) or os.sep in entry.path[:1]:
        raise ArchiveError(f"the name {entry.path!r} leads out of the folder.", "Restore it by its id into another.")
    target = Path(folder, *parts)
    if exact:
        return target
    suffix = SUFFIXES.get(kind) or _usual_suffix(entry)
    if target.suffix.lower() == suffix:
        return target
    return target.with_name(target.stem + suffix if target.suffix.lower() in CLIP_SUFFIXES | {".dcm", ".dicom", ".ima"}
                            else target.name + suffix)


def _usual_suffix(entry: Entry) -> str:
    if entry.coding is not None and entry.coding.technical.get("source") == "dicom":
        return ".dcm"
    suffix = WRITABLE.get(PurePosixPath(entry.path).suffix.lower(), ".avi")
    return ".mkv" if suffix == ".avi" and entry.coding is not None and not entry.coding.is_even else suffix


def _is_exact(entry: Entry, kind: str) -> bool:
    """Whether the file itself is written.

    Raises
    ------
    ArchiveError
        When it is asked for and not stored.
    """
    if entry.original is not None and (kind in ("", "original") or entry.kind != CLIP):
        return True
    if kind == "original":
        raise ArchiveError("only the coded clip is stored, not the file itself.",
                           "Restore it as another kind, or archive with --lossless-originals.")
    return False


def _write_original(store: Store, entry: Entry, target: Path, *, force: bool) -> None:
    assert entry.original is not None
    with atomic_path(target, force) as temporary, temporary.open("xb") as file:
        for chunk in objects.chunks(store, entry.original):
            file.write(chunk)


def _write_clip(archive: Archive, packs: Packs, entry: Entry, target: Path, *, force: bool) -> None:
    store, keep_study = archive.store, archive.policy.keep_study
    assert entry.coding is not None
    if target.suffix == ".lrm":
        assert entry.coded is not None
        data = objects.read(store, entry.coded)
        with atomic_path(target, force) as temporary:
            temporary.write_bytes(data)
        return
    file = open_clip(store, packs, entry)
    metadata = {**entry.coding.technical, **file.compression()}
    write_frames(target, file.blocks(), file.times_s, force=force, metadata=metadata,
                 dicom=DicomOptions(b"" if entry.header is None else objects.read(store, entry.header), keep_study))


@lru_cache(maxsize=2)
def _opened(place: str) -> tuple[Archive, Packs]:
    archive = open_archive(place)
    return archive, Packs(archive.store)


def _take(entry: Entry, result: Outcome | Lost, done: Restored) -> None:
    problem = result.reason if isinstance(result, Lost) else result.problem
    if problem or isinstance(result, Lost):
        done.failures.append((entry.id, entry.path, problem))
    elif result.was_there:
        done.there += 1
    else:
        done.written += 1
        done.exact += result.is_exact
        done.bytes += entry.size_bytes if result.is_exact else 0

