"""Frames through one of PyAV's bundled encoders and back, without a container."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from numpy.typing import NDArray

from lrmcodec.benchmarks.setting import Setting
from lrmcodec.formats.errors import LrmError
from lrmcodec.formats.priority import kept_priority

os.environ.setdefault("SVT_LOG", "1")  # errors only; the encoder otherwise talks on stderr
av.logging.set_level(av.logging.PANIC)

Frames = NDArray[np.uint8]

H264_SEI = 6
SMALL_SIDE, PADDED_SIDE = 32, 64  # SVT-AV1 4.x never returns from one side below 32 and the other above 64


class EncoderMissingError(LrmError):
    """An encoder that this build of a library does not have."""


@dataclass(frozen=True)
class Coded:
    """What coding a clip gave.

    Attributes
    ----------
    size_bytes : float
        All packets and out-of-band headers; a fraction where a cost is computed and not coded; 0 where nothing is
        counted.
    frames : ndarray, (T, H, W) uint8
        What they decode to.
    encode_seconds, decode_seconds : float
        Wall time.
    """

    size_bytes: float
    frames: Frames
    encode_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Job:
    """One setting of a peer; `run` codes and decodes the clip."""

    setting: Setting
    run: Callable[[], Coded]


@dataclass(frozen=True)
class VideoCoder:
    """An encoder and decoder by FFmpeg's names, the pixel format between them, and fixed options.

    `finish` takes from a packet what no decoder needs, such as the encoder's name and options.
    """

    encoder: str
    decoder: str
    pixel_format: str
    options: Mapping[str, str]
    finish: Callable[[bytes], bytes] = bytes


def code_video(frames: Frames, coder: VideoCoder, fps: float, **options: str) -> Coded:
    """Code and decode frames (T, H, W); sides are padded where the encoder cannot take them, and cut again.

    Raises
    ------
    EncoderMissingError
        When PyAV was built without the encoder.
    """
    height, width = frames.shape[1:]
    padded = _padded(frames)
    began = time.perf_counter()
    packets, header = _encode(padded, coder, fps, {**coder.options, **options})
    encoded = time.perf_counter()
    decoded = _decode(packets, header, coder, (padded.shape[1], padded.shape[2]))
    if len(decoded) < len(frames):
        raise LrmError(f"{coder.encoder} gave {len(decoded)} of {len(frames)} frames back.")
    size = sum(map(len, packets)) + len(header)
    return Coded(size, decoded[:len(frames), :height, :width], encoded - began, time.perf_counter() - encoded)


def without_sei(packet: bytes) -> bytes:
    """H.264 packet (Annex B of ITU-T H.264) without supplemental enhancement information, units of type 6."""
    units = packet.split(b"\x00\x00\x01")
    kept = [unit for unit in units[1:] if unit[0] & 31 != H264_SEI]
    return b"".join(b"\x00\x00\x01" + unit for unit in kept)


def _padded(frames: Frames) -> Frames:
    """Even sides, and none below 64 where one is below 32; edges are repeated."""
    sides = frames.shape[1:]
    least = PADDED_SIDE if min(sides) < SMALL_SIDE else 0
    more = [max(side + side % 2, least) - side for side in sides]
    return np.pad(frames, ((0, 0), (0, more[0]), (0, more[1])), mode="edge") if any(more) else frames


def _encode(frames: Frames, coder: VideoCoder, fps: float, options: Mapping[str, str]) -> tuple[list[bytes], bytes]:
    """Packets, and the header where the encoder keeps it apart."""
    try:
        context = cast(av.VideoCodecContext, av.CodecContext.create(coder.encoder, "w"))
    except UnknownCodecError as error:
        raise EncoderMissingError(f"not available: this PyAV has no {coder.encoder}.") from error
    context.height, context.width, context.pix_fmt = frames.shape[1], frames.shape[2], coder.pixel_format
    rate = Fraction(max(round(fps), 1))
    context.framerate, context.time_base = rate, 1 / rate
    context.options = dict(options)
    with kept_priority():
        context.open()
    packets: list[bytes] = []
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
        picture.pts = index
        packets += (bytes(packet) for packet in context.encode(picture))
    packets += (bytes(packet) for packet in context.encode(None))
    return [coder.finish(packet) for packet in packets], context.extradata or b""


def _decode(packets: list[bytes], header: bytes, coder: VideoCoder, size: tuple[int, int]) -> Frames:
    context = cast(av.VideoCodecContext, av.CodecContext.create(coder.decoder, "r"))
    context.height, context.width = size
    if header:
        context.extradata = header
    pictures = [picture for packet in packets for picture in context.decode(av.Packet(packet))]
    pictures += context.decode(None)
    return np.stack([picture.to_ndarray(format="gray") for picture in pictures]).astype(np.uint8, copy=False)
