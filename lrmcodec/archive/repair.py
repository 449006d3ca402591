"""Mending an archive from what is left of it: manifest from records and back, packs from this installation.

Nothing is thrown away: damaged objects are moved to `damaged/`. What is gone is made again by archiving its source.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lrmcodec.archive.entry import Entry
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.home import Archive, Packs, present, put_pack, stored_packs, write_home
from lrmcodec.archive.lock import locked
from lrmcodec.archive.manifest import FOLDER, Journal, Manifest, read_record, record_keys, unlisted
from lrmcodec.archive.store import LocalStore
from lrmcodec.archive.verify import damaged_blobs
from lrmcodec.decoders.registry import shipped_packs
from lrmcodec.formats.errors import LrmError
from lrmcodec.formats.pack import load_pack


@dataclass
class Repairs:
    """What was mended.

    Attributes
    ----------
    lines, records : int
        Manifest lines made again from records, and records from manifest lines.
    packs : list of str
        Decoder packs put back.
    moved : list of str
        Damaged objects, now below `damaged/`.
    lost : list of (id, path, what)
        What still cannot be restored; archiving the sources again makes it whole.
    """

    lines: int = 0
    records: int = 0
    packs: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    lost: list[tuple[str, str, str]] = field(default_factory=list)


def repair(archive: Archive, pack_folders: Sequence[str] = ()) -> Repairs:
    """Mend what can be mended; reads every object.

    Raises
    ------
    ArchiveError, PackError
        When another writer is at work, or a folder given is no pack.
    """
    repairs = Repairs()
    with locked(archive.store):
        if isinstance(archive.store, LocalStore):
            archive.store.prepare()
            archive.store.sweep()
        write_home(archive)
        entries = _mend_manifest(archive, repairs)
        _mend_records(archive, entries, repairs)
        for blob in list(damaged_blobs(archive, entries)):
            _set_aside(archive, blob.key, repairs)
        _mend_packs(archive, entries, pack_folders, repairs)
        _list_lost(archive, entries, repairs)
    return repairs


def _mend_manifest(archive: Archive, repairs: Repairs) -> list[Entry]:
    """All entries; those that only records hold are appended, and journals with damaged lines written anew."""
    store, manifest = archive.store, Manifest(archive.store)
    entries = list(manifest.entries())
    found = list(unlisted(store, {entry.id for entry in entries}, [key for key, _ in store.list("objects")]))
    journal, old = Journal(store), [key for key, _ in store.list(FOLDER)] if manifest.damaged else []
    for entry in [*(entries if old else []), *found]:
        journal.add(entry)
    journal.flush()
    for key in old:
        _set_aside(archive, key, repairs)
    repairs.lines = len(found)
    return [*entries, *found]


def _mend_records(archive: Archive, entries: Sequence[Entry], repairs: Repairs) -> None:
    for entry in entries:
        try:
            read_record(archive.store, entry.record_key)
        except (FileNotFoundError, ArchiveError):
            archive.store.write(entry.record_key, entry.to_line())
            repairs.records += 1
    known = {entry.record_key for entry in entries}
    for key in record_keys([key for key, _ in archive.store.list("objects")]):
        if key not in known:
            _set_aside(archive, key, repairs)  # a record that cannot be read, of a file that no line names


def _mend_packs(archive: Archive, entries: Sequence[Entry], folders: Sequence[str], repairs: Repairs) -> None:
    packs = Packs(archive.store)
    for digest in stored_packs(archive.store):
        try:
            packs.get(digest)
        except LrmError:
            for key, _ in list(archive.store.list(f"packs/{digest}")):
                _set_aside(archive, key, repairs)
    missing = {entry.coding.pack for entry in entries if entry.coding is not None} - set(stored_packs(archive.store))
    at_hand = [load_pack(Path(folder)) for folder in folders]
    for pack in at_hand + (shipped_packs() if missing else []):
        if pack.digest in missing:
            put_pack(archive.store, pack)
            missing.discard(pack.digest)
            repairs.packs.append(pack.name)


def _set_aside(archive: Archive, key: str, repairs: Repairs) -> None:
    target = f"damaged/{time.strftime('%Y%m%dT%H%M%S')}/{key}"
    archive.store.move(key, target)
    repairs.moved.append(target)


def _list_lost(archive: Archive, entries: Sequence[Entry], repairs: Repairs) -> None:
    there = dict(present(archive.store))
    for entry in entries:
        gone = [blob.key for blob in entry.blobs if there.get(blob.key) != blob.size_bytes]
        if entry.coding is not None and f"packs/{entry.coding.pack}/card.json" not in there:
            gone.append(f"decoder pack {entry.coding.pack[:16]}, which this lrmcodec does not have")
        if gone:
            repairs.lost.append((entry.id, entry.path, ", ".join(gone)))
