"""Gray frames to bytes and back as AV1 video, lossy or lossless, with groups of pictures that decode alone.

SVT-AV1 in, dav1d out; the AV1 specification makes decoding bit-exact. Every group of `group` frames begins with a key
frame, and no frame refers across groups, so that any frame is reached by decoding one group. Of the stream the temporal
delimiters and all but one sequence header are left out (AV1 Bitstream & Decoding Process Specification, sections 5.3 to
5.6). Layout and limits: SPEC.md, section Video.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import FormatError, LrmError
from lrmcodec.formats.fields import MAX_FILE_BYTES
from lrmcodec.formats.picture import OBU_FRAME, OBU_SEQUENCE, TEMPORAL_DELIMITER, obu
from lrmcodec.formats.priority import kept_priority
from lrmcodec.formats.varint import MAX_BYTES as MAX_VARINT_BYTES
from lrmcodec.formats.varint import read_varint, write_varint

os.environ.setdefault("SVT_LOG", "1")  # errors only; the encoder otherwise talks on stderr

MAX_GROUP = 1024
MAX_CRF = 63.0
CRF_STEP = 0.25
"""The encoder takes quarters of its quality index, one AV1 base_q_idx each."""

LEAST_SIDE, PADDED_SIDE = 32, 64  # SVT-AV1 4.x never returns from one side below 32 and the other above 64
GRAY = 128  # of the chroma planes, which nobody looks at
OBU_FRAME_HEADER, OBU_TILE_GROUP, OBU_REDUNDANT_HEADER = 3, 4, 7
FRAME_KINDS = frozenset({OBU_FRAME, OBU_FRAME_HEADER, OBU_TILE_GROUP, OBU_REDUNDANT_HEADER})
DAMAGED = "The file is damaged; get another copy."

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Quality:
    """How finely a video is coded.

    Attributes
    ----------
    crf : float or None
        1 (finest) to 63, in quarters; None for no loss.
    preset : int
        SVT-AV1 preset, 0 (slow) to 10 (fast).
    """

    crf: float | None
    preset: int


def encode_video(frames: Frames, quality: Quality, *, group: int) -> bytes:
    """Code frames (T, H, W) uint8 with a key frame every `group` frames, 1 to 1024.

    Raises
    ------
    LrmError
        When the encoder gives something else than one temporal unit a frame.
    """
    header, units = b"", []
    for packet in _packets(frames, quality, group):
        sequence, unit = _strip(packet)
        header = header or sequence
        units.append(unit)
    if len(units) != len(frames) or _frame_size(header) != padded_size((frames.shape[1], frames.shape[2])):
        raise LrmError(f"this AV1 encoder gave {len(units)} units for {len(frames)} frames, or another size.",
                       "Install the versions of the constraints file.")
    parts = [write_varint(group), write_varint(len(header)), header]
    return b"".join(parts + [piece for unit in units for piece in (write_varint(len(unit)), unit)])


class _Group:
    """Frames from one key frame to the next, decoded in order as far as somebody asks."""

    def __init__(self, first: int, units: tuple[bytes, ...], header: bytes, size: tuple[int, int]) -> None:
        self.first, self._size = first, size
        self._frames = np.empty((len(units), *size), np.uint8)
        self._done = 0
        self._pictures = _pictures(units, header)

    def upto(self, count: int) -> Frames:
        """The first `count` frames (count, H, W); FormatError as in `Video.frames`."""
        while self._done < count:
            picture = next(self._pictures, None)
            if picture is None:
                raise FormatError(f"video frames {self.first} to {self.first + len(self._frames) - 1} decode to "
                                  f"{self._done} frames.", DAMAGED)
            self._take(picture)
        if self._done == len(self._frames) and next(self._pictures, None) is not None:
            raise FormatError(f"more than one video frame {self.first + self._done - 1}.", DAMAGED)
        return self._frames[:count]

    def _take(self, picture: av.VideoFrame) -> None:
        if (picture.height, picture.width) != padded_size(self._size):
            raise FormatError(f"video frame {self.first + self._done} is not of the promised size.", DAMAGED)
        self._frames[self._done] = _luma(picture)[:self._size[0], :self._size[1]]
        self._done += 1


class Video:
    """An opened stream. Nothing is decoded before frames are asked for; what was, of the group asked for last, is kept.

    Attributes
    ----------
    count : int
        Frames.
    size : (int, int)
        Their height and width.
    group : int
        Frames from one key frame to the next.
    header : bytes
        The sequence header.
    units : tuple of bytes
        What is coded of each frame.
    """

    def __init__(self, count: int, size: tuple[int, int], group: int, header: bytes, units: tuple[bytes, ...]) -> None:
        self.count, self.size, self.group, self.header, self.units = count, size, group, header, units
        self._open: _Group | None = None
        self._lock = threading.Lock()

    def frames(self, start: int, stop: int) -> Frames:
        """Frames (stop - start, H, W) uint8; decoded are only the groups that hold them, up to the last one wanted.

        Raises
        ------
        FormatError
            When the stream is not valid AV1 of the promised size.
        """
        with self._lock:
            return np.concatenate([self._part(first, start, stop)
                                   for first in range(start // self.group * self.group, stop, self.group)])

    def _part(self, first: int, start: int, stop: int) -> Frames:
        """Of the group from `first` on, the frames from `start` up to `stop`."""
        if self._open is None or self._open.first != first:
            self._open = None  # before memory is taken for another
            self._open = _Group(first, self.units[first:first + self.group], self.header, self.size)
        count = min(stop - first, self.group, self.count - first)
        try:
            return self._open.upto(count)[max(start - first, 0):]
        except FormatError:
            self._open = None
            raise


def _pictures(units: tuple[bytes, ...], header: bytes) -> Iterator[av.VideoFrame]:
    """Decoded pictures of the units from a key frame on."""
    context = cast(av.VideoCodecContext, av.CodecContext.create("libdav1d", "r"))
    context.thread_count = 1
    start = TEMPORAL_DELIMITER + obu(OBU_SEQUENCE, header)
    try:
        for index, unit in enumerate(units):
            yield from context.decode(av.Packet((TEMPORAL_DELIMITER if index else start) + unit))
        yield from context.decode(None)
    except av.FFmpegError as error:
        raise FormatError(f"a video of {sum(map(len, units))} bytes is not valid AV1 ({error.strerror}).",
                          DAMAGED) from error


def open_video(data: bytes, count: int, size: tuple[int, int], *, is_cut: bool = False) -> Video:
    """Take the stream of `count` frames of (H, W) apart; every length and size is checked, nothing decoded.

    Of a stream that was cut off (`is_cut`) the frames before the first that is not whole are taken, one at least.

    Raises
    ------
    FormatError
        When lengths do not add up, or the sequence header promises other frames.
    """
    group, at = read_varint(data, 0, limit=MAX_GROUP)
    length, at = read_varint(data, at, limit=len(data))
    header, at = data[at:at + length], at + length
    if group < 1 or _frame_size(header) != padded_size(size):
        raise FormatError("the video's header does not fit the file.", DAMAGED)
    units: list[bytes] = []
    while len(units) < count:
        if is_cut and units and _ends_in_unit(data, at):
            return Video(len(units), size, group, header, tuple(units))
        length, at = read_varint(data, at, limit=len(data))
        unit, at = data[at:at + length], at + length
        if len(unit) < length or any(kind not in FRAME_KINDS for kind, _ in _obus(unit)):
            raise FormatError("a unit of the video is cut short or holds what no frame needs.", DAMAGED)
        units.append(unit)
    if at != len(data):
        raise FormatError(f"{len(data) - at} bytes follow the last video frame.", DAMAGED)
    return Video(count, size, group, header, tuple(units))


def _ends_in_unit(data: bytes, at: int) -> bool:
    """Whether data end before the end of the unit at `at`."""
    try:
        length, start = read_varint(data, at, limit=MAX_FILE_BYTES)
    except FormatError:
        return len(data) < at + MAX_VARINT_BYTES
    return start + length > len(data)


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width as coded: even, and none below 64 where one is below 32."""
    least = PADDED_SIDE if min(size) < LEAST_SIDE else 0
    height, width = (max(side + side % 2, least) for side in size)
    return height, width


