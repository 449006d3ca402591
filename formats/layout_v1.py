"""Reads the layout of format version 1. Normative text: SPEC.md, section Layout of version 1."""

from __future__ import annotations

import zlib
from collections.abc import Collection

from lrmcodec.formats import layout
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.fields import CUT_OR_DAMAGED, DAMAGED, MAX_FILE_BYTES, Field, read_fields
from lrmcodec.formats.layout import (
    CLIP_COMPONENTS,
    ENTRY,
    MAX_COMPONENTS,
    SEGMENT_COMPONENTS,
    Entry,
    Layout,
    check_entry,
    check_header,
    check_segment,
    segment_bounds,
)

PREFIX = (
    Field("magic", "raw 3"),
    Field("version", "u8", 255),
    Field("file_bytes", "u32", MAX_FILE_BYTES),
    Field("crc32", "u32", MAX_FILE_BYTES),
)
HEADER = layout.HEADER
SEGMENT = (*layout.SEGMENT, Field("component_count", "varint", MAX_COMPONENTS))
PREFIX_BYTES = 12


def read_layout(data: bytes, *, partial: bool = False) -> Layout:
    """Header and directory of a file whose magic and version are right.

    Raises
    ------
    FormatError
        On a wrong length or checksum, unless the file may be cut off (`partial`), or any field out of its limits.
    """
    is_cut = _is_cut(data) if partial else False
    if not is_cut:
        _check_prefix(data)
    header, at = read_fields(HEADER, data, PREFIX_BYTES)
    check_header(header)
    own, at = _read_entries(data, at, header["component_count"], CLIP_COMPONENTS)
    segments = []
    for start, stop in segment_bounds(header["frame_count"], header["segment_count"]):
        fields, at = read_fields(SEGMENT, data, at)
        check_segment(fields, header, stop - start)
        entries, at = _read_entries(data, at, fields["component_count"], SEGMENT_COMPONENTS)
        segments.append((fields, entries))
    found = Layout(header, own, segments, at, is_cut)
    expected = at + sum(length for _, length in found.entries)
    if expected < len(data) or (expected > len(data) and not is_cut):
        raise FormatError(f"the directory promises {expected} bytes, the file has {len(data)}.", DAMAGED)
    return found


def _is_cut(data: bytes) -> bool:
    prefix, _ = read_fields(PREFIX, data, 0)
    return bool(len(data) < prefix["file_bytes"])


def _check_prefix(data: bytes) -> None:
    prefix, _ = read_fields(PREFIX, data, 0)
    if prefix["file_bytes"] != len(data):
        raise FormatError(f"the file has {len(data)} bytes, its header promises {prefix['file_bytes']}.",
                          CUT_OR_DAMAGED)
    found = zlib.crc32(data[PREFIX_BYTES:])
    if prefix["crc32"] != found:
        raise FormatError(f"checksum {found:08x}, expected {prefix['crc32']:08x}.", DAMAGED)


def _read_entries(data: bytes, at: int, count: int, allowed: Collection[int]) -> tuple[list[Entry], int]:
    entries: list[Entry] = []
    for _ in range(count):
        fields, end = read_fields(ENTRY, data, at)
        check_entry(fields["component_id"], entries, allowed, at)
        entries.append((fields["component_id"], fields["component_bytes"]))
        at = end
    return entries, at
