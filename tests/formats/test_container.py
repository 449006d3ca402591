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
    ENTRY,
    HEADER,
    MAGIC,
    MAX_BASIS_VALUES,
    MAX_COEFFS,
    MAX_METADATA_BYTES,
    MAX_STUDY_BYTES,
    PREFIX,
    PREFIX_BYTES,
    SEGMENT,
    VERSION,
    CodedClip,
    CodedSegment,
    Component,
    _write,
    byte_counts,
    pack_file,
    segment_bounds,
    unpack_file,
)
from lrmcodec.formats.errors import ClipError, FormatError
from lrmcodec.formats.varint import write_varint

PACK_ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
SEGMENTS = (CodedSegment(3, 120, {Component.PICTURES: b"pictures", Component.COEFFS: b"coeffs"}),
            CodedSegment(0, 7, {Component.LATENT: b"x" * 200}))
CLIP = CodedClip(PACK_ID, 2, (112, 113), np.array([0, 0.04, 0.081, 0.13]), SEGMENTS, {"source": "test", "n": [1, 2.5]})
EVEN = replace(CLIP, times_s=np.arange(4) / 25, metadata={})
HEADER_VALUES = {"pack_id": PACK_ID, "arch_id": 2, "height": 64, "width": 64, "frame_count": 4, "rate_num": 25,
                 "rate_den": 1, "segment_count": 1, "component_count": 0}
SEGMENT_VALUES = {"rank": 1, "q_16": 0, "component_count": 0}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
payloads = st.binary(max_size=300)
segments = st.builds(CodedSegment, st.integers(0, 512), st.integers(0, 255), st.dictionaries(
    st.sampled_from([Component.PICTURES, Component.COEFFS, Component.LATENT, 32, 77, 255]), payloads))


def sealed(body: bytes, **prefix: Any) -> bytes:
    """File of a body (header, directory, payloads) with a right length and checksum."""
    values = {"magic": MAGIC, "version": VERSION, "file_bytes": PREFIX_BYTES + len(body), "crc32": zlib.crc32(body)}
    return _write(PREFIX, **{**values, **prefix}) + body


def header(**changes: Any) -> bytes:
    """Header fields by name, without a check of their limits."""
    return b"".join(value if isinstance(value, bytes) else write_varint(value)
                    for value in {**HEADER_VALUES, **changes}.values())


def segment(**changes: Any) -> bytes:
    return b"".join(write_varint(value) for value in {**SEGMENT_VALUES, **changes}.values())


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


def test_one_segment_at_an_even_rate_takes_less_than_64_bytes_besides_its_payload() -> None:
    large = replace(EVEN, size=(2048, 2048), times_s=np.arange(60) * 1001 / 30000,
                    segments=[CodedSegment(30, 255, {Component.PICTURES: b"x" * 70000, Component.COEFFS: b"y" * 7000})])
    assert byte_counts(pack_file(large))["header"] <= 48


@given(count=st.integers(1, 10**6), parts=st.integers(1, 65536))
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


def test_the_helper_builds_a_readable_file() -> None:
    assert unpack_file(sealed(header() + segment())).size == (64, 64)


@pytest.mark.parametrize("data", [b"", b"PNG", b"\x89PNG\r\n", b"RIFF" + bytes(40), b"lrm" + bytes(40)])
def test_a_wrong_magic_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"not a \.lrm file"):
        unpack_file(data)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_unknown_version_is_refused_before_its_length_and_checksum(version: int) -> None:
    with pytest.raises(FormatError, match=f"version {version}"):
        unpack_file(_write(PREFIX, magic=MAGIC, version=version, file_bytes=5, crc32=5) + b"anything")


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(FormatError, match="promises"):
        unpack_file(pack_file(CLIP) + b"\0")
    with pytest.raises(FormatError, match="directory promises"):
        unpack_file(sealed(pack_file(CLIP)[PREFIX_BYTES:] + b"\0"))


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
    return b"".join(_write(ENTRY, component_id=component, component_bytes=size) for component, size in components)


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
    ticks = pack_file(replace(CLIP, metadata={}))
    payload = ticks[len(ticks) - byte_counts(ticks)["latent"] - byte_counts(ticks)["pictures"]
                    - byte_counts(ticks)["coeffs"] - byte_counts(ticks)["times"]:][:byte_counts(ticks)["times"]]
    given_times = entries((Component.TIMES, len(payload))) + segment() + payload
    assert unpack_file(sealed(header(rate_num=0, component_count=1) + given_times)).frame_count == 4
    for wrong in (header(component_count=1) + given_times, header(rate_num=0) + segment()):
        with pytest.raises(FormatError, match="twice or not at all"):
            unpack_file(sealed(wrong))


def with_metadata(payload: bytes) -> bytes:
    return sealed(header(component_count=1) + entries((Component.METADATA, len(payload))) + segment() + payload)


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
    return sealed(header(component_count=1) + entries((Component.STUDY, len(payload))) + segment() + payload)


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


def test_every_field_is_in_the_header_helpers() -> None:
    assert list(HEADER_VALUES) == [field.name for field in HEADER]
    assert list(SEGMENT_VALUES) == [field.name for field in SEGMENT]
