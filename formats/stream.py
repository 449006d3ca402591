"""Video containers through PyAV (FFmpeg): frames and their times in and out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError, OutputError
from lrmcodec.formats.frames import Frame, FrameCollector, Output, Progress
from lrmcodec.formats.stamps import even_rate, times_from_stamps

DEMUXERS = "avi,matroska,webm,mov,mp4,mpeg,mpegts,mpegvideo,h264,hevc,m4v,gif,flv,asf,ogg,png_pipe,jpeg_pipe"
"""What is accepted as a video. FFmpeg alone would draw text files as terminal screens, and follow play lists
to other files and hosts."""

SIZE_NOTE = "lrmcodec picture {height}x{width}"
"""Comment in an mp4 whose picture was padded to an even size, as H.264 in 4:2:0 needs; the reader crops."""

MICROSECOND = Fraction(1, 1_000_000)
"""Time base of mp4 files with irregular times."""

Clock = tuple[Fraction, Sequence[int]]
"""A tick in seconds and the frames' time stamps in ticks."""


@dataclass
class Track:
    """A decoded video track: time stamps of the frames and what is known about them."""

    tick: Fraction
    rates: tuple[Fraction, ...]
    stamps: list[int | None] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def read_video(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Decode a video file.

    Damage in the middle does not lose the rest: frames that decode are kept, and a warning says so where FFmpeg
    notices (it does not for damaged FFV1 and MJPEG pictures whose headers are whole).

    Raises
    ------
    ClipError
        When the file is no video, holds no frame that can be decoded, changes its size or has color.
    """
    # "file:" keeps FFmpeg from taking a name with a colon for the address of a stream.
    track = decode_track(f"file:{path.resolve()}", collector, progress)
    frames = collector.finish()
    times, warning = times_from_stamps(track.stamps, track.tick, track.rates)
    if warning:
        collector.warn(warning)
    return Clip(frames, times, {"source": "video", **track.facts}, collector.warnings)


def decode_track(
    source: str | IO[bytes], collector: FrameCollector, progress: Progress | None = None
) -> Track:
    """Decode the first video track of `source` (an address of FFmpeg's, or an open file) into `collector`.

    Raises
    ------
    ClipError
        As `read_video`.
    """
    try:
        container = av.open(source, options={"format_whitelist": DEMUXERS})
    except (av.FFmpegError, ValueError) as error:
        what = f"{collector.name} is not a video that can be read, or is damaged ({_reason(error)})."
        raise ClipError(what, "Check that the file is complete and plays elsewhere.") from error
    with container:
        if not container.streams.video:
            raise ClipError(f"{collector.name} holds no video track.", "Choose a file with pictures.")
        return _decode(container, container.streams.video[0], collector, progress)


def _decode(container: Any, stream: Any, collector: FrameCollector, progress: Progress | None) -> Track:
    # Unknown rates are None in PyAV 18 and other falsy objects in 19.
    rates = tuple(Fraction(r) for r in (stream.average_rate, stream.guessed_rate) if r)
    track = Track(Fraction(stream.time_base or MICROSECOND), rates)
    crop = _noted_size(container.metadata.get("comment", ""))
    stream.thread_type = "AUTO"
    corrupt = 0
    for frame in _frames(container, stream, collector):
        if not track.stamps:
            track.facts = _facts(container, stream, frame)
        _collect(frame, collector, crop)
        track.stamps.append(frame.pts)
        corrupt += frame.is_corrupt
        if progress and collector.count % 16 == 0:
            progress(min(1.0, collector.count / stream.frames) if stream.frames else None, "reading")
    if corrupt:
        collector.warn(f"{corrupt} frames are damaged in part")
    if collector.count < stream.frames:
        collector.warn(f"the file promises {stream.frames} frames, {collector.count} could be decoded")
    return track


def _frames(container: Any, stream: Any, collector: FrameCollector) -> Iterator[Any]:
    """All frames by decoding from the start; packets that fail are counted in a warning."""
    damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            break
        except av.FFmpegError:
            # The demuxer's generator ends with its own error; a decoder's error leaves it usable.
            damaged += 1
            continue
        yield from frames
    if damaged:
        collector.warn(f"{damaged} damaged packets were left out")


def _collect(frame: Any, collector: FrameCollector, crop: tuple[int, int] | None) -> None:
    """Append one frame, its luma expanded to the full range of 0 to 255, as FFmpeg turns video gray."""
    is_gray = frame.format.name.startswith("gray")
    if collector.checks_color and not is_gray:
        collector.check_color(frame.to_ndarray(format="rgb24"))
    gray = _upright(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8), frame.rotation)
    if crop is not None and _pads(crop, gray.shape):
        gray = gray[: crop[0], : crop[1]]
    collector.add(gray)


def _upright(gray: Frame, rotation: int) -> Frame:
    """Apply the rotation that a phone noted, in degrees counter-clockwise; only quarter turns exist."""
    return np.rot90(gray, round(rotation / 90)) if rotation else gray


def _noted_size(comment: str) -> tuple[int, int] | None:
    pattern = SIZE_NOTE.format(height=r"(\d{1,5})", width=r"(\d{1,5})")
    match = re.fullmatch(pattern, comment)
    return (int(match[1]), int(match[2])) if match else None


def _pads(size: tuple[int, int], shape: tuple[int, ...]) -> bool:
    """Whether a picture of `shape` is one of `size` padded to even numbers."""
    return shape == (size[0] + size[0] % 2, size[1] + size[1] % 2)


def _facts(container: Any, stream: Any, frame: Any) -> dict[str, Any]:
    facts = {
        "container": container.format.name.split(",")[0],
        "codec": stream.codec_context.name,
        "pixel_format": frame.format.name,
    }
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        facts["pixel_aspect"] = float(aspect)
    return facts


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or type(error).__name__)


def write_avi(path: Path, output: Output) -> None:
    """Write lossless gray FFV1 in AVI, with checksums.

    Raises
    ------
    OutputError
        When the times are irregular: AVI counts frames and stores no times.
    """
    rate = even_rate(output.times_s)
    if rate is None:
        hint = "Choose .mkv, or decode at an even --fps."
        raise OutputError("AVI cannot hold irregular frame times.", hint)
    _write(path, output, "avi", "ffv1", "gray", _even_clock(output, rate), _FFV1)


def write_mkv(path: Path, output: Output) -> None:
    """Write lossless gray FFV1 in Matroska, times rounded to its 1 ms.

    Raises
    ------
    OutputError
        When irregular times fall together at 1 ms.
    """
    rate = even_rate(output.times_s)
    clock = _even_clock(output, rate) if rate else _rounded_clock(output, 1000, "Matroska", ".npz or .mp4")
    _write(path, output, "matroska", "ffv1", "gray", clock, _FFV1)


def write_mp4(path: Path, output: Output) -> None:
    """Write H.264 4:2:0 (near lossless, for players), even rates exactly and irregular times to 1 µs.

    Odd sizes are padded by repeating the last row or column; a comment lets our reader crop it again.
    """
    rate = even_rate(output.times_s)
    clock = _even_clock(output, rate) if rate else _rounded_clock(output, 1_000_000, "mp4", ".npz")
    _write(path, output, "mp4", "libx264", "yuv420p", clock, {"crf": "12", "movflags": "+faststart"})


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
        raise OutputError(f"{codec} failed to encode: {_reason(error)}.", "Choose .npz.") from error


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
