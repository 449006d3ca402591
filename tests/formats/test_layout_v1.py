"""Reading files of format version 1: FormatError alone on whatever is forged or unknown."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmcodec.formats.container import MAGIC, MAX_BASIS_VALUES, MAX_COEFFS, Component, unpack_file
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.fields import write_fields
from lrmcodec.formats.layout import ENTRY
from lrmcodec.formats.layout_v1 import HEADER, PREFIX, PREFIX_BYTES, SEGMENT
from lrmcodec.formats.time_code import encode_times
from lrmcodec.formats.varint import write_varint

PACK_ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
HEADER_VALUES = {"pack_id": PACK_ID, "arch_id": 2, "height": 64, "width": 64, "frame_count": 4, "rate_num": 25,
                 "rate_den": 1, "segment_count": 1, "component_count": 0}
SEGMENT_VALUES = {"rank": 1, "q_16": 0, "component_count": 0}


def sealed(body: bytes, **prefix: Any) -> bytes:
    """File of a body (header, directory, payloads) with a right length and checksum."""
    values = {"magic": MAGIC, "version": 1, "file_bytes": PREFIX_BYTES + len(body), "crc32": zlib.crc32(body)}
    return write_fields(PREFIX, **{**values, **prefix}) + body


def header(**changes: Any) -> bytes:
    """Header fields by name, without a check of their limits."""
    return b"".join(value if isinstance(value, bytes) else write_varint(value)
                    for value in {**HEADER_VALUES, **changes}.values())


def segment(**changes: Any) -> bytes:
    return b"".join(write_varint(value) for value in {**SEGMENT_VALUES, **changes}.values())


def test_the_helper_builds_a_readable_file() -> None:
    assert unpack_file(sealed(header() + segment())).size == (64, 64)


@settings(deadline=None, max_examples=300)
@given(body=st.binary(max_size=80))
def test_any_sealed_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(FormatError):
        unpack_file(sealed(body))


def test_every_truncation_and_flipped_bit_is_refused() -> None:
    data = sealed(header() + segment(component_count=1) + entries((Component.COEFFS, 3)) + b"abc")
    assert unpack_file(data).segments[0].components == {Component.COEFFS: b"abc"}
    for length in range(len(data)):
        with pytest.raises(FormatError):
            unpack_file(data[:length])
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(FormatError):
            unpack_file(bytes(flipped))


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(FormatError, match="its header promises"):
        unpack_file(sealed(header() + segment()) + b"\0")
    with pytest.raises(FormatError, match="directory promises"):
        unpack_file(sealed(header() + segment() + b"\0"))


@pytest.mark.parametrize(("field", "value"), [
    ("frame_count", 10**9), ("frame_count", 1_000_001), ("frame_count", 0), ("height", 15), ("height", 2049),
    ("width", 0), ("width", 1 << 40), ("rate_num", 1_000_001), ("rate_den", 0), ("rate_den", 1_000_001),
    ("segment_count", 0), ("segment_count", 65_537), ("component_count", 65), ("arch_id", 256),
])
def test_header_fields_out_of_their_limits_are_refused(field: str, value: int) -> None:
    with pytest.raises(FormatError):
        unpack_file(sealed(header(**{field: value}) + segment()))


@pytest.mark.parametrize(("field", "value"), [("rank", 513), ("q_16", 4081), ("component_count", 65)])
def test_segment_fields_out_of_their_limits_are_refused(field: str, value: int) -> None:
    with pytest.raises(FormatError):
        unpack_file(sealed(header() + segment(**{field: value})))


def test_more_segments_than_frames_are_refused() -> None:
    with pytest.raises(FormatError, match="more segments than frames"):
        unpack_file(sealed(header(segment_count=5) + 5 * segment()))


def test_too_many_basis_values_are_refused() -> None:
    rank = MAX_BASIS_VALUES // 2048**2 - 1
    huge = header(height=2048, width=2048)
    assert unpack_file(sealed(huge + segment(rank=rank))).segments[0].rank == rank
    with pytest.raises(FormatError, match="basis values"):
        unpack_file(sealed(huge + segment(rank=rank + 1)))


def test_too_many_coefficients_of_a_segment_are_refused() -> None:
    frames = MAX_COEFFS // 512
    assert unpack_file(sealed(header(frame_count=frames) + segment(rank=512))).frame_count == frames
    with pytest.raises(FormatError, match="coefficients"):
        unpack_file(sealed(header(frame_count=frames + 1) + segment(rank=512)))
    two = header(frame_count=2 * frames, segment_count=2) + 2 * segment(rank=512)
    assert unpack_file(sealed(two)).frame_count == 2 * frames


def entries(*components: tuple[int, int]) -> bytes:
    return b"".join(write_fields(ENTRY, component_id=component, component_bytes=size) for component, size in components)


@pytest.mark.parametrize("component", [7, 31, Component.PICTURES, Component.COEFFS, Component.LATENT])
def test_unknown_critical_components_of_the_clip_are_refused(component: int) -> None:
    with pytest.raises(FormatError, match=f"component {component} .* unknown"):
        unpack_file(sealed(header(component_count=1) + entries((component, 0)) + segment()))


@pytest.mark.parametrize("component", [30, 31, Component.TIMES])
def test_unknown_critical_components_of_a_segment_are_refused(component: int) -> None:
    with pytest.raises(FormatError, match=f"component {component} .* unknown"):
        unpack_file(sealed(header() + segment(component_count=1) + entries((component, 0))))


@pytest.mark.parametrize("component", [32, 36, 255])
def test_ancillary_components_are_skipped(component: int) -> None:
    body = (header(component_count=1) + entries((component, 3)) + segment(component_count=2)
            + entries((component, 2), (Component.COEFFS, 1)) + b"abc" + b"de" + b"f")
    clip = unpack_file(sealed(body))
    assert (clip.metadata, clip.segments[0].components[Component.COEFFS]) == ({}, b"f")


def test_a_component_that_stands_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="twice"):
        unpack_file(sealed(header() + segment(component_count=2) + entries((40, 0), (40, 0))))


def test_a_component_longer_than_the_file_is_refused() -> None:
    with pytest.raises(FormatError, match="directory promises"):
        unpack_file(sealed(header() + segment(component_count=1) + entries((Component.COEFFS, 1 << 31))))


def test_times_given_twice_or_not_at_all_are_refused() -> None:
    payload = encode_times(np.array([0, 0.04, 0.081, 0.13])).payload
    given_times = entries((Component.TIMES, len(payload))) + segment() + payload
    assert unpack_file(sealed(header(rate_num=0, component_count=1) + given_times)).frame_count == 4
    for wrong in (header(component_count=1) + given_times, header(rate_num=0) + segment()):
        with pytest.raises(FormatError, match="twice or not at all"):
            unpack_file(sealed(wrong))


def test_every_field_is_in_the_header_helpers() -> None:
    assert list(HEADER_VALUES) == [field.name for field in HEADER]
    assert list(SEGMENT_VALUES) == [field.name for field in SEGMENT]
