"""Objects: content under its own digest, stored once, checked when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from lrmcodec.archive.entry import Blob
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.store import Store

LEVEL = 12
CHUNK = 1 << 20
PLAIN, PACKED = ".lrm", ".zst"


def put_plain(store: Store, data: bytes) -> Blob:
    """Store bytes as they are."""
    blob = Blob(hashlib.sha256(data).hexdigest(), len(data), PLAIN)
    if store.size(blob.key) != blob.size_bytes:
        store.write(blob.key, data)
    return blob


def put_packed(store: Store, data: bytes) -> Blob:
    """Store bytes compressed."""
    packed = _compressor().compress(data)
    blob = Blob(hashlib.sha256(data).hexdigest(), len(packed), PACKED)
    if store.size(blob.key) != blob.size_bytes:
        store.write(blob.key, packed)
    return blob


def put_file(store: Store, path: Path, sha256: str) -> Blob:
    """Store a file compressed, without holding it in memory.

    Raises
    ------
    ArchiveError
        When its content is not that of the digest: it changed while it was read.
    """
    key = Blob(sha256, 0, PACKED).key
    there = store.size(key)
    if there:
        return Blob(sha256, there, PACKED)
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as source, store.writing(key) as target:
        with _compressor().stream_writer(target, size=size, closefd=False) as packer:
            for chunk in iter(lambda: source.read(CHUNK), b""):
                digest.update(chunk)
                packer.write(chunk)
        if digest.hexdigest() != sha256:
            raise ArchiveError("the file changed while it was read.", "Run the command again.")
        stored = target.tell()
    return Blob(sha256, stored, PACKED)


def chunks(store: Store, blob: Blob) -> Iterator[bytes]:
    """Content of an object in pieces, checked at the end against its digest.

    Raises
    ------
    ArchiveError
        When it is missing, cut off or damaged.
    """
    digest = hashlib.sha256()
    try:
        with store.open(blob.key) as file:
            for chunk in _content(file, blob):
                digest.update(chunk)
                yield chunk
    except FileNotFoundError as error:
        raise ArchiveError(f"object {blob.key} is missing.", "Archive its source again.") from error
    except (zstandard.ZstdError, EOFError) as error:
        raise ArchiveError(f"object {blob.key} is damaged ({error}).", "Archive its source again.") from error
    if digest.hexdigest() != blob.sha256:
        what = f"object {blob.key} is damaged: its content has another digest."
        raise ArchiveError(what, "Archive its source again.")


def read(store: Store, blob: Blob) -> bytes:
    """Content of an object, checked; errors as of `chunks`."""
    return b"".join(chunks(store, blob))


def _content(file: IO[bytes], blob: Blob) -> Iterator[bytes]:
    if blob.suffix == PLAIN:
        yield from iter(lambda: file.read(CHUNK), b"")
        return
    with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as unpacker:
        yield from iter(lambda: unpacker.read(CHUNK), b"")


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
