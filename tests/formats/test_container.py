"""The container: round trips, and FormatError alone on whatever is cut, flipped, forged or unknown."""

from __future__ import annotations

import math
import zlib
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmcodec.formats.container import (
    MAGIC,
    MAX_METADATA_BYTES,
    MAX_STUDY_BYTES,
    PREFIX_BYTES,
    VERSION,
    CodedClip,
    CodedSegment,
    Component,
    byte_counts,
    pack_file,
    segment_bounds,
    unpack_file,
)
from lrmcodec.formats.errors import ClipError, FormatError
from lrmcodec.formats.layout_v2 import Flag
from lrmcodec.formats.varint import write_varint

PACK_ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
SEGMENTS = (CodedSegment(3, 120, {Component.PICTURES: b"pictures", Component.COEFFS: b"coeffs"}),
            CodedSegment(0, 7, {Component.LATENT: b"x" * 200}))
CLIP = CodedClip(PACK_ID, 2, (112, 113), np.array([0, 0.04, 0.081, 0.13]), SEGMENTS, {"source": "test", "n": [1, 2.5]})
EVEN = replace(CLIP, times_s=np.arange(4) / 25, metadata={})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
payloads = st.binary(max_size=300)
segments = st.builds(CodedSegment, st.integers(0, 512), st.integers(0, 255), st.dictionaries(
    st.sampled_from([Component.PICTURES, Component.COEFFS, Component.LATENT, 32, 77, 255]), payloads))


def sealed(body: bytes) -> bytes:
    """File of a body (header, directory, payloads) with a right checksum."""
    return MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body


def assert_same(a: CodedClip, b: CodedClip) -> None:
    assert replace(a, times_s=None, segments=list(a.segments)) == replace(b, times_s=None, segments=list(b.segments))
    np.testing.assert_allclose(a.times_s, b.times_s, rtol=0, atol=0.51e-6)


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(st.integers(16, 700), st.integers(16, 700)), arch_id=st.integers(0, 255),
       count=st.integers(4, 300), fps=st.floats(0.1, 1000), parts=st.lists(segments, min_size=1, max_size=4),
       metadata=st.dictionaries(st.text(), json_values, max_size=4))
def test_round_trip(size: tuple[int, int], arch_id: int, count: int, fps: float, parts: list[CodedSegment],
                    metadata: dict[str, Any]) -> None:
    clip = CodedClip(PACK_ID, arch_id, size, np.arange(count) / fps, parts, metadata)
    data = pack_file(clip)
    assert_same(unpack_file(data), clip)
    assert sum(byte_counts(data).values()) == len(data)


def test_uneven_times_and_metadata_round_trip() -> None:
    assert_same(unpack_file(pack_file(CLIP)), CLIP)


def test_bytes_are_counted_by_purpose() -> None:
    ancillary = replace(EVEN, segments=[CodedSegment(0, 0, {Component.PICTURES: b"abc", 99: b"12"})])
    counts = byte_counts(pack_file(ancillary))
    assert {key: counts[key] for key in ("pictures", "component_99")} == {"pictures": 3, "component_99": 2}


def test_one_segment_at_an_even_rate_takes_few_bytes_besides_its_payload() -> None:
    large = replace(EVEN, size=(2048, 2048), times_s=np.arange(60) * 1001 / 30000,
                    segments=[CodedSegment(30, 255, {Component.PICTURES: b"x" * 70000, Component.COEFFS: b"y" * 7000})])
    assert byte_counts(pack_file(large))["header"] <= 33


@given(count=st.integers(1, 10**6), parts=st.integers(1, 4096))
def test_segments_cover_all_frames_once(count: int, parts: int) -> None:
    parts = min(parts, count)
    bounds = segment_bounds(count, parts)
    assert (bounds[0][0], bounds[-1][1], len(bounds)) == (0, count, parts)
    lengths = {stop - start for start, stop in bounds}
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("change", [
    {"size": (15, 64)}, {"size": (64, 2049)}, {"arch_id": 256}, {"segments": [CodedSegment(513, 0, {})]},
    {"segments": [CodedSegment(0, 256, {})]},
])
def test_fields_over_their_limit_are_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="allowed are"):
        pack_file(replace(EVEN, **change))


def test_a_pack_id_of_another_length_is_not_written() -> None:
    with pytest.raises(ValueError, match="pack_id"):
        pack_file(replace(EVEN, pack_id=b"short"))


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize("metadata", [
    {1: 2}, {"a": object()}, {"a": b"bytes"}, {"a": 1 << 80}, {"a": "\ud800"}, {"a": {2: 3}}, {"a": np.float32(1)},
    {"a": msgpack.Timestamp(1)}, nested(40), nested(700), {"a": "x" * (MAX_METADATA_BYTES + 1)},
    {"a": math.nan}, {"a": [1, {"b": -math.inf}]},
])
def test_metadata_that_a_reader_would_refuse_are_not_written(metadata: dict[Any, Any]) -> None:
    with pytest.raises(ClipError):
        pack_file(replace(EVEN, metadata=metadata))


