"""Clips out as video containers, through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lrmcodec.formats.errors import OutputError
from lrmcodec.formats.ffmpeg_log import reason
from lrmcodec.formats.frames import Frame, Output
from lrmcodec.formats.stamps import even_rate

SIZE_NOTE = "lrmcodec picture {height}x{width}"
"""Comment in an mp4 whose picture was padded to an even size, as H.264 in 4:2:0 needs; the reader crops."""

AVI_MAX_RATE, MKV_MAX_RATE = 1000, 20_000
"""Frames a second from which on FFmpeg writes another rate into the file."""

_FAST_HINT = "Choose .mp4 or .npz, or decode at a lower --fps."

Clock = tuple[Fraction, Sequence[int]]
"""A tick in seconds and the frames' time stamps in ticks."""


def write_avi(path: Path, output: Output) -> None:
    """Write lossless gray FFV1 in AVI, with checksums.

    Raises
    ------
    OutputError
        When the times are irregular, since AVI counts frames and stores no times, or the rate is too high.
    """
    rate = even_rate(output.times_s)
    if rate is None:
        hint = "Choose .mkv, or decode at an even --fps."
        raise OutputError("AVI cannot hold irregular frame times.", hint)
    if rate > AVI_MAX_RATE:
        raise OutputError(f"AVI cannot hold {float(rate):g} frames a second, {AVI_MAX_RATE} at most.", _FAST_HINT)
    _write(path, output, "avi", "ffv1", "gray", _even_clock(output, rate), _FFV1)


def write_mkv(path: Path, output: Output) -> None:
    """Write lossless gray FFV1 in Matroska, times rounded to its 1 ms.

    Raises
    ------
    OutputError
        When irregular times fall together at 1 ms, or an even rate is too high for its default duration.
    """
    rate = even_rate(output.times_s)
    if rate is not None and rate > MKV_MAX_RATE:
        raise OutputError(f"Matroska cannot hold {float(rate):g} frames a second, {MKV_MAX_RATE} at most.", _FAST_HINT)
    clock = _even_clock(output, rate) if rate else _rounded_clock(output, 1000, "Matroska", ".npz or .mp4")
    _write(path, output, "matroska", "ffv1", "gray", clock, _FFV1)


def write_mp4(path: Path, output: Output) -> None:
    """Write H.264 4:2:0 (near lossless, for players), even rates exactly and irregular times to 1 µs.

    Odd sizes are padded by repeating the last row or column; a comment lets our reader crop it again.
    """
    rate = even_rate(output.times_s)
    clock = _even_clock(output, rate) if rate else _rounded_clock(output, 1_000_000, "mp4", ".npz")
    _write(path, output, "mp4", "libx264", "yuv420p", clock, {"crf": "12", "movflags": "+faststart", **STEADY_X264})


def write_gif(path: Path, output: Output) -> None:
    """Write a GIF of 256 gray levels, pixels exact, times rounded to its 10 ms.

    Raises
    ------
    OutputError
        Above 50 frames a second, which viewers slow down to 10.
    """
    stamps = np.rint(output.times_s * 100).astype(np.int64)
    if (np.diff(stamps) < 2).any():
        hint = "Choose .mp4, or decode at --fps 50."
        raise OutputError("GIF cannot show more than 50 frames a second.", hint)
    _write(path, output, "gif", "gif", "gray", (Fraction(1, 100), stamps.tolist()), {})


_FFV1 = {"level": "3", "slicecrc": "1", "g": "1"}
"""Each frame for itself, with checksums: damage stays in one frame, and any frame can be reached."""


def _even_clock(output: Output, rate: Fraction) -> Clock:
    return 1 / rate, range(len(output.times_s))


def _rounded_clock(output: Output, per_second: int, name: str, other: str) -> Clock:
    stamps = np.rint(output.times_s * per_second).astype(np.int64)
    if (np.diff(stamps) <= 0).any():
        raise OutputError(f"{name} cannot tell frames less than 1/{per_second} s apart.", f"Choose {other}.")
    return Fraction(1, per_second), [int(stamp) for stamp in stamps]


STEADY_X264 = {"x264-params": "mbtree=0"}
"""For x264, whose macroblock trees made 1 to 4 % of the files of one clip of 32x32 pixels differ from the others."""

REPEATABLE = {"fflags": "+bitexact"}
"""Muxers leave out random identifiers and their own version, so that equal clips give equal files."""


def _write(path: Path, output: Output, container: str, codec: str, pixel_format: str,
           clock: Clock, options: dict[str, str]) -> None:
    """Encode all frames."""
    if codec not in av.codecs_available:
        raise OutputError(f"this PyAV has no {codec} encoder.", "Install PyAV from PyPI, or choose .npz.")
    tick, stamps = clock
    even = pixel_format == "yuv420p"
    try:
        with av.open(str(path), "w", format=container, options=REPEATABLE) as file:
            stream = _add_stream(file, output, codec, pixel_format, tick, options)
            if even and (output.height % 2 or output.width % 2):
                file.metadata["comment"] = SIZE_NOTE.format(height=output.height, width=output.width)
            for frame, stamp in zip(output.frames, stamps, strict=True):
                pixels = _padded(frame) if even else np.ascontiguousarray(frame)
                picture = av.VideoFrame.from_ndarray(pixels, "gray").reformat(format=pixel_format)
                picture.pts, picture.time_base = stamp, tick
                file.mux(stream.encode(picture))
            file.mux(stream.encode(None))
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise  # disk full and the like: atomic_path explains them
        raise OutputError(f"{codec} failed to encode: {reason(error)}.", "Choose .npz.") from error


def _add_stream(file: Any, output: Output, codec: str, pixel_format: str, tick: Fraction,
                options: dict[str, str]) -> Any:
    rate = even_rate(output.times_s) or Fraction(1 / float(np.median(np.diff(output.times_s))))
    stream = file.add_stream(codec, rate=rate.limit_denominator(100_000), options=options)
    even = pixel_format == "yuv420p"
    stream.height, stream.width = output.height, output.width
    if even:
        stream.height += output.height % 2
        stream.width += output.width % 2
    stream.pix_fmt = pixel_format
    stream.time_base = stream.codec_context.time_base = tick
    return stream


def _padded(frame: Frame) -> Frame:
    """Make both sizes even by repeating the last row and column."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2)), "edge")
