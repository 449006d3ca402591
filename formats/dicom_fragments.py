"""Compressed pixel data of DICOM cut into its pictures: items, offset tables, and what the pictures themselves say.

References are to DICOM PS3.5, 2024, annex A.4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lrmcodec.formats.codestream import JPEG_START, read_codestream, starts_picture
from lrmcodec.formats.dicom_file import DicomFile, read_span

ITEM = (0xFFFE, 0xE000)
END_OF_ITEMS = (0xFFFE, 0xE0DD)

HEAD_BYTES = 64
"""Of a fragment that are looked at to see whether a picture begins: a whole header of RLE."""

MAX_TABLE_BYTES = 1 << 24

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """A fragment: where its item begins in the file, and its value's bytes."""

    position: int
    start: int
    stop: int


def starts_rle(data: bytes) -> bool:
    """Whether bytes begin an RLE frame: 1 to 15 segments, the first right behind the header (PS3.5 annex G.5)."""
    if len(data) < HEAD_BYTES:
        return False
    count, *offsets = struct.unpack("<16I", data[:HEAD_BYTES])
    used = offsets[:count]
    return 1 <= count <= 15 and used[0] == HEAD_BYTES and used == sorted(used) and not any(offsets[count:])


@dataclass(frozen=True)
class Fragments:
    """Items of encapsulated pixel data: the basic offset table, the fragments, and whether the file ends in them."""

    table: Item | None
    items: tuple[Item, ...]
    cut: bool


def read_fragments(file: DicomFile, warn: Warn) -> Fragments:
    """Find all items up to their end, to damage, or to the end of the file."""
    items: list[Item] = []
    position, stop = file.pixels.start, file.pixels.stop
    cut = file.pixels.encapsulated or file.pixels.missing > 0
    while position + 8 <= stop:
        group, element, length = struct.unpack("<HHI", read_span(file.file, position, position + 8))
        if (group, element) == END_OF_ITEMS:
            cut = False
            break
        if (group, element) != ITEM:
            warn(f"compressed pixels are damaged after fragment {len(items) - 1}")
            cut = False
            break
        items.append(Item(position, position + 8, min(position + 8 + length, stop)))
        position += 8 + length
    if cut:
        warn("the file is cut off in its compressed pixels")
    return Fragments(items[0] if items else None, tuple(items[1:]), cut)


def cut_pictures(file: DicomFile, fragments: Fragments, is_rle: bool, warn: Warn) -> Iterator[bytes]:
    """Yield the compressed pictures one by one, however they are spread over fragments.

    A picture begins where its own start marker stands; offset tables are compared with that, and followed where
    they name more beginnings than were found.
    """
    begins = _begins(file, fragments, is_rle, warn)
    if is_rle and len(begins) < len(fragments.items):
        warn("RLE frames are cut into several fragments, which the standard does not allow")
    for first, last in zip(begins, [*begins[1:], len(fragments.items)], strict=True):
        data = _joined(file, fragments.items[first:last])
        if is_rle:
            yield data
        else:
            yield from _split(data, warn)


def read_stream(file: DicomFile, warn: Warn) -> bytes:
    """All fragments together: one video (PS3.5 section 8.2.5)."""
    return _joined(file, read_fragments(file, warn).items)


def head_of(file: DicomFile, fragments: Fragments) -> bytes:
    """First bytes of the first fragment."""
    first = fragments.items[:1]
    return read_span(file.file, first[0].start, min(first[0].stop, first[0].start + HEAD_BYTES)) if first else b""


def _joined(file: DicomFile, items: Sequence[Item]) -> bytes:
    return b"".join(read_span(file.file, item.start, item.stop) for item in items)


def _begins(file: DicomFile, fragments: Fragments, is_rle: bool, warn: Warn) -> list[int]:
    """Fragments with which pictures begin, from 0; the first one always does."""
    starts = starts_rle if is_rle else starts_picture
    items = fragments.items
    seen = {i for i, item in enumerate(items)
            if starts(read_span(file.file, item.start, min(item.stop, item.start + HEAD_BYTES)))}
    seen |= {0} if items else set()
    if len(seen) < len(items) == file.headers.whole.integer("NumberOfFrames"):
        seen = set(range(len(items)))  # a picture whose start is damaged is one all the same
    named = _named(file, fragments)
    if not named or not seen or named == seen:
        return sorted(seen)
    if min(named) >= 0 and named > seen:
        return sorted(named)  # as above
    if not (fragments.cut and named > seen):
        warn(f"the offset table does not fit the {len(seen)} frames that are stored: it was not used")
    return sorted(seen)


def _named(file: DicomFile, fragments: Fragments) -> set[int]:
    """Fragments that the offset tables name, negative for offsets at which none begins; none without a table."""
    extended = file.headers.whole.value("ExtendedOffsetTable")
    if not fragments.items or fragments.table is None:
        return set()
    if isinstance(extended, bytes) and len(extended) >= 8:
        offsets = struct.unpack_from(f"<{len(extended) // 8}Q", extended)
    else:
        start, stop = fragments.table.start, fragments.table.stop
        data = read_span(file.file, start, min(stop, start + MAX_TABLE_BYTES))
        offsets = struct.unpack_from(f"<{len(data) // 4}I", data)
    places = {item.position - fragments.items[0].position: i for i, item in enumerate(fragments.items)}
    return {places.get(offset, -1 - i) for i, offset in enumerate(offsets)}


def _split(data: bytes, warn: Warn) -> Iterator[bytes]:
    """Pictures that lie one behind the other in the same fragments; what else is behind one is mentioned."""
    while data:
        stream = read_codestream(data)
        end = stream.end if stream is not None and stream.complete else len(data)
        yield data[:end]
        data = data[end:].lstrip(b"\0\xff")
        if data.startswith(JPEG_START[1:]):
            data = b"\xff" + data
        elif len(data) > 1:
            warn("there are bytes behind the end of a compressed picture")
            return
        else:
            return
