"""The manifest: append-only journals of lines, one a source file, and what to do when they are damaged or lost.

Each writer appends to a journal of its own, so that a line that a crash cut off is the last of its file and stays so.
Every line also lies among the objects, as a record; the journals are only the quick way to read them all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from secrets import token_hex

from lrmcodec.archive.entry import Entry, parse_line
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.store import Store

FOLDER = "manifest"
RECORD = ".json"
ID = re.compile(rb'"id":"([0-9a-f]{16})"')


class Journal:
    """A writer's own part of the manifest."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = f"{FOLDER}/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{token_hex(4)}.jsonl"
        self._waiting: list[bytes] = []
        self._part = 0

    def add(self, entry: Entry) -> None:
        """Append a line; where lines cannot be appended, soon. Its record is there already."""
        self._waiting.append(entry.to_line())
        if len(self._waiting) >= self._store.lines_a_write:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._store.append(self._key, b"".join(self._waiting), self._part)
            self._waiting.clear()
            self._part += 1


class Manifest:
    """Reads all journals.

    Attributes
    ----------
    damaged : int
        Lines that could not be read so far, but for the last ones of journals, which crashes cut off.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.damaged = 0

    def entries(self) -> Iterator[Entry]:
        """All entries, each as it was written last, in the order of writing; a line at a time."""
        last = self._last_places()
        earlier: dict[str, Entry] = {}
        for place, (line, is_end) in enumerate(self._lines()):
            try:
                entry = parse_line(line)
            except ArchiveError:
                self.damaged += not is_end
                continue
            if place == last.get(entry.id):
                earlier.pop(entry.id, None)
                yield entry
            else:
                earlier[entry.id] = entry
        yield from earlier.values()  # of which the later lines are damaged

    def _last_places(self) -> dict[str, int]:
        """Number of the last line of each id."""
        places = {}
        for place, (line, _) in enumerate(self._lines()):
            match = ID.search(line)
            if match is not None:
                places[match[1].decode()] = place
        return places

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Lines of all journals, and whether each is the end of its journal; with one line of memory."""
        for key, _ in self._store.list(FOLDER):
            with self._store.open(key) as file:
                before = b""
                for line in file:
                    if before:
                        yield before, False
                    before = line
                if before:
                    yield before, True


def listed(store: Store) -> Iterator[Entry]:
    """All entries, for commands that only read.

    Raises
    ------
    ArchiveError
        When the manifest is lost, which would look like an archive of nothing, and when lines of it are damaged, after
        the others.
    """
    manifest, count = Manifest(store), 0
    for entry in manifest.entries():
        count += 1
        yield entry
    if not count and record_keys([key for key, _ in store.list("objects")]):
        raise ArchiveError("the manifest is lost.", "Run 'lrmcodec archive repair', which makes it from the objects.")
    if manifest.damaged:
        raise ArchiveError(f"{manifest.damaged} lines of the manifest are damaged.", "Run 'lrmcodec archive repair'.")


def read_record(store: Store, key: str) -> Entry:
    """The entry that a record holds.

    Raises
    ------
    ArchiveError
        When it is damaged or lies under another name.
    """
    entry = parse_line(store.read(key))
    if entry.record_key != key:
        raise ArchiveError(f"record {key} belongs to another name.", "Archive its source again.")
    return entry


def record_keys(keys: Iterator[str] | list[str]) -> list[str]:
    """Those of all object keys that are records of source files."""
    return [key for key in keys if key.endswith(RECORD) and len(key.rpartition("/")[2]) == 16 + len(RECORD)]


def unlisted(store: Store, known: set[str], keys: list[str]) -> Iterator[Entry]:
    """Entries whose records exist but whose ids are not `known`; damaged records are left out."""
    for key in record_keys(keys):
        if key.rpartition("/")[2][:16] not in known:
            try:
                yield read_record(store, key)
            except ArchiveError:
                continue

