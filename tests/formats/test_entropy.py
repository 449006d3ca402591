"""Integers to bytes and back, never longer than zstd of the same integers, and nothing but FormatError on damage."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from lrmcodec.formats import entropy
from lrmcodec.formats.entropy import MAX_COUNT, MAX_MAGNITUDE, decode_ints, encode_ints
from lrmcodec.formats.errors import FormatError

TOP = MAX_MAGNITUDE - 1
shapes = st.tuples(st.integers(0, 6), st.integers(0, 30))
limits = st.sampled_from([1, 2, 20, 1000, TOP])
tables = st.tuples(shapes, limits).flatmap(
    lambda given: hnp.arrays(np.int64, given[0], elements=st.integers(-given[1], given[1])))


def noise(rows: int, count: int, scale: float, seed: int = 0) -> NDArray[np.int64]:
    return np.rint(np.random.default_rng(seed).laplace(size=(rows, count)) * scale).astype(np.int64)


def zstd_payload(raw: bytes) -> bytes:
    return b"\x10" + zstandard.ZstdCompressor().compress(raw)


@settings(max_examples=60, deadline=None)
@given(values=tables)
def test_round_trip(values: NDArray[np.int64]) -> None:
    np.testing.assert_array_equal(decode_ints(encode_ints(values), values.shape), values)


@settings(max_examples=60, deadline=None)
@given(values=tables)
def test_the_quick_coder_round_trips_too(values: NDArray[np.int64]) -> None:
    np.testing.assert_array_equal(decode_ints(encode_ints(values, thorough=False), values.shape), values)


@settings(max_examples=60, deadline=None)
@given(values=tables.filter(np.any), level=st.integers(0, entropy.START_LEVELS - 1), last=st.integers(-2, 2),
       dropped=st.integers(0, 5))
def test_the_final_interval_holds_what_decodes_alike(values: NDArray[np.int64], level: int, last: int,
                                                     dropped: int) -> None:
    """Shortened and rounded bytes are told by arithmetic; here they are decoded."""
    coded = entropy._encode_adaptive(values.tolist(), level)
    tried = bytearray(coded.data[:len(coded.data) - dropped])
    if tried:
        tried[-1] = min(max(tried[-1] + last, 0), 255)
    decoded = None
    with suppress(FormatError):
        decoded = entropy._decode_adaptive(bytes(tried), (values.shape[0], values.shape[1]), level)
    assert coded.is_named_by(bytes(tried)) == (decoded == values.tolist())


@settings(max_examples=40, deadline=None)
@given(values=tables)
def test_never_longer_than_zstd_and_one_byte(values: NDArray[np.int64]) -> None:
    planes = np.frombuffer(values.astype("<i4").T.tobytes(), np.uint8).reshape(-1, 4).T.tobytes()
    assert len(encode_ints(values)) <= len(zstandard.ZstdCompressor(level=19).compress(planes)) + 1


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_every_integer_type_gives_the_same_bytes(dtype: type[np.integer]) -> None:
    values = noise(3, 40, 30)
    assert encode_ints(values.astype(dtype)) == encode_ints(values)


@pytest.mark.parametrize("scale", [0.3, 3, 100, 1e5])
def test_near_the_entropy_of_laplacian_noise(scale: float) -> None:
    values = noise(8, 250, scale)
    entropy_bits = np.log2(2 * np.e * max(scale, 0.37)) * values.size
    assert len(encode_ints(values)) * 8 < 1.1 * entropy_bits + 150


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (3, 70)])
def test_zeros_take_no_bytes(shape: tuple[int, int]) -> None:
    assert encode_ints(np.zeros(shape, int)) == b""
    assert decode_ints(b"", shape).shape == shape


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("data", [b"\0", b"\0abc", zstd_payload(b""), b"\xff"])
def test_bytes_for_an_empty_table_are_refused(shape: tuple[int, int], data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_ints(data, shape)


@pytest.mark.parametrize("value", [MAX_MAGNITUDE, -MAX_MAGNITUDE, 1 << 40])
def test_magnitudes_of_2_to_the_30_are_not_coded(value: int) -> None:
    with pytest.raises(ValueError, match="magnitudes"):
        encode_ints(np.array([[0, value]]))


def test_regular_integers_switch_to_zstd() -> None:
    values = np.tile(np.random.default_rng(0).integers(-10**8, 10**8, 8), (1, 100))
    data = encode_ints(values)
    assert data[0] == 0x10
    np.testing.assert_array_equal(decode_ints(data, values.shape), values)


@pytest.mark.parametrize("mode", [*range(0x11, 0x100, 13), 0xff])
def test_unknown_modes_are_refused(mode: int) -> None:
    with pytest.raises(FormatError, match="mode"):
        decode_ints(bytes((mode,)) + b"abcdef", (2, 3))


@pytest.mark.parametrize("data", [
    zstd_payload(bytes(20)), zstd_payload(bytes(28)), zstd_payload(bytes(1 << 26)), zstd_payload(bytes(24)) + b"x",
    zstd_payload(bytes(24))[:-1], b"\x10", b"\x10" + bytes(20),
    b"\x10" + zstandard.ZstdCompressor(write_content_size=False).compress(bytes(24)),
    b"\x10\x50\x2a\x4d\x18\x18\0\0\0" + bytes(24),
])
def test_zstd_of_another_size_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_ints(data, (2, 3))


@pytest.mark.parametrize("value", [MAX_MAGNITUDE, -MAX_MAGNITUDE, -(1 << 31)])
def test_zstd_of_too_large_integers_is_refused(value: int) -> None:
    planes = np.array([value], "<i4").view(np.uint8).tobytes()
    with pytest.raises(FormatError):
        decode_ints(zstd_payload(planes), (1, 1))


@pytest.mark.parametrize("data", [b"", b"\0", b"\x10abc"])
def test_more_integers_than_allowed_are_refused_before_they_are_made(data: bytes) -> None:
    with pytest.raises(FormatError, match="at most"):
        decode_ints(data, (512, MAX_COUNT))
    with pytest.raises(ValueError, match="at most"):
        encode_ints(np.zeros((2, MAX_COUNT), np.int8))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60), shape=st.tuples(st.integers(0, 5), st.integers(0, 40)))
def test_any_bytes_decode_or_raise_format_error(data: bytes, shape: tuple[int, int]) -> None:
    try:
        values = decode_ints(data, shape)
    except FormatError:
        return
    assert (values.shape, values.dtype) == (shape, np.int32)
    assert np.abs(values.astype(np.int64)).max(initial=0) < MAX_MAGNITUDE


def test_every_flipped_bit_decodes_or_raises_format_error() -> None:
    data = encode_ints(noise(4, 60, 5))
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with suppress(FormatError):
            assert decode_ints(bytes(flipped), (4, 60)).shape == (4, 60)


def test_every_truncation_decodes_or_raises_format_error() -> None:
    data = encode_ints(noise(4, 60, 5))
    for length in range(len(data)):
        with suppress(FormatError):
            assert decode_ints(data[:length], (4, 60)).shape == (4, 60)