@pytest.mark.parametrize("clip", [CLIP, EVEN])
def test_every_truncation_is_refused(clip: CodedClip) -> None:
    data = pack_file(clip)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            unpack_file(data[:length])


@pytest.mark.parametrize("clip", [CLIP, EVEN])
def test_every_flipped_bit_is_refused(clip: CodedClip) -> None:
    data = pack_file(clip)
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(FormatError):
            unpack_file(bytes(flipped))


@pytest.mark.parametrize("clip", [CLIP, EVEN])
def test_every_flipped_bit_under_a_right_checksum_is_read_or_refused(clip: CodedClip) -> None:
    body = pack_file(clip)[PREFIX_BYTES:]
    for position in range(8 * len(body)):
        flipped = bytearray(body)
        flipped[position // 8] ^= 1 << position % 8
        with suppress(FormatError):
            assert unpack_file(sealed(bytes(flipped))).frame_count >= 1


@settings(deadline=None, max_examples=300)
@given(body=st.binary(max_size=80))
def test_any_sealed_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(FormatError):
        unpack_file(sealed(body))


@pytest.mark.parametrize("data", [b"", b"PNG", b"\x89PNG\r\n", b"RIFF" + bytes(40), b"lrm" + bytes(40)])
def test_a_wrong_magic_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"not a \.lrm file"):
        unpack_file(data)


@pytest.mark.parametrize("version", [0, VERSION + 1, 255])
def test_an_unknown_version_is_refused_before_its_checksum(version: int) -> None:
    with pytest.raises(FormatError, match=f"version {version}"):
        unpack_file(MAGIC + bytes([version]) + b"anything")


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(FormatError, match="checksum"):
        unpack_file(pack_file(CLIP) + b"\0")


def with_component(component: int, payload: bytes) -> bytes:
    """File of 4 frames of 64 x 64 pixels and one empty segment, with a component of the clip."""
    flags = Flag.SQUARE | Flag.WHOLE_RATE | Flag.ONE_SEGMENT | Flag.ENTRIES
    head = bytes([flags]) + PACK_ID + bytes([2, 64, 4, 25, 1, component]) + write_varint(len(payload))
    return sealed(head + bytes(3) + payload)


def test_times_given_twice_are_refused() -> None:
    with pytest.raises(FormatError, match="twice or not at all"):
        unpack_file(with_component(Component.TIMES, b"\1\1"))


def with_metadata(payload: bytes) -> bytes:
    return with_component(Component.METADATA, payload)


def squeezed(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(raw)


def test_metadata_of_any_json_kind_are_read() -> None:
    values = {"a": [None, True, 1, 2.5, "x", {"b": []}]}
    assert unpack_file(with_metadata(squeezed(msgpack.packb(values)))).metadata == values


@pytest.mark.parametrize("payload", [
    b"", b"abc", squeezed(b""), squeezed(b"\xc1"), squeezed(msgpack.packb([1])), squeezed(msgpack.packb({1: 2})),
    squeezed(msgpack.packb({"a": b"x"})), squeezed(msgpack.packb({"a": msgpack.ExtType(5, b"x")})),
    squeezed(msgpack.packb({"a": nested(16)})), squeezed(b"\x91" * 900 + b"\x90"), squeezed(b"\x91" * 9000 + b"\x90"),
    squeezed(b"\x81\xa1\xff\x01"), squeezed(msgpack.packb({"a": 1}) + b"\x01"),
    squeezed(msgpack.packb({"a": 1})) + b"\0", squeezed(msgpack.packb({"a": 1}))[:-1],
    squeezed(b"\xdf\xff\xff\xff\xff"), squeezed(b"\xdd\xff\xff\xff\xff"),
    zstandard.ZstdCompressor(write_content_size=False).compress(msgpack.packb({"a": 1})),
    b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
])
def test_damaged_metadata_are_refused(payload: bytes) -> None:
    with pytest.raises(FormatError, match="metadata"):
        unpack_file(with_metadata(payload))


def test_a_zstd_bomb_in_the_metadata_is_refused() -> None:
    bomb = squeezed(msgpack.packb({"a": "x" * (1 << 26)}))
    assert len(bomb) < 10_000
    with pytest.raises(FormatError, match="over its limit"):
        unpack_file(with_metadata(bomb))


def with_study(payload: bytes) -> bytes:
    return with_component(Component.STUDY, payload)


def test_a_study_is_kept_byte_for_byte() -> None:
    data = pack_file(replace(CLIP, study=bytes(range(256)) * 9))
    assert unpack_file(data).study == bytes(range(256)) * 9
    assert unpack_file(pack_file(CLIP)).study == b""
    with pytest.raises(ClipError, match="at most 1048576"):
        pack_file(replace(CLIP, study=bytes(MAX_STUDY_BYTES + 1)))


@pytest.mark.parametrize("payload", [b"", b"abc", squeezed(b"abc")[:-1], squeezed(b"abc") + b"\0",
                                     squeezed(bytes(MAX_STUDY_BYTES + 1)), squeezed(bytes(1 << 27)),
                                     zstandard.ZstdCompressor(write_content_size=False).compress(b"abc")])
def test_a_damaged_study_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError, match="study"):
        unpack_file(with_study(payload))
