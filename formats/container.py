"""The .lrm container: one table of fields drives writing, reading and inspection. Normative text: SPEC.md.

A file is a fixed prefix (magic, version, length, checksum), a header, a directory of segments and components, and
the components' payloads in directory order. Nothing is decoded here but the header; every size is checked against
its limit before it is used.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any

import msgpack
import numpy as np
import zstandard
from numpy.typing import NDArray

from lrmcodec.formats.entropy import MAX_COUNT
from lrmcodec.formats.errors import ClipError, FormatError
from lrmcodec.formats.time_code import Timing, decode_times, encode_times
from lrmcodec.formats.varint import read_varint, write_varint
from lrmcodec.formats.warning_code import decode_warnings, encode_warnings

MAGIC = b"LRM"
VERSION = 1
PACK_ID_BYTES = 8
MIN_SIDE, MAX_SIDE = 16, 2048
MAX_FRAMES = 1_000_000
MAX_RANK = 512
MAX_SEGMENTS = 65_536
Q_STEPS = 16  # steps of the quantizer index from one whole number to the next
MAX_COMPONENTS = 64
MAX_FILE_BYTES = (1 << 32) - 1
MAX_BASIS_VALUES = 1 << 28  # (rank + 1) * height * width of one segment
MAX_COEFFS = MAX_COUNT  # rank * frames of one segment
MAX_METADATA_BYTES = 1 << 20
MAX_METADATA_DEPTH = 16
MAX_STUDY_BYTES = 1 << 20
DIGEST_BYTES = 16
FIRST_ANCILLARY_ID = 32
DAMAGED = "The file is damaged; get another copy."


class Component(IntEnum):
    """Frozen component ids; a number is never reused. Ids from 32 on may be skipped by readers that lack them."""

    PICTURES = 1
    COEFFS = 2
    LATENT = 3
    TIMES = 4
    WAVELETS = 5
    VIDEO = 6
    PHASE = 32
    METADATA = 33
    WARNINGS = 34
    DIGEST = 35
    VENTRICLE = 36
    STUDY = 40


CLIP_COMPONENTS = frozenset({Component.TIMES, Component.METADATA, Component.WARNINGS, Component.DIGEST,
                             Component.STUDY})
SEGMENT_COMPONENTS = frozenset({Component.PICTURES, Component.WAVELETS, Component.COEFFS, Component.LATENT,
                                Component.VIDEO, Component.PHASE, Component.VENTRICLE})


@dataclass(frozen=True)
class Field:
    """One header field: its name in SPEC.md, its type and the largest value allowed."""

    name: str
    kind: str  # "raw N" bytes, "u8", "u32" (little-endian) or "varint"
    limit: int = 0
    least: int = 0


PREFIX = (
    Field("magic", "raw 3"),
    Field("version", "u8", 255),
    Field("file_bytes", "u32", MAX_FILE_BYTES),
    Field("crc32", "u32", MAX_FILE_BYTES),
)
HEADER = (
    Field("pack_id", f"raw {PACK_ID_BYTES}"),
    Field("arch_id", "varint", 255),
    Field("height", "varint", MAX_SIDE, MIN_SIDE),
    Field("width", "varint", MAX_SIDE, MIN_SIDE),
    Field("frame_count", "varint", MAX_FRAMES, 1),
    Field("rate_num", "varint", 1_000_000),
    Field("rate_den", "varint", 1_000_000, 1),
    Field("segment_count", "varint", MAX_SEGMENTS, 1),
    Field("component_count", "varint", MAX_COMPONENTS),
)
SEGMENT = (
    Field("rank", "varint", MAX_RANK),
    Field("q_16", "varint", Q_STEPS * 255),
    Field("component_count", "varint", MAX_COMPONENTS),
)
ENTRY = (
    Field("component_id", "varint", 255, 1),
    Field("component_bytes", "varint", MAX_FILE_BYTES),
)
PREFIX_BYTES = 12


@dataclass(frozen=True)
class CodedSegment:
    """Entropy-coded content of consecutive frames.

    Attributes
    ----------
    rank : int
        Number of components besides the latent.
    q : float
        Quantizer index, 0 (finest) to 255, a multiple of 1/16.
    components : mapping
        Payload bytes by component id, in file order.
    """

    rank: int
    q: float
    components: Mapping[int, bytes]


@dataclass(frozen=True)
class CodedClip:
    """A whole .lrm file, taken apart.

    Attributes
    ----------
    pack_id : bytes
        First eight bytes of the SHA-256 digest of the decoder pack.
    arch_id : int
        Frozen id of the decoder architecture.
    size : (int, int)
        Frame height and width.
    times_s : ndarray, (T,) float64
        Frame times in seconds from 0, kept to a microsecond.
    segments : sequence of CodedSegment
        Segment i of n holds frames i*T//n to (i+1)*T//n.
    metadata : mapping
        Free-form plain values; empty takes no bytes.
    digest : bytes
        Of the frames as a reader must decode them, where they are promised to be exact or within a bound.
    study : bytes
        A DICOM data set about the patient and the study, where the writer was asked for it; not looked at here.
    warnings : tuple of str
        What the reader of the clip warned of, a sentence each.
    """

    pack_id: bytes
    arch_id: int
    size: tuple[int, int]
    times_s: NDArray[np.float64]
    segments: Sequence[CodedSegment]
    metadata: Mapping[str, Any]
    study: bytes = b""
    warnings: tuple[str, ...] = ()
    digest: bytes = b""

    @property
    def frame_count(self) -> int:
        """Number of coded frames."""
        return len(self.times_s)

    @property
    def segment_bounds(self) -> list[tuple[int, int]]:
        """First frame of every segment and the one behind its last."""
        return segment_bounds(self.frame_count, len(self.segments))


def segment_bounds(frame_count: int, segment_count: int) -> list[tuple[int, int]]:
    """Frames i*T//n to (i+1)*T//n of every segment i of n."""
    return list(pairwise(i * frame_count // segment_count for i in range(segment_count + 1)))


def segment_bytes(segment: CodedSegment) -> int:
    """Bytes that a segment adds to a file: its directory entry and its payloads."""
    head = _segment_head(segment)
    return len(head) + sum(len(payload) for payload in segment.components.values())


def _segment_head(segment: CodedSegment) -> bytes:
    return (_write(SEGMENT, rank=segment.rank, q_16=round(segment.q * Q_STEPS), component_count=len(segment.components))
            + _entries(segment.components))


def pack_file(clip: CodedClip) -> bytes:
    """Bytes of a .lrm file. Payloads and sizes are the caller's; fields over their limit raise FormatError."""
    timing = encode_times(clip.times_s)
    own: dict[int, bytes] = {}
    if timing.payload:
        own[Component.TIMES] = timing.payload
    if clip.metadata:
        own[Component.METADATA] = _pack_metadata(clip.metadata)
    if warnings := encode_warnings(clip.warnings):
        own[Component.WARNINGS] = warnings
    if clip.digest:
        own[Component.DIGEST] = clip.digest
    if clip.study:
        own[Component.STUDY] = _pack_study(clip.study)
    head = _write(HEADER, pack_id=clip.pack_id, arch_id=clip.arch_id, height=clip.size[0], width=clip.size[1],
                  frame_count=clip.frame_count, rate_num=timing.rate_num, rate_den=timing.rate_den,
                  segment_count=len(clip.segments), component_count=len(own))
    head += _entries(own)
    payload = b"".join(own.values())
    for segment in clip.segments:
        head += _segment_head(segment)
        payload += b"".join(segment.components.values())
    body = head + payload
    return _write(PREFIX, magic=MAGIC, version=VERSION, file_bytes=PREFIX_BYTES + len(body),
                  crc32=zlib.crc32(body)) + body


def check_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Frame height and width, if the format allows them; a ClipError if not."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ClipError(f"{size} is no size of frames.", "Give height and width.")
    height, width = size
    if not (MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise ClipError(f"frames of {height}x{width} pixels; sides of {MIN_SIDE} to {MAX_SIDE} are possible.",
                        "Give another --size HxW.")
    return height, width


def unpack_file(data: bytes) -> CodedClip:
    """Take a .lrm file apart; see `inspect_file`."""
    return inspect_file(data)[0]


def byte_counts(data: bytes) -> dict[str, int]:
    """Every byte of a file by purpose; see `inspect_file`."""
    return inspect_file(data)[1]


def inspect_file(data: bytes) -> tuple[CodedClip, dict[str, int]]:
    """Take a .lrm file apart, and count its bytes by purpose.

    Purposes are `header` (prefix, header, directory) and the names of components, `component_<id>` for ancillary ones
    that are not known. The counts add up to the file's length.

    Raises
    ------
    FormatError
        On a wrong magic, another version, a wrong length or checksum, or any field out of its limits.
    """
    layout = _read_layout(data)
    return _take_apart(layout, data), _count(layout)


def _take_apart(layout: _Layout, data: bytes) -> CodedClip:
    header = layout.header
    own = dict(layout.cut(data, layout.own))
    segments = [CodedSegment(fields["rank"], fields["q_16"] / Q_STEPS, dict(layout.cut(data, entries)))
                for fields, entries in layout.segments]
    timing = Timing(header["rate_num"], header["rate_den"], own.get(Component.TIMES, b""))
    if bool(timing.payload) == bool(timing.rate_num):
        raise FormatError("frame times are given twice or not at all.", DAMAGED)
    return CodedClip(
        pack_id=header["pack_id"], arch_id=header["arch_id"], size=(header["height"], header["width"]),
        times_s=decode_times(timing, header["frame_count"]), segments=segments,
        metadata=_unpack_metadata(own[Component.METADATA]) if Component.METADATA in own else {},
        study=_unpack_study(own[Component.STUDY]) if Component.STUDY in own else b"",
        warnings=decode_warnings(own[Component.WARNINGS]) if Component.WARNINGS in own else (),
        digest=_checked_digest(own[Component.DIGEST]) if Component.DIGEST in own else b"",
    )


def _count(layout: _Layout) -> dict[str, int]:
    """Bytes by purpose."""
    counts = {"header": layout.payload_start}
    for component, length in [*layout.own, *(entry for _, entries in layout.segments for entry in entries)]:
        known = component in Component.__members__.values()
        name = Component(component).name.lower() if known else f"component_{component}"
        counts[name] = counts.get(name, 0) + length
    return counts


@dataclass
class _Layout:
    """Parsed header and directory; `cut` hands out payloads in directory order."""

    header: dict[str, Any]
    own: list[tuple[int, int]]
    segments: list[tuple[dict[str, Any], list[tuple[int, int]]]]
    payload_start: int

    def __post_init__(self) -> None:
        self._at = self.payload_start

    def cut(self, data: bytes, entries: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
        out = []
        for component, length in entries:
            out.append((component, data[self._at:self._at + length]))
            self._at += length
        return out


def _read_layout(data: bytes) -> _Layout:
    _check_prefix(data)
    header, at = _read(HEADER, data, PREFIX_BYTES)
    if header["segment_count"] > header["frame_count"]:
        raise FormatError("the file names more segments than frames.", DAMAGED)
    own, at = _read_entries(data, at, header["component_count"], CLIP_COMPONENTS)
    segments = []
    for start, stop in segment_bounds(header["frame_count"], header["segment_count"]):
        fields, at = _read(SEGMENT, data, at)
        if (fields["rank"] + 1) * header["height"] * header["width"] > MAX_BASIS_VALUES:
            raise FormatError(f"rank {fields['rank']} at {header['height']}x{header['width']} pixels is over the "
                              "limit of 2^28 basis values.", DAMAGED)
        if fields["rank"] * (stop - start) > MAX_COEFFS:
            raise FormatError(f"rank {fields['rank']} over {stop - start} frames is over the limit of 2^20 "
                              "coefficients.", DAMAGED)
        entries, at = _read_entries(data, at, fields["component_count"], SEGMENT_COMPONENTS)
        segments.append((fields, entries))
    expected = at + sum(length for _, length in [*own, *(e for _, entries in segments for e in entries)])
    if expected != len(data):
        raise FormatError(f"the directory promises {expected} bytes, the file has {len(data)}.", DAMAGED)
    return _Layout(header, own, segments, at)


def _check_prefix(data: bytes) -> None:
    """Magic, version, length and checksum, in that order, before anything else is looked at."""
    if data[:3] != MAGIC[:len(data[:3])] or not data:
        raise FormatError(f"not a .lrm file: it begins with {data[:3]!r}, expected {MAGIC!r}.",
                          "Is this the output of 'lrmcodec encode'?")
    if len(data) < PREFIX_BYTES:
        raise FormatError(f"the file ends after {len(data)} bytes, inside its prefix.", DAMAGED)
    prefix, _ = _read(PREFIX, data, 0)
    if prefix["version"] != VERSION:
        raise FormatError(f"format version {prefix['version']}, this program reads version {VERSION}.",
                          "Use a newer lrmcodec.")
    if prefix["file_bytes"] != len(data):
        raise FormatError(f"the file has {len(data)} bytes, its header promises {prefix['file_bytes']}.", DAMAGED)
    found = zlib.crc32(data[PREFIX_BYTES:])
    if prefix["crc32"] != found:
        raise FormatError(f"checksum {found:08x}, expected {prefix['crc32']:08x}.", DAMAGED)


def _write(fields: Sequence[Field], **values: Any) -> bytes:
    return b"".join(_write_field(field, values[field.name]) for field in fields)


def _write_field(field: Field, value: Any) -> bytes:
    if field.kind.startswith("raw"):
        if len(value) != _fixed_bytes(field.kind):
            raise ValueError(f"{field.name} has {len(value)} bytes, not {_fixed_bytes(field.kind)}")
        return bytes(value)
    if not field.least <= value <= field.limit:
        raise FormatError(f"{field.name} is {value}, allowed are {field.least} to {field.limit}.")
    if field.kind == "varint":
        return write_varint(value)
    return int(value).to_bytes(1 if field.kind == "u8" else 4, "little")


def _read(fields: Sequence[Field], data: bytes, at: int) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    for field in fields:
        values[field.name], at = _read_field(field, data, at)
    return values, at


def _read_field(field: Field, data: bytes, at: int) -> tuple[Any, int]:
    value: Any
    if field.kind == "varint":
        value, end = read_varint(data, at, limit=MAX_FILE_BYTES)
    else:
        end = at + _fixed_bytes(field.kind)
        if end > len(data):
            raise FormatError(f"the file ends inside {field.name} at byte {at}.", DAMAGED)
        if field.kind.startswith("raw"):
            return data[at:end], end
        value = int.from_bytes(data[at:end], "little")
    if not field.least <= value <= field.limit:
        raise FormatError(f"{field.name} at byte {at} is {value}, allowed are {field.least} to {field.limit}.", DAMAGED)
    return value, end


def _fixed_bytes(kind: str) -> int:
    return int(kind.split()[1]) if kind.startswith("raw") else {"u8": 1, "u32": 4}[kind]


def _entries(components: Mapping[int, bytes]) -> bytes:
    return b"".join(_write(ENTRY, component_id=key, component_bytes=len(value)) for key, value in components.items())


def _read_entries(data: bytes, at: int, count: int, allowed: Collection[int]) -> tuple[list[tuple[int, int]], int]:
    entries: list[tuple[int, int]] = []
    for _ in range(count):
        fields, end = _read(ENTRY, data, at)
        component = fields["component_id"]
        if component not in allowed and component < FIRST_ANCILLARY_ID:
            raise FormatError(f"component {component} at byte {at} is unknown here.", "Use a newer lrmcodec.")
        if component in (key for key, _ in entries):
            raise FormatError(f"component {component} at byte {at} stands twice.", DAMAGED)
        entries.append((component, fields["component_bytes"]))
        at = end
    return entries, at


def _pack_metadata(metadata: Mapping[str, Any]) -> bytes:
    try:
        raw = msgpack.packb(dict(metadata))
        stored = msgpack.unpackb(raw, strict_map_key=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ClipError(f"the metadata cannot be stored ({error}).", "Give plain values by string keys.") from error
    if not _is_plain(stored) or _has_odd_numbers(stored):
        raise ClipError("the metadata hold more than plain values by string keys.",
                        "Give texts, finite numbers and lists.")
    if len(raw) > MAX_METADATA_BYTES:
        raise ClipError(f"metadata take {len(raw)} bytes, at most {MAX_METADATA_BYTES} are kept.", "Shorten them.")
    return zstandard.ZstdCompressor(level=19).compress(raw)


def _unpack_metadata(payload: bytes) -> dict[str, Any]:
    try:
        if zstandard.frame_content_size(payload) not in range(MAX_METADATA_BYTES + 1):
            raise FormatError("the metadata's size is unknown or over its limit.", DAMAGED)
        raw = zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
        metadata = msgpack.unpackb(raw, strict_map_key=True)
    except (zstandard.ZstdError, ValueError, msgpack.UnpackException) as error:
        raise FormatError(f"the metadata cannot be read ({error}).", DAMAGED) from error
    if not isinstance(metadata, dict) or not _is_plain(metadata):
        raise FormatError("the metadata are not a mapping of plain values.", DAMAGED)
    return metadata


class PixelDigest:
    """First 16 bytes of the SHA-256 digest of frames (n, H, W), all blocks of them in order, a byte a pixel."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, frames: NDArray[np.uint8]) -> None:
        """Take in the next frames."""
        self._digest.update(np.ascontiguousarray(frames).data)

    def value(self) -> bytes:
        """The digest of all frames so far."""
        return self._digest.digest()[:DIGEST_BYTES]


def _checked_digest(payload: bytes) -> bytes:
    if len(payload) != DIGEST_BYTES:
        raise FormatError(f"the digest has {len(payload)} bytes, not {DIGEST_BYTES}.", DAMAGED)
    return payload


def _pack_study(study: bytes) -> bytes:
    if len(study) > MAX_STUDY_BYTES:
        raise ClipError(f"the study takes {len(study)} bytes, at most {MAX_STUDY_BYTES} are kept.",
                        "Encode without --keep-study.")
    return zstandard.ZstdCompressor(level=19).compress(study)


def _unpack_study(payload: bytes) -> bytes:
    try:
        if zstandard.frame_content_size(payload) not in range(MAX_STUDY_BYTES + 1):
            raise FormatError("the study's size is unknown or over its limit.", DAMAGED)
        return zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"the study cannot be read ({error}).", DAMAGED) from error


def _is_plain(value: Any, depth: int = MAX_METADATA_DEPTH) -> bool:
    """Whether a value is made of what JSON knows, nested at most `depth` deep."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and _is_plain(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return value is None or isinstance(value, (str, bool, int, float))


def _has_odd_numbers(value: Any) -> bool:
    """Whether NaN or an infinity stands anywhere in plain values."""
    if isinstance(value, (dict, list)):
        return any(map(_has_odd_numbers, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)
