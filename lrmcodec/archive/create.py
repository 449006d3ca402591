"""Making and continuing an archive: what is there is skipped, the rest is done, and every file is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from lrmcodec.archive.entry import Blob, Entry
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.hashes import Hashes
from lrmcodec.archive.headers import read_facts
from lrmcodec.archive.home import Archive, open_archive, pack_keys, present, put_pack, write_home
from lrmcodec.archive.lock import locked, others
from lrmcodec.archive.manifest import Journal, Manifest, unlisted
from lrmcodec.archive.sources import Source, at_hand, in_shard
from lrmcodec.archive.store import LocalStore, Store
from lrmcodec.archive.task import Done, Failure, archive_source
from lrmcodec.archive.workers import Lost, Workers, closing
from lrmcodec.decoders.registry import find_pack
from lrmcodec.formats.errors import LrmError


class Brief(NamedTuple):
    """What a run needs to know of an entry."""

    path: str
    kind: str
    why: str
    reason: str
    bytes: int
    blobs: tuple[tuple[str, int], ...]


@dataclass
class Summary:
    """What became of the sources of a run.

    Attributes
    ----------
    files, bytes : int
        All sources seen, and their size.
    new, skipped : int
        Files put into the archive by this run, and those that were there.
    stored_bytes : int
        Of the objects of all these files, each counted once.
    kinds : Counter
        Files by 'clip' or why they are kept.
    uncodable : list of (path, reason)
        Kept byte for byte, although they look like clips.
    failures : list of Failure
        Not in the archive.
    """

    files: int = 0
    bytes: int = 0
    new: int = 0
    skipped: int = 0
    stored_bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    uncodable: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _blobs: set[str] = field(default_factory=set)

    @property
    def has_failed(self) -> bool:
        """Whether some inputs failed."""
        return bool(self.uncodable or self.failures)

    def add(self, source: Source, brief: Brief, *, is_new: bool) -> None:
        """Count a source that is in the archive."""
        self._count(source)
        self.new += is_new
        self.skipped += not is_new
        self.kinds[brief.why or brief.kind] += 1
        for key, size in brief.blobs:
            if key not in self._blobs:
                self._blobs.add(key)
                self.stored_bytes += size
        if brief.reason and brief.why == "uncodable":
            self.uncodable.append((source.path, brief.reason))

    def fail(self, source: Source, reason: str) -> None:
        """Count a source that is not."""
        self._count(source)
        self.failures.append(Failure(source.path, reason))

    def _count(self, source: Source) -> None:
        self.files += 1
        self.bytes += source.size_bytes


def create(archive: Archive, sources: Iterable[Source], workers: Workers, *, shard: tuple[int, int] | None = None,
           watch: Callable[[Summary], None] | None = None) -> Summary:
    """Put sources into an archive; what a run that was cut off left is found and gone on from.

    `watch` is called after every file.

    Raises
    ------
    ArchiveError, OutputError
        When another writer is at work, or the archive cannot be written.
    """
    summary, watch = Summary(), watch or (lambda summary: None)
    with locked(archive.store, shard):
        _tidy(archive)
        journal = Journal(archive.store)
        try:
            ids, known = _settled(archive, journal)
            todo = _todo(sources, shard, known, summary, watch)
            with closing(workers.map(run_task, archive.store.url, todo)) as results:
                for source, result in results:
                    _take(source, result, journal, ids, summary)
                    watch(summary)
        finally:
            journal.flush()
    return summary


@dataclass
class Plan:
    """What a run would do: files and bytes by 'clip', by why they would be kept, 'archived' or 'unreadable'."""

    files: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)


def plan(archive: Archive | None, sources: Iterable[Source], shard: tuple[int, int] | None,
         watch: Callable[[Plan], None]) -> Plan:
    """Look at headers only, and change nothing."""
    made = Plan()
    known = Hashes(()) if archive is None else _known_sources(archive)
    for source in sources:
        if shard is None or in_shard(source, shard):
            kind = "archived" if source.stat in known else _look(source)
            made.files[kind] += 1
            made.bytes[kind] += source.size_bytes
            watch(made)
    return made


def _known_sources(archive: Archive) -> Hashes:
    """Where sources lay that are in the archive as far as sizes tell."""
    there = _Inventory(archive.store)
    return Hashes(entry.stat for entry in Manifest(archive.store).entries() if there.has_all_of(entry))


class _Inventory:
    """Which objects and pack files an archive has."""

    def __init__(self, store: Store) -> None:
        self._found = Hashes(each for key, size in present(store) for each in (key, (key, size)))

    def has_all_of(self, entry: Entry) -> bool:
        """Whether the record, all objects and the pack of an entry are there, as far as sizes tell."""
        wanted = [entry.record_key, *((blob.key, blob.size_bytes) for blob in entry.blobs)]
        if entry.coding is not None:
            wanted.append(pack_keys(entry.coding.pack)[0])
        return all(each in self._found for each in wanted)


def run_task(place: str, source: Source) -> Done | Failure:
    """Archive one source; what every worker does."""
    archive, pixels = _opened(place)
    result = archive_source(archive, source, pixels)
    if isinstance(result, Done) and result.entry.coding is not None:
        pixels[result.entry.coding.pixels_sha256] = result.entry.id
    return result


@lru_cache(maxsize=2)
def _opened(place: str) -> tuple[Archive, dict[str, str]]:
    """The archive and ids of its clips by the digests of their pixels, opened once a process."""
    archive = open_archive(place)
    return archive, {entry.coding.pixels_sha256: entry.id for entry in Manifest(archive.store).entries()
                     if entry.coding is not None}


def _tidy(archive: Archive) -> None:
    """Mend what a crash or a loss left of the archive's own files, and put the pack in place."""
    if isinstance(archive.store, LocalStore) and len(others(archive.store)) == 1:
        archive.store.sweep()
    if archive.store.size("archive.json") is None or archive.store.size("objects/archive.json") is None:
        write_home(archive)
    put_pack(archive.store, find_pack(archive.policy.pack))


