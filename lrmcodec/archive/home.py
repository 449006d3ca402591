"""An archive as a whole: its id and policy, its packs, and opening it to read or write."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from lrmcodec import __version__
from lrmcodec.archive.entry import read_signed, signed
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.policy import Policy, policy_from
from lrmcodec.archive.store import Store, open_store
from lrmcodec.formats.errors import PackError
from lrmcodec.formats.pack import CARD, WEIGHTS, Pack, load_pack

HOME = "archive.json"
SPARE = "objects/archive.json"
"""A copy of the archive's own record among the objects, should the first be lost."""


@dataclass(frozen=True)
class Archive:
    """An opened archive.

    Attributes
    ----------
    store : Store
    id : str
        32 hexadecimal digits drawn at random when it was made; salts the ids and paths that are hidden.
    policy : Policy
    """

    store: Store
    id: str
    policy: Policy


def open_archive(place: str) -> Archive:
    """Open an archive that exists.

    Raises
    ------
    ArchiveError
        When there is none, or its record is damaged or newer.
    """
    store = open_store(place)
    found = _read_home(store, HOME) or _read_home(store, SPARE)
    if found is None:
        raise ArchiveError(f"{place} is not an archive.", "Make one with: lrmcodec archive SOURCE -o ARCHIVE")
    return found


def make_archive(place: str, policy: Policy | None) -> Archive:
    """Open an archive, or make one where there is nothing; None stands for the policy that an archive has.

    Raises
    ------
    ArchiveError
        When the place holds something else, or an archive of another policy.
    """
    store = open_store(place)
    found = _read_home(store, HOME) or _read_home(store, SPARE)
    if found is not None:
        _refuse_other(found, policy)
        store.prepare()
        return found
    if any(True for _ in store.list("")):
        raise ArchiveError(f"{place} is not empty and not an archive.", "Choose a new folder for the archive.")
    store.prepare()
    made = Archive(store, token_hex(16), policy or Policy())
    write_home(made)
    return made


def write_home(archive: Archive) -> None:
    """Write the archive's own record and its copy."""
    line = signed({"lrmcodec archive": archive.id, "tool": __version__, "policy": archive.policy.as_dict()})
    for key in (SPARE, HOME):
        archive.store.write(key, line)


def _read_home(store: Store, key: str) -> Archive | None:
    """The archive that a record describes; None when it is missing or damaged."""
    try:
        values = read_signed(store.read(key))
        return Archive(store, str(values["lrmcodec archive"]), policy_from(values["policy"]))
    except (FileNotFoundError, NotADirectoryError, KeyError):
        return None
    except ArchiveError as error:
        if "cut off or damaged" in error.what:
            return None
        raise


def _refuse_other(archive: Archive, policy: Policy | None) -> None:
    if policy is not None and policy != archive.policy:
        mine, given = (json.dumps(each.as_dict()) for each in (archive.policy, policy))
        raise ArchiveError(f"{archive.store.url} was made under other settings: {mine}, not {given}.",
                           "Leave the options out to go on under its settings, or choose another place.")


def pack_keys(digest: str) -> list[str]:
    """Where the files of a pack lie."""
    return [f"packs/{digest}/{name}" for name in (CARD, WEIGHTS)]


def put_pack(store: Store, pack: Pack) -> None:
    """Store a decoder pack, unless it is there; the card last, which makes it one."""
    card, weights = pack_keys(pack.digest)
    if store.size(card) is not None:
        return
    if pack.weight_bytes:
        store.write(weights, (pack.path / WEIGHTS).read_bytes())
    store.write(card, (pack.path / CARD).read_bytes())


def stored_packs(store: Store) -> list[str]:
    """Digests of the packs in the archive."""
    return [key.split("/")[1] for key, _ in store.list("packs") if key.endswith(f"/{CARD}")]


class Packs:
    """Decoder packs of an archive, by digest, checked once when they are first asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, Pack] = {}

    def get(self, digest: str) -> Pack:
        """A pack whose content has that digest.

        Raises
        ------
        ArchiveError
            When it is missing from the archive, or damaged.
        """
        if digest not in self._found:
            with tempfile.TemporaryDirectory(prefix="lrmcodec-") as folder:
                self._found[digest] = self._load(digest, Path(folder))
        return self._found[digest]

    def _load(self, digest: str, folder: Path) -> Pack:
        """Read a pack into memory by way of a folder."""
        card, weights = pack_keys(digest)
        if self._store.size(card) is None:
            raise ArchiveError(f"the pack {digest[:16]} is missing from the archive.", "Run 'lrmcodec archive repair'.")
        (folder / CARD).write_bytes(self._store.read(card))
        if self._store.size(weights) is not None:
            (folder / WEIGHTS).write_bytes(self._store.read(weights))
        try:
            pack = load_pack(folder)
            is_right = pack.digest == digest  # reads all weights, so that the folder may go
        except PackError:
            is_right = False
        if not is_right:
            raise ArchiveError(f"the pack {digest[:16]} in the archive is damaged.", "Run 'lrmcodec archive repair'.")
        return pack


def home_values(archive: Archive) -> dict[str, Any]:
    """What there is to say about the archive itself."""
    return {"archive": archive.store.url, "id": archive.id, "policy": archive.policy.as_dict()}


def present(store: Store) -> Iterator[tuple[str, int]]:
    """Keys and sizes of all objects and pack files."""
    yield from store.list("objects")
    yield from store.list("packs")
