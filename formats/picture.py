"""Pictures to bytes and back: AV1 stills without the headers that a reader can rebuild.

Equal-sized tiles are stacked into tall pages, each page coded as one AV1 key frame (SVT-AV1 in, dav1d out; the
AV1 specification makes decoding bit-exact). Of the AV1 stream only the frame header and tile data are kept: the
temporal delimiter, the OBU headers and the sequence header (AV1 Bitstream & Decoding Process Specification,
sections 5.3 to 5.6) follow from the tile size and one byte of flags. Layout and limits: SPEC.md, section Pictures.
PyAV is imported where a page is coded: reading a file's coefficients would wait longest for it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import FormatError, LrmError
from lrmcodec.formats.fields import MAX_FILE_BYTES
from lrmcodec.formats.priority import kept_priority
from lrmcodec.formats.varint import read_varint, write_varint

if TYPE_CHECKING:
    import av

os.environ.setdefault("SVT_LOG", "1")  # errors only; the encoder otherwise talks on stderr

TILE_ALIGN = 8
PAGE_MIN = 64  # SVT-AV1 4.x never returns from pages with one side below 32 and the other above 64
PAGE_MAX_HEIGHT = 8192
PAGE_MAX_PIXELS = 1 << 24
CRF_STEPS = 4  # crf moves in quarters, one AV1 base_q_idx each

# Sequence header bits that vary between encoders, most significant first in the flags byte.
FLAG_10_BIT, FLAG_128, FLAG_FILTER_INTRA, FLAG_INTRA_EDGE = 0x80, 0x40, 0x20, 0x10
FLAG_SUPERRES, FLAG_CDEF, FLAG_RESTORATION, FLAG_UV_DELTA_Q = 0x08, 0x04, 0x02, 0x01

OBU_SEQUENCE, OBU_FRAME = 1, 6
TEMPORAL_DELIMITER = bytes((0x12, 0x00))

ENCODER_BYTES, ENCODER_BYTES_A_PIXEL = 450 << 20, 35
"""Address space that SVT-AV1 takes, measured on pages of 64 x 64 to 8192 x 2048 pixels; most of it is never used."""


def encode_pictures(tiles: NDArray[np.float32], q: int, *, ten_bit: bool, preset: int) -> bytes:
    """Code tiles as AV1 stills.

    Parameters
    ----------
    tiles : ndarray, (n, H, W) float32
        Gray levels; values outside 0..255 are clipped.
    q : int
        Quantizer, four times the encoder's crf: 4 (finest) to 255.
    ten_bit : bool
        Keep quarter gray levels.
    preset : int
        SVT-AV1 preset, 0 (slow) to 10 (fast).

    Returns
    -------
    bytes
        One record a page; every record but the last begins with its length.
    """
    records = [_encode_page(page, q, ten_bit, preset) for page in _stack(tiles)]
    return b"".join(write_varint(len(r)) + r for r in records[:-1]) + records[-1]


def decode_pictures(data: bytes, count: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Undo `encode_pictures`: gray levels (count, H, W) float32, multiples of 1 or of 1/4.

    Raises
    ------
    FormatError
        When the records are not AV1 stills of the promised size.
    """
    tiles = np.empty((count, *size), np.float32)
    first = 0
    for record, shape in zip(_records(data, count, size), page_shapes(count, size), strict=True):
        part = tiles[first:first + _tiles_per_page(size)]
        part[:] = _unstack(_decode_page(record, shape), part.shape)
        first += len(part)
    return tiles


def whole_pages(data: bytes, count: int, size: tuple[int, int]) -> tuple[bytes, int]:
    """Of the pages of `count` tiles that were cut off, those that are whole, as pages alone; and their tiles.

    The last one never is, since it does not tell its length.
    """
    records: list[bytes] = []
    for record, is_whole in _cut_records(data, len(page_shapes(count, size)) - 1):
        if not is_whole:
            break
        records.append(record)
    alone = b"".join(write_varint(len(r)) + r for r in records[:-1]) + b"".join(records[-1:])
    return alone, min(len(records) * _tiles_per_page(size), count)


def _records(data: bytes, count: int, size: tuple[int, int]) -> Iterator[bytes]:
    """The record of every page."""
    offset = 0
    for _ in page_shapes(count, size)[1:]:
        length, offset = read_varint(data, offset, limit=len(data))
        yield data[offset:offset + length]
        offset += length
    yield data[offset:]


