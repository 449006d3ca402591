"""Video streams as DICOM archives play them: H.264 and HEVC in an mp4 container, one stream an object."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from pydicom.uid import HEVCMP51, MPEG4HP41, UID

from lrmcodec.formats.errors import OutputError
from lrmcodec.formats.frames import Output
from lrmcodec.formats.stamps import even_rate
from lrmcodec.formats.stream_write import STEADY_X264

TICK = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Stream:
    """One transfer syntax of PS3.5 section 8.2 and the limits of its profile and level.

    `blocks` and `blocks_s` are the level's largest picture and rate in blocks of `block` pixels a side.
    """

    syntax: UID
    method: str
    encoder: str
    options: dict[str, str]
    level: str
    block: int
    blocks: int
    blocks_s: int


STREAMS = {
    # ITU-T H.264 table A-1, level 4.1: MaxFS and MaxMBPS in macroblocks.
    "h264": Stream(MPEG4HP41, "ISO_14496_10", "libx264",
                   {"crf": "12", "profile": "high", "level": "4.1", **STEADY_X264},
                   "High Profile at level 4.1", 16, 8192, 245_760),
    # ITU-T H.265 tables A.8 and A.9, level 5.1: MaxLumaPs and MaxLumaSr in pixels.
    "hevc": Stream(HEVCMP51, "ISO_23008_2", "libx265",
                   {"crf": "12", "profile": "main", "tag": "hvc1",
                    "x265-params": "log-level=none:level-idc=5.1"},
                   "Main Profile at level 5.1", 1, 8_912_896, 534_773_760),
}
"""By the name that a user gives (PS3.5 sections 8.2.7 and 8.2.8); crf 12 changes most pixels by a level or two."""


def encode_stream(output: Output, name: str) -> tuple[bytes, int, int]:
    """Encode all frames of `output` as 4:2:0 video.

    Returns
    -------
    (bytes, int, int)
        The stream, and the height and width of its pictures: odd sides are made even by repeating the last row or
        column.

    Raises
    ------
    OutputError
        When the encoder is missing or fails, or the clip is beyond what the transfer syntax's level allows.
    """
    stream = STREAMS[name]
    height, width = output.height + output.height % 2, output.width + output.width % 2
    rate = even_rate(output.times_s) or Fraction(1 / float(np.median(np.diff(output.times_s))))
    _check_level(stream, height, width, float(rate))
    if stream.encoder not in av.codecs_available:
        raise OutputError(f"this PyAV has no {stream.encoder} encoder.", "Choose native pixels.")
    try:
        with tempfile.TemporaryDirectory(prefix="lrmcodec-") as folder:
            path = Path(folder) / "stream.mp4"  # the index is moved to the front, which needs a file
            _encode(path, output, stream, (height, width), rate)
            return path.read_bytes(), height, width
    except av.FFmpegError as error:
        raise OutputError(f"{stream.encoder} failed to encode: {error.strerror}.", "Choose native pixels.") from error


def _encode(path: Path, output: Output, stream: Stream, size: tuple[int, int], rate: Fraction) -> None:
    height, width = size
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
        track: Any = file.add_stream(stream.encoder, rate=rate.limit_denominator(100_000), options=stream.options)
        track.height, track.width, track.pix_fmt = height, width, "yuv420p"
        track.time_base = track.codec_context.time_base = TICK
        for frame, time_s in zip(output.frames, output.times_s, strict=True):
            pixels = np.pad(frame, ((0, height - output.height), (0, width - output.width)), "edge")
            picture = av.VideoFrame.from_ndarray(pixels, "gray").reformat(format="yuv420p")
            picture.pts, picture.time_base = round(time_s / TICK), TICK
            file.mux(track.encode(picture))
        file.mux(track.encode(None))


def _check_level(stream: Stream, height: int, width: int, fps: float) -> None:
    """Refuse what players of this transfer syntax need not be able to decode."""
    blocks = -(-height // stream.block) * -(-width // stream.block)
    if blocks > stream.blocks or blocks * fps > stream.blocks_s:
        raise OutputError(f"{height}x{width} pixels at {fps:.4g} frames a second are more than {stream.level} allows.",
                          "Choose hevc or native pixels, a smaller --size or a lower --fps.")
