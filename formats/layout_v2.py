"""Writes and reads the layout of format version 2, in which the usual values take no bytes.

Normative text: SPEC.md, section Layout.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from enum import IntFlag
from typing import Any, NamedTuple

from lrmcodec.formats import layout
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.fields import CUT_OR_DAMAGED, DAMAGED, MAX_FILE_BYTES, Field, read_fields, write_fields
from lrmcodec.formats.layout import (
    CLIP_COMPONENTS,
    ENTRY,
    MAGIC,
    MAX_COMPONENTS,
    SEGMENT_COMPONENTS,
    Component,
    Entry,
    Layout,
    check_entry,
    check_header,
    check_segment,
    segment_bounds,
)
from lrmcodec.formats.pack_numbers import NUMBERED, NUMBERS, NumberedPack

VERSION = 2
MAX_EXTENSION_BYTES = 1 << 16
MORE = 0x80  # beside KINDS
REST = -1  # length of the entry that takes what remains
WEIGHTS_OF_HEART = 8


class Flag(IntFlag):
    """Bits of the header's flags. Others are refused."""

    KNOWN_PACK = 1
    SQUARE = 2
    WHOLE_RATE = 4
    ONE_SEGMENT = 8
    ENTRIES = 16
    EXTENSION = 32


PREFIX = (
    Field("magic", "raw 3"),
    Field("version", "u8", 255),
    Field("crc32", "u32", MAX_FILE_BYTES),
)
FLAGS = (Field("flags", "u8", sum(Flag)),)
HEADER = (
    Field("pack_number", "varint", 255, 1),
    *layout.HEADER,
    Field("extension_bytes", "varint", MAX_EXTENSION_BYTES),
)
IF_SET = {"pack_number": Flag.KNOWN_PACK, "component_count": Flag.ENTRIES, "extension_bytes": Flag.EXTENSION}
IF_CLEAR = {"pack_id": Flag.KNOWN_PACK, "arch_id": Flag.KNOWN_PACK, "width": Flag.SQUARE,
            "rate_den": Flag.WHOLE_RATE, "segment_count": Flag.ONE_SEGMENT}
SEGMENT = (*layout.SEGMENT, Field("kinds", "u8", 255))
COUNT = (Field("component_count", "varint", MAX_COMPONENTS, 1),)
LENGTH = (Field("component_bytes", "varint", MAX_FILE_BYTES),)
KINDS = (Component.HEART, Component.DARK, Component.COEFFS, Component.LATENT, Component.PICTURES,
         Component.WAVELETS, Component.VIDEO)
PREFIX_BYTES = 8


class SegmentContent(NamedTuple):
    """Rank, 16 times the quantizer index, and payloads by component id of one segment."""

    rank: int
    q_16: int
    components: Mapping[int, bytes]


def write_file(header: Mapping[str, Any], own: Mapping[int, bytes], segments: Sequence[SegmentContent]) -> bytes:
    """Bytes of a file.

    Parameters
    ----------
    header : mapping
        Fields of HEADER from `pack_id` to `rate_den`.
    own : mapping
        Payloads of the clip by component id.
    segments : sequence of SegmentContent

    Raises
    ------
    FormatError
        When a field is out of its limits.
    """
    body = _write_header({**header, "segment_count": len(segments), "component_count": len(own)}) + _entries(own)
    body += b"".join(write_segment(segment) for segment in segments[:-1])
    body += _write_segment(segments[-1], is_last=True) + b"".join(own.values())
    for segment in segments:
        body += b"".join(_in_order(segment).values())
    return write_fields(PREFIX, magic=MAGIC, version=VERSION, crc32=zlib.crc32(body)) + body


def write_segment(segment: SegmentContent) -> bytes:
    """Directory entry of a segment that is not the last."""
    return _write_segment(segment, is_last=False)


def read_layout(data: bytes, *, partial: bool = False) -> Layout:
    """Header and directory of a file whose magic and version are right.

    Raises
    ------
    FormatError
        On a wrong checksum, unless the file may be cut off (`partial`), or any field out of its limits.
    """
    prefix, _ = read_fields(PREFIX, data, 0)
    found = zlib.crc32(data[PREFIX_BYTES:])
    if prefix["crc32"] != found and not partial:
        raise FormatError(f"checksum {found:08x}, expected {prefix['crc32']:08x}.", CUT_OR_DAMAGED)
    header, at = _read_header(data)
    own, at = _read_entries(data, at, header["component_count"], CLIP_COMPONENTS)
    bounds = segment_bounds(header["frame_count"], header["segment_count"])
    segments = []
    for start, stop in bounds:
        fields, at = read_fields(SEGMENT, data, at)
        check_segment(fields, header, stop - start)
        entries, at = _read_kinds(data, at, fields, is_last=stop == header["frame_count"])
        segments.append((fields, entries))
    read = Layout(header, own, segments, at, prefix["crc32"] != found)
    _give_rest(read, len(data))
    return read


