"""Pictures: every size comes back, pages tile as promised, and the stripped headers are rebuilt as they were."""

from __future__ import annotations

from contextlib import suppress

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.formats import picture
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.picture import decode_pictures, encode_pictures, page_shapes
from lrmcodec.formats.varint import read_varint, write_varint

PRESET = 10


def smooth(count: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Soft waves (count, H, W) in gray levels, another one in every tile."""
    y, x = (np.linspace(0, 3, side) for side in size)
    tiles = [128 + 90 * np.sin(x[None] * (index + 1) + index) * np.cos(y[:, None]) for index in range(count)]
    return np.array(tiles, np.float32)


def rms(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (64, 64), (112, 112), (31, 200), (16, 2048), (2048, 16),
                                  (403, 517)])
@pytest.mark.parametrize("ten_bit", [False, True])
def test_pictures_of_any_size_come_back(size: tuple[int, int], ten_bit: bool) -> None:
    tiles = smooth(3, size)
    decoded = decode_pictures(encode_pictures(tiles, 20, ten_bit=ten_bit, preset=PRESET), 3, size)
    assert (decoded.shape, decoded.dtype) == (tiles.shape, np.float32)
    assert rms(decoded, tiles) < 1.5


def test_the_largest_picture_comes_back() -> None:
    tiles = smooth(1, (2048, 2048))
    decoded = decode_pictures(encode_pictures(tiles, 60, ten_bit=False, preset=PRESET), 1, (2048, 2048))
    assert rms(decoded, tiles) < 1.5


@pytest.mark.parametrize("ten_bit", [False, True])
def test_values_are_multiples_of_a_level_or_a_quarter(ten_bit: bool) -> None:
    decoded = decode_pictures(encode_pictures(smooth(2, (40, 40)), 12, ten_bit=ten_bit, preset=PRESET), 2, (40, 40))
    scaled = decoded * (4 if ten_bit else 1)
    np.testing.assert_array_equal(scaled, np.rint(scaled))
    assert ((decoded % 1) != 0).any() == ten_bit


def test_ten_bits_are_finer() -> None:
    tiles = 128 + smooth(2, (64, 64)) / 100
    errors = [rms(decode_pictures(encode_pictures(tiles, 4, ten_bit=bits, preset=PRESET), 2, (64, 64)), tiles)
              for bits in (False, True)]
    assert errors[1] < errors[0]


def test_values_out_of_range_are_clipped() -> None:
    tiles = np.stack([np.full((32, 32), -50, np.float32), np.full((32, 32), 400, np.float32)])
    decoded = decode_pictures(encode_pictures(tiles, 20, ten_bit=False, preset=PRESET), 2, (32, 32))
    assert (decoded[0].max() <= 3, decoded[1].min() >= 252) == (True, True)


def test_a_coarser_quantizer_takes_fewer_bytes() -> None:
    tiles = smooth(2, (96, 96)) + np.random.default_rng(0).normal(size=(2, 96, 96)).astype(np.float32) * 20
    sizes = [len(encode_pictures(tiles, q, ten_bit=False, preset=PRESET)) for q in (30, 100, 170, 240)]
    assert sizes == sorted(sizes, reverse=True)


def test_equal_pictures_give_equal_bytes() -> None:
    first, second = (encode_pictures(smooth(3, (72, 80)), 90, ten_bit=False, preset=PRESET) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("count", "size", "shapes"), [
    (1, (16, 16), [(64, 64)]),
    (5, (16, 16), [(80, 64)]),
    (3, (17, 33), [(72, 64)]),
    (9, (112, 112), [(1008, 112)]),
    (513, (16, 16), [(8192, 64), (64, 64)]),
    (5, (2048, 2048), [(8192, 2048), (2048, 2048)]),
    (64, (2048, 2048), [(8192, 2048)] * 16),
    (74, (112, 112), [(8176, 112), (112, 112)]),
])
def test_pages_tile_as_specified(count: int, size: tuple[int, int], shapes: list[tuple[int, int]]) -> None:
    assert page_shapes(count, size) == shapes


def test_pages_keep_away_from_sizes_on_which_the_encoder_hangs() -> None:
    for side in (16, 24, 31, 32):
        for count in (1, 2, 9):
            for size in ((side, 2048), (2048, side), (side, side)):
                assert min(side for shape in page_shapes(count, size) for side in shape) >= 64


def test_several_pages_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "PAGE_MAX_HEIGHT", 128)
    tiles = smooth(7, (40, 48))
    data = encode_pictures(tiles, 30, ten_bit=False, preset=PRESET)
    assert len(page_shapes(7, (40, 48))) == 3
    decoded = decode_pictures(data, 7, (40, 48))
    assert max(rms(a, b) for a, b in zip(decoded, tiles, strict=True)) < 2
    for length in range(0, len(data), 7):
        with suppress(FormatError):
            decode_pictures(data[:length], 7, (40, 48))


def stream_parts(stream: bytes) -> dict[int, bytes]:
    parts, at = {}, 0
    while at < len(stream):
        length, start = read_varint(stream, at + 1, limit=len(stream))
        parts[stream[at] >> 3 & 15] = stream[start:start + length]
        at = start + length
    return parts


@pytest.mark.parametrize("ten_bit", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (112, 72), (1000, 520)])
def test_the_sequence_header_is_rebuilt_up_to_the_level(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int],
                                                        ten_bit: bool) -> None:
    streams: list[bytes] = []
    strip = picture._strip
    monkeypatch.setattr(picture, "_strip", lambda stream, shape: (streams.append(stream), strip(stream, shape))[1])
    record = encode_pictures(smooth(1, size), 80, ten_bit=ten_bit, preset=PRESET)
    parts = stream_parts(streams[0])
    own, rebuilt = (int.from_bytes(header, "big") for header in (
        parts[picture.OBU_SEQUENCE], picture._sequence_header(size, record[0])))
    level = 31 << 8 * len(parts[picture.OBU_SEQUENCE]) - 10
    assert own | level == rebuilt
    context = av.VideoCodecContext.create("libdav1d", "r")
    frame = [*context.decode(av.Packet(streams[0])), *context.decode(None)][0]
    np.testing.assert_array_equal(picture._from_frame(frame, ten_bit), decode_pictures(record, 1, size)[0])


def test_other_encoders_are_refused() -> None:
    header = bytearray(picture._sequence_header((64, 64), 0))
    header[0] = 0  # not a still picture
    with pytest.raises(Exception, match="cannot rebuild"):
        picture._read_flags(bytes(header), (64, 64))
    with pytest.raises(Exception, match="cannot rebuild"):
        picture._read_flags(picture._sequence_header((64, 72), 0), (64, 64))


RECORD = encode_pictures(smooth(2, (32, 32)), 150, ten_bit=False, preset=PRESET)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x16", b"\x16" + bytes(30), b"\xff" * 50])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_pictures(data, 2, (32, 32))


@pytest.mark.parametrize("length", [0, 2, 3, 1 << 40])
def test_a_wrong_record_length_is_refused(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(picture, "PAGE_MAX_HEIGHT", 32)
    with pytest.raises(FormatError):
        decode_pictures(write_varint(length) + RECORD, 2, (32, 32))


def test_every_truncation_decodes_or_raises_format_error() -> None:
    for length in range(len(RECORD)):
        with suppress(FormatError):
            assert decode_pictures(RECORD[:length], 2, (32, 32)).shape == (2, 32, 32)


def test_flipped_bits_decode_or_raise_format_error() -> None:
    for position in range(0, 8 * len(RECORD), max(1, 8 * len(RECORD) // 400)):
        flipped = bytearray(RECORD)
        flipped[position // 8] ^= 1 << position % 8
        with suppress(FormatError):
            assert decode_pictures(bytes(flipped), 2, (32, 32)).shape == (2, 32, 32)


@pytest.mark.parametrize(("count", "size"), [(5, (32, 32)), (2, (64, 64)), (2, (32, 128)), (60, (200, 200))])
def test_a_picture_of_another_size_never_comes_back(count: int, size: tuple[int, int]) -> None:
    with suppress(FormatError):
        assert decode_pictures(RECORD, count, size).shape == (count, *size)
