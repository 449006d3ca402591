"""What the layouts of all format versions share: components, limits, and a directory taken apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, pairwise
from typing import Any

from lrmcodec.formats.entropy import MAX_COUNT
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.fields import DAMAGED, MAX_FILE_BYTES, Field

MAGIC = b"LRM"
VERSION_AT = len(MAGIC)
PACK_ID_BYTES = 8
MIN_SIDE, MAX_SIDE = 16, 2048
MAX_FRAMES = 1_000_000
MAX_RANK = 512
MAX_SEGMENTS = 65_536
Q_STEPS = 16  # steps of the quantizer index from one whole number to the next
MAX_COMPONENTS = 64
MAX_BASIS_VALUES = 1 << 28  # (rank + 1) * height * width of one segment
MAX_COEFFS = MAX_COUNT  # rank * frames of one segment
FIRST_ANCILLARY_ID = 32

Entry = tuple[int, int]
"""A component's id and the length of its payload."""


class Component(IntEnum):
    """Frozen component ids; a number is never reused. Ids from 32 on may be skipped by readers that lack them."""

    PICTURES = 1
    COEFFS = 2
    LATENT = 3
    TIMES = 4
    WAVELETS = 5
    VIDEO = 6
    DARK = 7
    PHASE = 32
    METADATA = 33
    WARNINGS = 34
    DIGEST = 35
    VENTRICLE = 36
    HEART = 37
    STUDY = 40


CLIP_COMPONENTS = frozenset({Component.TIMES, Component.METADATA, Component.WARNINGS, Component.DIGEST,
                             Component.STUDY})
SEGMENT_COMPONENTS = frozenset({Component.PICTURES, Component.WAVELETS, Component.COEFFS, Component.LATENT,
                                Component.VIDEO, Component.DARK, Component.PHASE, Component.VENTRICLE,
                                Component.HEART})

ENTRY = (
    Field("component_id", "varint", 255, 1),
    Field("component_bytes", "varint", MAX_FILE_BYTES),
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
)
"""Fields that headers and segments of all versions have."""


@dataclass
class Layout:
    """Parsed header and directory; `cut` hands out payloads in directory order.

    Attributes
    ----------
    header : dict
        Values of the header's fields by name, those included that a version lets writers leave out.
    own : list of (int, int)
        Entries of the clip.
    segments : list of (dict, list of (int, int))
        Fields and entries of every segment.
    payload_start : int
        Offset of the first payload.
    is_cut : bool
        Whether payloads may be missing from some byte on, since the file was cut off. A length that nobody knows any
        more is one more than the bytes that are there.
    """

    header: dict[str, Any]
    own: list[Entry]
    segments: list[tuple[dict[str, Any], list[Entry]]]
    payload_start: int
    is_cut: bool = False

    def __post_init__(self) -> None:
        self._at = self.payload_start

    @property
    def entries(self) -> Iterator[Entry]:
        """All entries in the order of their payloads."""
        return chain(self.own, *(entries for _, entries in self.segments))

    def cut(self, data: bytes, entries: list[Entry]) -> list[tuple[int, bytes]]:
        """Payloads of the next entries by their ids."""
        out = []
        for component, length in entries:
            out.append((component, data[self._at:self._at + length]))
            self._at += length
        return out


def segment_bounds(frame_count: int, segment_count: int) -> list[tuple[int, int]]:
    """Frames i*T//n to (i+1)*T//n of every segment i of n."""
    return list(pairwise(i * frame_count // segment_count for i in range(segment_count + 1)))


def check_header(header: dict[str, Any]) -> None:
    """FormatError when there are more segments than frames."""
    if header["segment_count"] > header["frame_count"]:
        raise FormatError("the file names more segments than frames.", DAMAGED)


def check_segment(fields: dict[str, Any], header: dict[str, Any], frame_count: int) -> None:
    """FormatError when a segment of so many frames asks for more values than the limits allow."""
    if (fields["rank"] + 1) * header["height"] * header["width"] > MAX_BASIS_VALUES:
        raise FormatError(f"rank {fields['rank']} at {header['height']}x{header['width']} pixels is over the "
                          "limit of 2^28 basis values.", DAMAGED)
    if fields["rank"] * frame_count > MAX_COEFFS:
        raise FormatError(f"rank {fields['rank']} over {frame_count} frames is over the limit of 2^20 "
                          "coefficients.", DAMAGED)


def check_entry(component: int, seen: list[Entry], allowed: Collection[int], at: int) -> None:
    """FormatError on a component that has no place here and may not be skipped, or stands there already."""
    if component not in allowed and component < FIRST_ANCILLARY_ID:
        raise FormatError(f"component {component} at byte {at} is unknown here.", "Use a newer lrmcodec.")
    if component in (key for key, _ in seen):
        raise FormatError(f"component {component} at byte {at} stands twice.", DAMAGED)