def _settled(archive: Archive, journal: Journal) -> tuple[dict[str, list[Blob]], dict[str, Brief]]:
    """Objects by ids, and entries by where their sources lay of which every object is there.

    Records that a crash kept from the manifest are appended to it.
    """
    there = _Inventory(archive.store)
    ids: dict[str, list[Blob]] = {}
    known: dict[str, Brief] = {}

    def take(entry: Entry) -> None:
        ids[entry.id] = entry.blobs
        if there.has_all_of(entry):
            known[entry.stat] = _brief(entry)

    for entry in Manifest(archive.store).entries():
        take(entry)
    for entry in unlisted(archive.store, set(ids), [key for key, _ in archive.store.list("objects")]):
        journal.add(entry)
        take(entry)
    return ids, known


def _brief(entry: Entry) -> Brief:
    blobs = tuple((blob.key, blob.size_bytes) for blob in entry.blobs)
    return Brief(entry.path, entry.kind, entry.why, entry.reason, entry.size_bytes, blobs)


def _todo(sources: Iterable[Source], shard: tuple[int, int] | None, known: dict[str, Brief], summary: Summary,
          watch: Callable[[Summary], None]) -> Iterator[Source]:
    """Sources that are not in the archive; the others are counted on the way."""
    for source in sources:
        if shard is not None and not in_shard(source, shard):
            continue
        brief = known.get(source.stat) if source.stat else None
        if brief is None:
            yield source
        else:
            summary.add(source, brief, is_new=False)
            watch(summary)


def _take(source: Source, result: Done | Failure | Lost, journal: Journal, ids: dict[str, list[Blob]],
          summary: Summary) -> None:
    if isinstance(result, Done):
        if ids.get(result.entry.id) != result.entry.blobs:  # new, or made again as other objects by another version
            ids[result.entry.id] = result.entry.blobs
            journal.add(result.entry)
        summary.add(source, _brief(result.entry), is_new=result.is_new)
    else:
        summary.fail(source, result.reason)


def _look(source: Source) -> str:
    if source.problem:
        return "unreadable"
    try:
        with at_hand(source) as file:
            return read_facts(file, source.path).why or "clip"
    except (ArchiveError, LrmError, OSError):
        return "unreadable"