def heart_bytes(rank: int) -> int:
    """Length of a heart component, which follows from the rank; see SPEC.md, section Heart."""
    count = min(rank, WEIGHTS_OF_HEART)
    return 3 + -(-6 * count // 8) if count else 0


def _write_header(header: Mapping[str, Any]) -> bytes:
    pack = NumberedPack(header["pack_id"], header["arch_id"])
    flags = Flag(0)
    for flag, holds in ((Flag.KNOWN_PACK, pack in NUMBERS), (Flag.SQUARE, header["width"] == header["height"]),
                        (Flag.WHOLE_RATE, header["rate_den"] == 1), (Flag.ONE_SEGMENT, header["segment_count"] == 1),
                        (Flag.ENTRIES, header["component_count"] > 0)):
        flags |= flag if holds else 0
    return write_fields(FLAGS, flags=flags) + write_fields(_written(flags), **header,
                                                           pack_number=NUMBERS.get(pack))


def _read_header(data: bytes) -> tuple[dict[str, Any], int]:
    """All fields of a header, and the offset behind it and its extension."""
    flags, at = read_fields(FLAGS, data, PREFIX_BYTES)
    found, at = read_fields(_written(Flag(flags["flags"])), data, at)
    header = {"rate_den": 1, "segment_count": 1, "component_count": 0, "width": found["height"], **found}
    if "pack_number" in found:
        header["pack_id"], header["arch_id"] = _pack_of(found["pack_number"])
    check_header(header)
    at += found.get("extension_bytes", 0)
    if at > len(data):
        raise FormatError("the file ends inside the header's extension.", DAMAGED)
    return header, at


def _written(flags: Flag) -> list[Field]:
    """Fields that a header with these flags has."""
    return [field for field in HEADER if _is_written(field.name, flags)]


def _is_written(name: str, flags: Flag) -> bool:
    if name in IF_SET:
        return bool(flags & IF_SET[name])
    return name not in IF_CLEAR or not flags & IF_CLEAR[name]


def _pack_of(number: int) -> NumberedPack:
    if number not in NUMBERED:
        raise FormatError(f"decoder pack number {number} is unknown.", "Use a newer lrmcodec.")
    return NUMBERED[number]


def _entries(components: Mapping[int, bytes]) -> bytes:
    return b"".join(write_fields(ENTRY, component_id=key, component_bytes=len(value))
                    for key, value in components.items())


def _usual(segment: SegmentContent) -> dict[int, bytes]:
    """Payloads that a segment's `kinds` can name, in their order."""
    parts = segment.components
    return {kind: parts[kind] for kind in KINDS
            if kind in parts and (kind != Component.HEART or len(parts[kind]) == heart_bytes(segment.rank))}


def _in_order(segment: SegmentContent) -> dict[int, bytes]:
    """All payloads of a segment in the order of its entries."""
    return {**_usual(segment), **segment.components} if segment.components else {}


def _write_segment(segment: SegmentContent, *, is_last: bool) -> bytes:
    """Fields and entries of a segment; the last entry of the last segment has no length."""
    usual = _usual(segment)
    more = {key: value for key, value in segment.components.items() if key not in usual}
    kinds = sum(1 << bit for bit, kind in enumerate(KINDS) if kind in usual) | (MORE if more else 0)
    lengths = [b"" if kind == Component.HEART else write_fields(LENGTH, component_bytes=len(value))
               for kind, value in usual.items()]
    if more:
        lengths += [write_fields(COUNT, component_count=len(more))]
        for key, value in more.items():
            lengths += [write_fields(ENTRY[:1], component_id=key), write_fields(LENGTH, component_bytes=len(value))]
    if is_last:
        lengths = lengths[:-1]
    return write_fields(SEGMENT, rank=segment.rank, q_16=segment.q_16, kinds=kinds) + b"".join(lengths)


def _read_entries(data: bytes, at: int, count: int, allowed: Collection[int], *,
                  is_last: bool = False) -> tuple[list[Entry], int]:
    """Entries with their ids; with `is_last` the last one's length is REST."""
    entries: list[Entry] = []
    for index in range(count):
        start = at
        fields, at = read_fields(ENTRY[:1], data, at)
        check_entry(fields["component_id"], entries, allowed, start)
        length = REST
        if not is_last or index < count - 1:
            length, at = _read_length(data, at)
        entries.append((fields["component_id"], length))
    return entries, at


def _read_kinds(data: bytes, at: int, segment: Mapping[str, int], *, is_last: bool) -> tuple[list[Entry], int]:
    """Entries of a segment, and the offset behind them; REST as length of the last entry of the last segment."""
    kinds = [kind for bit, kind in enumerate(KINDS) if segment["kinds"] >> bit & 1]
    has_more = bool(segment["kinds"] & MORE)
    entries: list[Entry] = []
    for index, kind in enumerate(kinds):
        length = REST
        if kind == Component.HEART:
            length = heart_bytes(segment["rank"])
        elif not is_last or has_more or index < len(kinds) - 1:
            length, at = _read_length(data, at)
        entries.append((kind, length))
    if not has_more:
        return entries, at
    fields, at = read_fields(COUNT, data, at)
    more, at = _read_entries(data, at, fields["component_count"], SEGMENT_COMPONENTS, is_last=is_last)
    for component, _ in more:
        check_entry(component, entries, SEGMENT_COMPONENTS, at)
    return entries + more, at


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    fields, at = read_fields(LENGTH, data, at)
    return fields["component_bytes"], at


def _give_rest(read: Layout, file_bytes: int) -> None:
    """Give what remains of the file to the last entry."""
    last = read.segments[-1][1]
    promised = read.payload_start + sum(length for _, length in read.entries if length != REST)
    has_rest = bool(last) and last[-1][1] == REST
    too_many = not has_rest and (promised < file_bytes or (read.is_cut and promised == file_bytes))
    if too_many or (promised > file_bytes and not read.is_cut):
        raise FormatError(f"the directory promises {promised} bytes, the file has {file_bytes}.", DAMAGED)
    if has_rest:
        last[-1] = last[-1][0], max(file_bytes - promised, 0) + read.is_cut