def _packets(frames: Frames, quality: Quality, group: int) -> Iterator[bytes]:
    """Temporal units; one thread: with two, SVT-AV1 4.x lost a frame or never returned in 2 of 2,500 encodings."""
    context = av.CodecContext.create("libsvtav1", "w")
    context.height, context.width = padded_size((frames.shape[1], frames.shape[2]))
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    level = "lossless=1" if quality.crf is None else f"crf={quality.crf:g}:tune=1"
    context.options = {"preset": str(quality.preset),
                       "svtav1-params": f"{level}:keyint={group}:scd=0:irefresh-type=2:lp=1"}
    with kept_priority():
        context.open()
    for index, frame in enumerate(frames):
        yield from map(bytes, context.encode(_to_picture(frame, index)))
    yield from map(bytes, context.encode(None))


def _to_picture(frame: Frames, index: int) -> av.VideoFrame:
    """A frame, its edges repeated where the coded size is larger."""
    height, width = padded_size((frame.shape[0], frame.shape[1]))
    picture = av.VideoFrame(width, height, "yuv420p")
    for place, plane in enumerate(picture.planes):
        buffer = np.full((plane.height, plane.line_size), GRAY, np.uint8)
        if place == 0:
            buffer[:, :width] = np.pad(frame, ((0, height - frame.shape[0]), (0, width - frame.shape[1])), mode="edge")
        plane.update(buffer.tobytes())
    picture.pts = index
    return picture


