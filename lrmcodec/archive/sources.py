"""What there is to archive: files in folders, in DICOMDIRs and in zips, each under the name it gets in the archive."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from lrmcodec.archive.errors import ArchiveError

DICOMDIR = "DICOMDIR"
CHUNK = 1 << 20
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Source:
    """A file to be archived.

    Attributes
    ----------
    path : str
        Its name in the archive.
    location : str
        The file, or the zip that it lies in.
    member : str
        Its name in the zip, else ''.
    size_bytes : int
    modified : str
        Time of the last change, ISO 8601.
    stat : str
        Digest of the location and of all that the system says about it; a changed file has another.
    problem : str
        Why it cannot be read, where that is known already.
    """

    path: str
    location: str
    member: str = ""
    size_bytes: int = 0
    modified: str = ""
    stat: str = ""
    problem: str = ""


def walk(places: Sequence[str], archive: str) -> Iterator[Source]:
    """All files of folders, files, DICOMDIRs and zips, in order of their names; those of the archive itself left out.

    Raises
    ------
    ArchiveError
        When a place does not exist, or two places have the same last name.
    """
    roots = [Path(os.path.realpath(place)) for place in places]
    _check_places(places, roots)
    home = Path(os.path.realpath(archive))
    for root in roots:
        if root.name == DICOMDIR and root.is_file():
            yield from _of_dicomdir(root)
        elif root.is_dir():
            yield from _of_folder(root, root.name, home, frozenset({root}))
        else:
            yield from _of_file(root, root.name)


def _check_places(places: Sequence[str], roots: Sequence[Path]) -> None:
    names: dict[str, str] = {}
    for place, root in zip(places, roots, strict=True):
        if not root.exists():
            raise ArchiveError(f"{place} does not exist.", "Check the name.")
        name = root.parent.name if root.name == DICOMDIR else root.name
        if name in names:
            raise ArchiveError(f"{names[name]} and {place} have the same last name, which their files would share.",
                               "Give the folder above them, or archive them one after the other.")
        names[name] = place


def _of_folder(folder: Path, name: str, home: Path, above: frozenset[Path]) -> Iterator[Source]:
    """Files below a folder; `above` are the folders that it lies in, so that links cannot go round."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Source(name, str(folder), problem=f"the folder cannot be read: {error.strerror}")
        return
    for entry in entries:
        path, real = f"{name}/{entry.name}", Path(os.path.realpath(entry.path))
        if real == home:
            continue
        if not entry.is_dir():
            yield from _of_file(Path(entry.path), path)
        elif real not in above:
            yield from _of_folder(Path(entry.path), path, home, above | {real})
        if entry.name == DICOMDIR and entry.is_file():
            yield from _missing(Path(entry.path), name)


def _of_file(file: Path, path: str) -> Iterator[Source]:
    try:
        facts = file.stat()
    except OSError as error:
        yield Source(path, str(file), problem=f"it cannot be read: {error.strerror}")
        return
    if not file.is_file():
        yield Source(path, str(file), problem="it is neither a file nor a folder")
        return
    stat = _digest(str(file), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
    modified = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(timespec="seconds")
    whole = Source(path, str(file), "", facts.st_size, modified, stat)
    if file.suffix.lower() == ".zip":
        yield from _of_zip(whole)
    else:
        yield whole


def _of_zip(whole: Source) -> Iterator[Source]:
    """Members of a zip under names below the zip's; one that cannot be listed is archived as a file."""
    try:
        with zipfile.ZipFile(whole.location) as opened:
            members = sorted((info for info in opened.infolist() if not info.is_dir()), key=lambda info: info.filename)
    except _ZIP_ERRORS:
        yield whole
        return
    for info in members:
        inner = PurePosixPath(info.filename.replace("\\", "/"))
        name = "/".join(part for part in inner.parts if part not in ("/", "..", "."))
        problem = "it is encrypted in its zip" if info.flag_bits & 1 else ""
        modified = datetime(*info.date_time).isoformat() if _is_date(info.date_time) else whole.modified
        yield Source(f"{whole.path}/{name}", whole.location, info.filename, info.file_size, modified,
                     _digest(whole.stat, info.filename, info.CRC, info.file_size), problem)


def _is_date(parts: tuple[int, ...]) -> bool:
    try:
        datetime(*parts)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def _of_dicomdir(index: Path) -> Iterator[Source]:
    """The index and the files that it names."""
    folder, name = index.parent, index.parent.name
    yield from _of_file(index, f"{name}/{DICOMDIR}")
    for file in _named(index):
        yield from _of_file(folder / file, f"{name}/{file}") if (folder / file).exists() else ()
    yield from _missing(index, name)


def _missing(index: Path, name: str) -> Iterator[Source]:
    """Files that a DICOMDIR names and that are not there."""
    for file in _named(index):
        if not (index.parent / file).exists():
            yield Source(f"{name}/{file}", str(index.parent / file), problem="it is missing; the DICOMDIR names it")


def _named(index: Path) -> list[str]:
    """Relative paths that a DICOMDIR names, in order; none when it cannot be read."""
    try:
        from pydicom import dcmread

        records = dcmread(index).DirectoryRecordSequence
    except Exception:  # damaged files raise errors of every kind; the index itself is archived all the same
        return []
    names = []
    for record in records:
        parts = record.get("ReferencedFileID")
        parts = [parts] if isinstance(parts, str) else list(parts or [])
        if parts and not {"..", "."} & set(parts) and not any("/" in part or not part for part in parts):
            names.append("/".join(parts))
    return sorted(names)


@contextlib.contextmanager
def at_hand(source: Source) -> Iterator[Path]:
    """Path of a source's file, unpacked from its zip where it lies in one.

    Raises
    ------
    ArchiveError
        When it cannot be unpacked, or is not what its zip says.
    """
    if not source.member:
        yield Path(source.location)
        return
    suffix = PurePosixPath(source.path).suffix[:16]
    with tempfile.TemporaryDirectory(prefix="lrmcodec-") as folder:
        target = Path(folder) / f"member{suffix}"
        _unpack(source, target)
        yield target


def _unpack(source: Source, target: Path) -> None:
    """Write a member to a file, never more than it says it has."""
    left = source.size_bytes
    try:
        with zipfile.ZipFile(source.location) as opened, opened.open(source.member) as member, target.open("wb") as out:
            while chunk := member.read(min(CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise ArchiveError("it is larger than its zip says.", "Pack it again.")
                out.write(chunk)
    except (KeyError, *_ZIP_ERRORS) as error:
        raise ArchiveError(f"it cannot be unpacked from its zip ({type(error).__name__}).", "Check the zip.") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def in_shard(source: Source, shard: tuple[int, int]) -> bool:
    """Whether a source belongs to part i of n, by its name alone."""
    number = int(hashlib.sha256(os.fsencode(source.path)).hexdigest()[:12], 16)
    return number % shard[1] == shard[0] - 1


def hidden_path(path: str, salt: str) -> str:
    """A name that says nothing: digests of a path's folders and file, and the file's suffix."""
    *folders, name = path.split("/")
    digests = [hashlib.sha256(f"{salt}/{'/'.join(folders[:depth + 1])}".encode("utf-8", "surrogateescape")).hexdigest()
               for depth in range(len(folders))]
    file = hashlib.sha256(f"{salt}/{path}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    suffix = PurePosixPath(name).suffix.lower()
    return "/".join([*(digest[:8] for digest in digests), file + (suffix if len(suffix) <= 6 else "")])


def _digest(*parts: object) -> str:
    text = "\0".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
