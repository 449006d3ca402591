"""The .lrm container: a coded clip to the bytes of a file and back. Normative text: SPEC.md.

Nothing is decoded here but header and directory (`layout_v2`, and `layout_v1` for old files) and what belongs to the
clip as a whole; every size is checked against its limit before it is used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import zstandard
from numpy.typing import NDArray

from lrmcodec.formats import layout_v1, layout_v2
from lrmcodec.formats.errors import ClipError, FormatError
from lrmcodec.formats.fields import DAMAGED, MAX_FILE_BYTES
from lrmcodec.formats.layout import (
    FIRST_ANCILLARY_ID,
    MAGIC,
    MAX_BASIS_VALUES,
    MAX_COEFFS,
    MAX_FRAMES,
    MAX_RANK,
    MAX_SIDE,
    MIN_SIDE,
    PACK_ID_BYTES,
    Q_STEPS,
    VERSION_AT,
    Component,
    Layout,
    segment_bounds,
)
from lrmcodec.formats.layout_v2 import PREFIX_BYTES, VERSION
from lrmcodec.formats.time_code import Timing, decode_times, encode_times
from lrmcodec.formats.warning_code import decode_warnings, encode_warnings

__all__ = [
    "DAMAGED", "DIGEST_BYTES", "FIRST_ANCILLARY_ID", "MAGIC", "MAX_BASIS_VALUES", "MAX_COEFFS", "MAX_FILE_BYTES",
    "MAX_FRAMES", "MAX_METADATA_BYTES", "MAX_METADATA_DEPTH", "MAX_RANK", "MAX_SIDE", "MAX_STUDY_BYTES", "MIN_SIDE",
    "PACK_ID_BYTES", "PREFIX_BYTES", "Q_STEPS", "VERSION", "CodedClip", "CodedSegment", "Component", "PixelDigest",
    "byte_counts", "check_size", "inspect_file", "pack_file", "segment_bounds", "segment_bytes", "unpack_file",
]

READERS: dict[int, Callable[..., Layout]] = {1: layout_v1.read_layout, VERSION: layout_v2.read_layout}
USEFUL_IN_PART = frozenset({Component.PICTURES, Component.WAVELETS, Component.VIDEO})
MAX_METADATA_BYTES = 1 << 20
MAX_METADATA_DEPTH = 16
MAX_STUDY_BYTES = 1 << 20
DIGEST_BYTES = 16


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
    missing : frozenset of int
        Components whose end is missing, or all of them, since the file was cut off. Of those that are of use without
        their end the beginning stands in `components`.
    """

    rank: int
    q: float
    components: Mapping[int, bytes]
    missing: frozenset[int] = frozenset()


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


def segment_bytes(segment: CodedSegment) -> int:
    """Bytes that a segment adds to a file, its entries and payloads; the last one of a file up to 5 bytes fewer."""
    return (len(layout_v2.write_segment(_content(segment)))
            + sum(len(payload) for payload in segment.components.values()))


def _content(segment: CodedSegment) -> layout_v2.SegmentContent:
    return layout_v2.SegmentContent(segment.rank, round(segment.q * Q_STEPS), segment.components)


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
    header = {"pack_id": clip.pack_id, "arch_id": clip.arch_id, "height": clip.size[0], "width": clip.size[1],
              "frame_count": clip.frame_count, "rate_num": timing.rate_num, "rate_den": timing.rate_den}
    return layout_v2.write_file(header, own, [_content(segment) for segment in clip.segments])


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


def inspect_file(data: bytes, *, partial: bool = False) -> tuple[CodedClip, dict[str, int]]:
    """Take a .lrm file apart, and count its bytes by purpose; with `partial` also one whose end is missing.

    Purposes are `header` (prefix, header, directory) and the names of components, `component_<id>` for ancillary ones
    that are not known. The counts add up to the file's length.

    Raises
    ------
    FormatError
        On a wrong magic, an unknown version, a wrong checksum, or any field out of its limits; with `partial` not on
        the checksum, which nobody can compare without the end, but when even the directory is not whole.
    """
    layout = _read_layout(data, partial)
    return _take_apart(layout, data), _count(layout, len(data))


def _take_apart(layout: Layout, data: bytes) -> CodedClip:
    header = layout.header
    own = dict(layout.cut(data, layout.own))
    if any(len(own[component]) < length for component, length in layout.own):
        raise FormatError(f"the file ends after {len(data)} bytes, before what belongs to its frames.", DAMAGED)
    segments = [_segment(fields, entries, dict(layout.cut(data, entries))) for fields, entries in layout.segments]
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


def _segment(fields: Mapping[str, Any], entries: Sequence[tuple[int, int]], there: dict[int, bytes]) -> CodedSegment:
    missing = frozenset(component for component, length in entries if len(there[component]) < length)
    kept = {component: payload for component, payload in there.items()
            if component not in missing or (component in USEFUL_IN_PART and payload)}
    return CodedSegment(fields["rank"], fields["q_16"] / Q_STEPS, kept, missing)


def _count(layout: Layout, file_bytes: int) -> dict[str, int]:
    """Bytes by purpose."""
    counts, left = {"header": layout.payload_start}, file_bytes - layout.payload_start
    for component, promised in [*layout.own, *(entry for _, entries in layout.segments for entry in entries)]:
        known = component in Component.__members__.values()
        name = Component(component).name.lower() if known else f"component_{component}"
        length = min(promised, left)
        counts[name], left = counts.get(name, 0) + length, left - length
    return counts


def _read_layout(data: bytes, partial: bool) -> Layout:
    """Magic, least length and version, in that order, before anything else is looked at."""
    if data[:3] != MAGIC[:len(data[:3])] or not data:
        raise FormatError(f"not a .lrm file: it begins with {data[:3]!r}, expected {MAGIC!r}.",
                          "Is this the output of 'lrmcodec encode'?")
    if len(data) <= VERSION_AT:
        raise FormatError(f"the file ends after {len(data)} bytes, inside its prefix.", DAMAGED)
    version = data[VERSION_AT]
    if version not in READERS:
        raise FormatError(f"format version {version}, this program reads versions up to {VERSION}.",
                          "Use a newer lrmcodec.")
    return READERS[version](data, partial=partial)


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
