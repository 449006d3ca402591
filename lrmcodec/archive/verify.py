"""Finding out before it is needed what cannot be restored."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from lrmcodec.archive import objects
from lrmcodec.archive.entry import Blob, Entry, parse_line
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.home import Archive, Packs, open_archive, present, stored_packs
from lrmcodec.archive.lock import others
from lrmcodec.archive.manifest import Manifest, read_record, record_keys
from lrmcodec.archive.restore import open_clip
from lrmcodec.archive.store import Store
from lrmcodec.archive.task import decoded_facts
from lrmcodec.archive.workers import Lost, Workers, closing
from lrmcodec.formats.errors import LrmError

MEAN_TOLERANCE = 0.5
"""Gray levels by which a frame's mean may differ on a machine that rounds otherwise."""


@dataclass(frozen=True)
class Problem:
    """Something that keeps a file from being restored as it should; `id` and `path` are '' of what no file needs."""

    what: str
    id: str = ""
    path: str = ""


@dataclass
class Findings:
    """Result of a verification.

    Attributes
    ----------
    files : int
        Entries in the manifest.
    decoded, read_bytes : int
        Entries whose objects were read and decoded, and the bytes of these objects.
    differing : int
        Clips that decode to other bytes than where they were made, within what rounding explains.
    problems : list of Problem
    loose : int
        Objects that no entry needs: left by runs that were cut off, harmless.
    """

    files: int = 0
    decoded: int = 0
    read_bytes: int = 0
    differing: int = 0
    problems: list[Problem] = field(default_factory=list)
    loose: int = 0


@dataclass(frozen=True)
class Checked:
    """What decoding one entry gave: a problem or '', and whether it differs within rounding."""

    problem: str
    differs: bool = False


def verify(archive: Archive, workers: Workers, subset: str = "100%",
           watch: Callable[[Findings, int], None] | None = None) -> Findings:
    """Check that everything is there, and read and decode a subset: '5%' drawn at random, or '2/10', a fixed tenth.

    Raises
    ------
    ArchiveError
        When `subset` is neither.
    """
    chosen, watch = _chooser(subset), watch or (lambda findings, total: None)
    findings = Findings()
    there = dict(present(archive.store))
    manifest = Manifest(archive.store)
    needed = {"objects/archive.json"}
    picked: list[bytes] = []
    for entry in manifest.entries():
        findings.files += 1
        needed |= {entry.record_key, *(blob.key for blob in entry.blobs)}
        missing = list(_missing(entry, there, archive.store))
        findings.problems += [Problem(what, entry.id, entry.path) for what in missing]
        if not missing and chosen(entry):
            picked.append(entry.to_line())
    _check_whole(archive, manifest, there, needed, findings)
    watch(findings, len(picked))
    with closing(workers.map(check_entry, archive.store.url, picked)) as results:
        for line, result in results:
            _take(parse_line(line), result, findings)
            watch(findings, len(picked))
    return findings


def check_entry(place: str, line: bytes) -> Checked:
    """Read all objects of an entry and decode its clip; what every worker does."""
    archive, packs = _opened(place)
    entry = parse_line(line)
    try:
        if read_record(archive.store, entry.record_key).id != entry.id:
            return Checked("its record is damaged")
        for blob in (entry.original, entry.header):
            if blob is not None:
                _drain(objects.chunks(archive.store, blob))
        if entry.original is not None and entry.original.sha256 != entry.sha256:
            return Checked("its object is not that of its source")
        return _check_clip(archive, packs, entry)
    except (LrmError, OSError) as error:
        return Checked(error.what if isinstance(error, LrmError) else str(error.strerror))