def _luma(picture: av.VideoFrame) -> Frames:
    plane = picture.planes[0]
    return np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1)[:, :plane.width]


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and payload of every OBU; each must state its size.

    Raises
    ------
    FormatError
        When one does not, or is cut short.
    """
    at = 0
    while at < len(data):
        kind, flags = data[at] >> 3 & 15, data[at] & 7
        if flags != 2 or data[at] & 0x80:  # a size and nothing else
            raise FormatError("a unit of the video has a header that lrmcodec does not write.", DAMAGED)
        length, start = read_varint(data, at + 1, limit=len(data))
        if start + length > len(data):
            raise FormatError("a unit of the video is cut short.", DAMAGED)
        yield kind, data[start:start + length]
        at = start + length


def _strip(packet: bytes) -> tuple[bytes, bytes]:
    """Sequence header, if there is one, and the OBUs of the frame."""
    header, kept = b"", []
    for kind, payload in _obus(packet):
        if kind == OBU_SEQUENCE:
            header = payload
        elif kind in FRAME_KINDS:
            kept.append(obu(kind, payload))
    return header, b"".join(kept)


def _frame_size(header: bytes) -> tuple[int, int] | None:
    """Largest height and width of the plain kind of sequence header that encoders write; None for any other.

    AV1 specification, section 5.5.1: profile 0, no still picture, no timing information, one operating point.
    """
    bits = "".join(f"{byte:08b}" for byte in header[:16])
    # seq_profile 3, still_picture 1, reduced 1, timing_info 1, display_delay 1, operating_points 5, idc 12, level 5
    if len(bits) < 64 or bits[:7] != "0000000" or bits[7:24] != "0" * 17:
        return None
    at = 29 + (int(bits[24:29], 2) > 7)  # seq_tier stands behind levels above 3.3
    width_bits, height_bits = int(bits[at:at + 4], 2) + 1, int(bits[at + 4:at + 8], 2) + 1
    at += 8
    if len(bits) < at + width_bits + height_bits:
        return None
    middle, end = at + width_bits, at + width_bits + height_bits
    return int(bits[middle:end], 2) + 1, int(bits[at:middle], 2) + 1