def _cut_records(data: bytes, count: int) -> Iterator[tuple[bytes, bool]]:
    """Records with lengths, up to `count`, and whether they are whole."""
    offset = 0
    for _ in range(count):
        try:
            length, offset = read_varint(data, offset, limit=MAX_FILE_BYTES)
        except FormatError:  # cut off inside the length
            return
        yield data[offset:offset + length], offset + length <= len(data)
        offset += length


def page_shapes(count: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """(height, width) of every page that `count` tiles of (H, W) fill."""
    tile_h, tile_w = (_align(side) for side in size)
    per_page = _tiles_per_page(size)
    full, rest = divmod(count, per_page)
    width = max(tile_w, PAGE_MIN)
    return [(max(n * tile_h, PAGE_MIN), width) for n in [per_page] * full + [rest] * (rest > 0)]


def _align(side: int) -> int:
    return -(-side // TILE_ALIGN) * TILE_ALIGN


def _tiles_per_page(size: tuple[int, int]) -> int:
    tile_h, tile_w = (_align(side) for side in size)
    return max(1, min(PAGE_MAX_HEIGHT // tile_h, PAGE_MAX_PIXELS // (tile_h * tile_w)))


def _stack(tiles: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Pad tiles by their edges to multiples of TILE_ALIGN and stack them into pages, one after another."""
    count, height, width = tiles.shape
    tile_h, tile_w = _align(height), _align(width)
    per_page = _tiles_per_page((height, width))
    for shape, start in zip(page_shapes(count, (height, width)), range(0, count, per_page), strict=True):
        padded = np.pad(tiles[start:start + per_page], ((0, 0), (0, tile_h - height), (0, tile_w - width)), mode="edge")
        page = padded.reshape(-1, tile_w)
        yield np.pad(page, ((0, shape[0] - len(page)), (0, shape[1] - tile_w)), mode="edge")


def _unstack(page: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Tiles (n, H, W) of a page, without its padding."""
    count, height, width = shape
    tile_h, tile_w = _align(height), _align(width)
    return page[:count * tile_h, :tile_w].reshape(count, tile_h, tile_w)[:, :height, :width]


def _encode_page(page: NDArray[np.float32], q: int, ten_bit: bool, preset: int) -> bytes:
    import av

    _check_room(page.size)
    context = av.CodecContext.create("libsvtav1", "w")
    context.height, context.width = page.shape
    context.pix_fmt = "yuv420p10le" if ten_bit else "yuv420p"
    context.time_base = Fraction(1, 25)
    context.framerate = Fraction(25)
    # one thread count for all: the bytes must not depend on the machine
    context.options = {"preset": str(preset), "svtav1-params": f"avif=1:crf={q / CRF_STEPS:g}:lp=1"}
    with kept_priority():
        context.open()
    packets = [*context.encode(_to_frame(page, ten_bit)), *context.encode(None)]
    return _strip(b"".join(bytes(packet) for packet in packets), page.shape)


def _check_room(pixels: int) -> None:
    """Raise MemoryError where SVT-AV1 would run out of address space: it does not survive that."""
    try:
        mmap.mmap(-1, ENCODER_BYTES + ENCODER_BYTES_A_PIXEL * pixels).close()
    except OSError as error:
        raise MemoryError("no room for the encoder of pictures") from error


def _to_frame(page: NDArray[np.float32], ten_bit: bool) -> av.VideoFrame:
    import av

    height, width = page.shape
    frame = av.VideoFrame(width, height, "yuv420p10le" if ten_bit else "yuv420p")
    dtype: type[np.unsignedinteger] = np.uint16 if ten_bit else np.uint8
    scale, top = (4, 1023) if ten_bit else (1, 255)
    luma = (page * scale).round().clip(0, top).astype(dtype)
    for index, plane in enumerate(frame.planes):
        stride = plane.line_size // luma.itemsize
        buffer = np.full((plane.height, stride), (top + 1) // 2, dtype)
        if index == 0:
            buffer[:, :width] = luma
        plane.update(buffer.tobytes())
    frame.pts = 0
    return frame


def _decode_page(record: bytes, shape: tuple[int, int]) -> NDArray[np.float32]:
    import av

    if len(record) < 2:
        raise FormatError("a picture record is empty.", "The file is damaged; get another copy.")
    flags, payload = record[0], record[1:]
    header = _sequence_header(shape, flags)
    stream = TEMPORAL_DELIMITER + obu(OBU_SEQUENCE, header) + obu(OBU_FRAME, payload)
    context = cast(av.VideoCodecContext, av.CodecContext.create("libdav1d", "r"))
    context.thread_count = 1
    try:
        frames = [*context.decode(av.Packet(stream)), *context.decode(None)]
    except av.FFmpegError as error:
        raise FormatError(f"a picture of {len(record)} bytes is not valid AV1 ({error.strerror}).",
                          "The file is damaged; get another copy.") from error
    if len(frames) != 1 or (frames[0].height, frames[0].width) != shape:
        raise FormatError(f"a picture does not decode to {shape[0]}x{shape[1]} pixels.",
                          "The file is damaged; get another copy.")
    return _from_frame(frames[0], bool(flags & FLAG_10_BIT))


def _from_frame(frame: av.VideoFrame, ten_bit: bool) -> NDArray[np.float32]:
    plane = frame.planes[0]
    values = np.frombuffer(bytes(plane), np.dtype(np.uint16 if ten_bit else np.uint8))
    luma = values.reshape(plane.height, -1)[:, :plane.width].astype(np.float32)
    return np.asarray(luma / np.float32(4 if ten_bit else 1))


def obu(kind: int, payload: bytes) -> bytes:
    """An AV1 OBU that states its size (AV1 section 5.3)."""
    return bytes((kind << 3 | 0x02,)) + write_varint(len(payload)) + payload


def _sequence_header(shape: tuple[int, int], flags: int) -> bytes:
    """Reduced still-picture sequence header (AV1 section 5.5.1) of a (height, width) page."""
    height, width = shape
    width_bits, height_bits = (width - 1).bit_length(), (height - 1).bit_length()
    fields = [
        (0, 3), (1, 1), (1, 1), (31, 5),  # profile 0, still picture, reduced header, no level limit
        (width_bits - 1, 4), (height_bits - 1, 4), (width - 1, width_bits), (height - 1, height_bits),
        *(((flags & bit) // bit, 1) for bit in (FLAG_128, FLAG_FILTER_INTRA, FLAG_INTRA_EDGE, FLAG_SUPERRES,
                                                FLAG_CDEF, FLAG_RESTORATION, FLAG_10_BIT)),
        (0, 1), (0, 1), (0, 1), (0, 2),  # 4:2:0, no color description, studio range, unknown chroma position
        (flags & FLAG_UV_DELTA_Q, 1), (0, 1), (1, 1),  # no film grain; trailing one bit
    ]
    bits = "".join(f"{value:0{size}b}" for value, size in fields)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _strip(stream: bytes, shape: tuple[int, int]) -> bytes:
    """Keep flags and frame payload of an encoder's stream; refuse a stream that would not be rebuilt alike."""
    payloads: dict[int, bytes] = {}
    offset = 0
    while offset < len(stream):
        kind = stream[offset] >> 3 & 15
        length, start = read_varint(stream, offset + 1, limit=len(stream))
        payloads[kind] = stream[start:start + length]
        offset = start + length
    flags = _read_flags(payloads[OBU_SEQUENCE], shape)
    return bytes((flags,)) + payloads[OBU_FRAME]


def _read_flags(header: bytes, shape: tuple[int, int]) -> int:
    bits = "".join(f"{byte:08b}" for byte in header)
    width_bits, height_bits = int(bits[10:14], 2) + 1, int(bits[14:18], 2) + 1
    at = 18 + width_bits + height_bits
    sb128, filter_intra, intra_edge, superres, cdef, restoration, ten_bit = (int(b) for b in bits[at:at + 7])
    uv_delta_q = int(bits[at + 12])
    flags = (ten_bit * FLAG_10_BIT | sb128 * FLAG_128 | filter_intra * FLAG_FILTER_INTRA
             | intra_edge * FLAG_INTRA_EDGE | superres * FLAG_SUPERRES | cdef * FLAG_CDEF
             | restoration * FLAG_RESTORATION | uv_delta_q * FLAG_UV_DELTA_Q)
    size = (int(bits[18 + width_bits:at], 2) + 1, int(bits[18:18 + width_bits], 2) + 1)
    # reduced still header, this very size, 4:2:0 with nothing described, no film grain
    if bits[:5] != "00011" or size != shape or bits[at + 7:at + 9] != "00" or bits[at + 13] != "0":
        raise LrmError("this AV1 encoder writes a sequence header that lrmcodec cannot rebuild.",
                       "Install the versions of the constraints file.")
    return flags