def _check_clip(archive: Archive, packs: Packs, entry: Entry) -> Checked:
    if entry.coded is None or entry.coding is None:
        return Checked("")
    file = open_clip(archive.store, packs, entry)
    coding = entry.coding
    if (file.coded.frame_count, *file.size) != (coding.frames, coding.height, coding.width):
        return Checked("its clip has another size than it had")
    digest, means = decoded_facts(file)
    if digest == coding.decoded_sha256:
        return Checked("")
    close = len(means) == len(coding.frame_means) and all(
        abs(a - b) <= MEAN_TOLERANCE for a, b in zip(means, coding.frame_means, strict=True))
    return Checked("" if close else "its clip decodes to other pictures than it did", close)


@lru_cache(maxsize=2)
def _opened(place: str) -> tuple[Archive, Packs]:
    archive = open_archive(place)
    return archive, Packs(archive.store)


def _take(entry: Entry, result: Checked | Lost, findings: Findings) -> None:
    findings.decoded += 1
    findings.read_bytes += entry.stored_bytes
    problem = result.reason if isinstance(result, Lost) else result.problem
    findings.differing += isinstance(result, Checked) and result.differs
    if problem:
        findings.problems.append(Problem(problem, entry.id, entry.path))


def _missing(entry: Entry, there: dict[str, int], store: Store) -> Iterator[str]:
    """What an entry needs and is not there, as far as names and sizes tell; a writer may have added to what was."""
    def size(key: str) -> int | None:
        return there[key] if key in there else store.size(key)

    if size(entry.record_key) is None:
        yield "its record is missing"
    for blob in entry.blobs:
        found = size(blob.key)
        if found is None:
            yield f"its object {blob.key} is missing"
        elif found != blob.size_bytes:
            yield f"its object {blob.key} has {found:,} bytes instead of {blob.size_bytes:,}"
    if entry.coding is not None and size(f"packs/{entry.coding.pack}/card.json") is None:
        yield f"its decoder pack {entry.coding.pack[:16]} is missing"


def _check_whole(archive: Archive, manifest: Manifest, there: dict[str, int], needed: set[str],
                 findings: Findings) -> None:
    """Problems of the archive itself, and what no entry needs."""
    if manifest.damaged:
        findings.problems.append(Problem(f"{manifest.damaged} lines of the manifest are damaged"))
    for name in ("archive.json", "objects/archive.json"):
        if archive.store.size(name) is None:
            findings.problems.append(Problem(f"{name} is missing"))
    lost = [key for key in record_keys(list(there)) if key not in needed]
    if lost and not others(archive.store):  # a writer at work writes records before lines
        findings.problems.append(Problem(f"{len(lost)} files are among the objects but not in the manifest"))
    packs = Packs(archive.store)
    for digest in stored_packs(archive.store):
        try:
            packs.get(digest)
        except LrmError as error:
            findings.problems.append(Problem(error.what))
    findings.loose = sum(key.startswith("objects/") and key not in needed for key in there) - len(lost)


def _chooser(subset: str) -> Callable[[Entry], bool]:
    """Whether an entry belongs to the subset that a text names."""
    share, part = re.fullmatch(r"(\d+(?:\.\d+)?)%", subset), re.fullmatch(r"(\d+)/(\d+)", subset)
    if share and float(share[1]) <= 100:
        draw, limit = random.SystemRandom(), float(share[1]) / 100
        return lambda entry: draw.random() < limit
    if part and 1 <= int(part[1]) <= int(part[2]):
        index, count = int(part[1]), int(part[2])
        return lambda entry: int(entry.id, 16) % count == index - 1
    raise ArchiveError(f"{subset!r} names no subset.", "Give a share such as 5%, or a part such as 2/10.")


def _drain(pieces: Iterable[bytes]) -> None:
    for _ in pieces:
        pass


def damaged_blobs(archive: Archive, entries: Iterable[Entry]) -> Iterator[Blob]:
    """Objects whose content is not what their names say, each once; missing ones left out."""
    seen: set[str] = set()
    for entry in entries:
        for blob in entry.blobs:
            if blob.key in seen or archive.store.size(blob.key) is None:
                continue
            seen.add(blob.key)
            try:
                _drain(objects.chunks(archive.store, blob))
            except ArchiveError:
                yield blob
