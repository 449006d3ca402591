"""Where an archive's bytes lie: a local folder, or whatever fsspec reaches (s3://, ...).

Keys are paths with '/' below the archive's root. A write appears whole or not at all; one that returned is on the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.formats.errors import LrmError, OutputError

_EXTRA = "Install it with: pip install 'lrmcodec[scale]'"

URL = re.compile(r"[a-z][a-z0-9+.-]+://")
FANOUT = [f"objects/{value:02x}" for value in range(256)]
TOP_FOLDERS = ("manifest", "packs", "locks", "objects")


class Store(Protocol):
    """What the archive asks of a place."""

    url: str
    lines_a_write: int
    """How many manifest lines are gathered before they are written: 1 where lines can be appended."""

    def prepare(self) -> None:
        """Make the folders of an archive, where the place has folders."""

    def read(self, key: str) -> bytes:
        """All bytes of a key; FileNotFoundError when there is none."""

    def open(self, key: str) -> IO[bytes]:
        """The bytes of a key as a stream."""

    def writing(self, key: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A stream whose bytes appear under `key` when the block ends well."""

    def write(self, key: str, data: bytes) -> None:
        """Put bytes under a key, in the place of what was there."""

    def append(self, key: str, data: bytes, part: int) -> None:
        """Add lines to the journal `key`; `part` counts the calls."""

    def size(self, key: str) -> int | None:
        """Bytes of a key; None when there is none."""

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """All keys below the folder `prefix` and their sizes, in order; none when it does not exist."""

    def remove(self, key: str) -> None:
        """Remove a key; one that is gone is fine."""

    def move(self, key: str, new_key: str) -> None:
        """Give a key another name."""


class LocalStore:
    """A folder on this machine or a shared file system."""

    lines_a_write = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def prepare(self) -> None:
        """Make all folders, unless they are there."""
        if all((self.root / name).is_dir() for name in (*TOP_FOLDERS, FANOUT[-1])):
            return
        with _explained(self.url):
            for name in (*TOP_FOLDERS, *FANOUT):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            for folder in (self.root, self.root / "objects"):
                _sync_folder(folder)

    def read(self, key: str) -> bytes:
        """See `Store`."""
        return (self.root / key).read_bytes()

    def open(self, key: str) -> IO[bytes]:
        """See `Store`."""
        return (self.root / key).open("rb")

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[IO[bytes]]:
        """See `Store`."""
        target = self.root / key
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target, force=True) as temporary, temporary.open("xb") as file:
            yield file

    def write(self, key: str, data: bytes) -> None:
        """See `Store`."""
        with self.writing(key) as file:
            file.write(data)

    def append(self, key: str, data: bytes, part: int) -> None:
        """See `Store`."""
        path = self.root / key
        with _explained(str(path)), path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if part == 0:
            _sync_folder(path.parent)

    def size(self, key: str) -> int | None:
        """See `Store`."""
        try:
            return (self.root / key).stat().st_size
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Store`; hidden names are writes under way or cut off, and left out."""
        try:
            entries = sorted(os.scandir(self.root / prefix), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from self.list(f"{prefix}/{entry.name}")
            else:
                with contextlib.suppress(FileNotFoundError):  # a lock that its owner removes meanwhile
                    yield f"{prefix}/{entry.name}", entry.stat().st_size

    def remove(self, key: str) -> None:
        """See `Store`."""
        (self.root / key).unlink(missing_ok=True)

    def move(self, key: str, new_key: str) -> None:
        """See `Store`."""
        target = self.root / new_key
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).replace(target)

    def sweep(self) -> int:
        """Remove what writes that were cut off left behind; how many there were. Only while nobody writes."""
        count = 0
        for name in (*TOP_FOLDERS, *FANOUT):
            for path in (self.root / name).glob(".*"):
                path.unlink(missing_ok=True)
                count += 1
        return count


class RemoteStore:
    """Any place that fsspec reaches and whose single writes appear whole, as those of S3 do."""

    lines_a_write = 64

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise ArchiveError(f"{url} needs the package fsspec, which is not installed.", _EXTRA) from error
        self.url = url.rstrip("/")
        try:
            self._fs: Any
            # Listings are never remembered: other writers' files would be missed.
            self._fs, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ArchiveError(f"{url} cannot be reached: {error}.", _EXTRA) from error

    def prepare(self) -> None:
        """Object stores have no folders; the container or bucket must exist."""

    def read(self, key: str) -> bytes:
        """See `Store`."""
        with _reached(self.url):
            return bytes(self._fs.cat_file(self._path(key)))

    def open(self, key: str) -> IO[bytes]:
        """See `Store`."""
        with _reached(self.url):
            stream: IO[bytes] = self._fs.open(self._path(key), "rb")
            return stream

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[IO[bytes]]:
        """See `Store`; gathered in a local file first, so that a failure uploads nothing."""
        with tempfile.NamedTemporaryFile(prefix="lrmcodec-") as file:
            yield file
            file.flush()
            with _reached(self.url, may_lack=False):
                self._fs.put_file(file.name, self._path(key))

    def write(self, key: str, data: bytes) -> None:
        """See `Store`."""
        with _reached(self.url, may_lack=False):
            self._fs.pipe_file(self._path(key), data)

    def append(self, key: str, data: bytes, part: int) -> None:
        """See `Store`; nothing can be appended here, so each call writes a key of its own."""
        stem, _, suffix = key.rpartition(".")
        self.write(f"{stem}-{part:06d}.{suffix}", data)

    def size(self, key: str) -> int | None:
        """See `Store`."""
        try:
            with _reached(self.url):
                return int(self._fs.info(self._path(key))["size"])
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Store`."""
        with _reached(self.url):
            found = self._fs.find(self._path(prefix), detail=True)
        for path in sorted(found):
            yield path[len(self._root) + 1:], int(found[path]["size"])

    def remove(self, key: str) -> None:
        """See `Store`."""
        with contextlib.suppress(FileNotFoundError), _reached(self.url):
            self._fs.rm_file(self._path(key))

    def move(self, key: str, new_key: str) -> None:
        """See `Store`."""
        with _reached(self.url):
            self._fs.copy(self._path(key), self._path(new_key))
        self.remove(key)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


@contextlib.contextmanager
def _reached(place: str, *, may_lack: bool = True) -> Iterator[None]:
    """Turn whatever a remote place's client raises into ours, but for a key that is not there where it `may_lack`."""
    try:
        yield
    except LrmError:
        raise
    except Exception as error:  # clients raise errors of their own kinds, not all of them OSErrors
        if may_lack and isinstance(error, FileNotFoundError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OutputError(f"{place} cannot be used: {reason}.", "Check its name, network and credentials.") from error


def open_store(place: str) -> Store:
    """The store of a folder's name or a URL.

    Raises
    ------
    ArchiveError
        When a package that the URL needs is missing.
    """
    return RemoteStore(place) if URL.match(place) else LocalStore(Path(place).resolve())


@contextlib.contextmanager
def _explained(place: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{place} cannot be written: {reason}.", "Check the place and its permissions.") from error


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems refuse to sync folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
