"""Clips as folders of PNG pictures, and single compressed pictures."""

from __future__ import annotations

import json
import re
from collections import Counter
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.clip import DEFAULT_FPS, Clip, check_times, uniform_times
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import Frame, FrameCollector, Output, Progress
from lrmcodec.formats.pixels import gray_levels
from lrmcodec.formats.stamps import UNKNOWN_RATE

TIMES_FILE = "clip.json"
"""Beside the pictures of a folder: {"times_s": [seconds of each frame]}."""

OTHER_PICTURES = (".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")

MAX_MISSING = 100_000
MAX_TIMES_BYTES = 1 << 26
MAX_HEAD_BYTES = 1 << 12
"""Of a PNG file, in which it says that it is an animation."""

_TIMES_HINT = "Delete it and pass --fps, or put all pictures back."


def read_png_folder(folder: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read all PNG pictures of a folder in natural order of their names (2 before 10).

    Raises
    ------
    ClipError
        When there are none, one is damaged or has 16 bits, sizes differ, or `clip.json` does not fit.
    """
    names = sorted((p for p in folder.iterdir() if _is_png_name(p)), key=_natural)
    if not names:
        what = f"{collector.name} is a folder without PNG pictures."
        raise ClipError(what, "Name a video file or a folder of frames.")
    for i, name in enumerate(names):
        _collect_png(name, collector)
        if progress and i % 16 == 0:
            progress(i / len(names), "reading")
    _warn_of_names(folder, names, collector)
    times = None if collector.has_rate else _folder_times(folder, len(names))
    if times is None:
        collector.warn(UNKNOWN_RATE)
        times = uniform_times(len(names), DEFAULT_FPS)
    return Clip(collector.finish(), times, {"source": "png"}, collector.warnings)


def _is_png_name(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.name.startswith(".")  # macOS leaves "._name.png" about


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def _warn_of_names(folder: Path, names: list[Path], collector: FrameCollector) -> None:
    """Say what the names tell: gaps in a numbering, several series, pictures that were not read."""
    series: dict[tuple[str, str], list[int]] = {}
    for path in names:
        match = re.fullmatch(r"(.*?)(\d+)(\D*)", path.name)
        if match:
            series.setdefault((match[1], match[3]), []).append(int(match[2]))
    if len(series) > 1 and max(map(len, series.values())) > 1:
        collector.warn(f"the names of the pictures belong to {len(series)} series, which were put one after the other")
    missing = [number for numbers in series.values() for number in _missing(sorted(numbers))]
    if any(len(set(numbers)) < len(numbers) for numbers in series.values()):
        collector.warn("numbers of pictures stand more than once in their names")
    if 0 < len(missing) <= len(names):  # more: the numbers do not count pictures
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        collector.warn(f"pictures are missing from the numbering: {len(missing)} ({shown})")
    others = sum(path.suffix.lower() in OTHER_PICTURES for path in folder.iterdir())
    if others:
        collector.warn(f"pictures of other kinds in the folder were not read: {others}")


def _missing(numbers: list[int]) -> list[int]:
    """Numbers left out of a series with a constant step; it may begin anywhere."""
    steps = Counter(high - low for low, high in pairwise(numbers) if high > low)
    if not steps:
        return []
    step, often = min(steps.most_common(), key=lambda item: (-item[1], item[0]))
    if 2 * often < steps.total() or any(other % step for other in steps):
        return []  # the numbers are something else, as times of day
    between = (range(low + step, high, step) for low, high in pairwise(numbers) if high > low)
    return list(islice(chain.from_iterable(between), MAX_MISSING))


def _collect_png(path: Path, collector: FrameCollector) -> None:
    if not path.is_file():
        raise ClipError(f"{path} has the name of a picture and is none.", "Move it out of the folder.")
    data = path.read_bytes()
    if b"acTL" in data[:MAX_HEAD_BYTES]:
        raise ClipError(f"{path} is an animation.", "Encode it alone, or replace it by its pictures.")
    picture = decode_picture(data, "png")
    if picture is None:
        raise ClipError(f"{path} is not a readable PNG picture.", "Remove or replace it.")
    collector.add(gray_levels(picture, collector, data))


def decode_picture(data: bytes, codec: str) -> av.VideoFrame | None:
    """Decode one compressed still with the named FFmpeg decoder; None when it is damaged."""
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.FFmpegError, ValueError):
        return None
    return frames[0] if frames and not frames[0].is_corrupt else None


def _folder_times(folder: Path, count: int) -> NDArray[np.float64] | None:
    """Read the times that our own writer left in the folder; None where there are none."""
    path = folder / TIMES_FILE
    if not path.exists():
        return None
    try:
        if path.stat().st_size > MAX_TIMES_BYTES:
            raise ValueError("too long")
        times = np.asarray(json.loads(path.read_text("utf-8"))["times_s"], dtype=np.float64)
        if times.shape != (count,):
            raise ValueError("not as many times as pictures")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"{path} does not hold one increasing time_s from 0 for each of the {count} pictures."
        raise ClipError(what, _TIMES_HINT) from error
    return check_times(times, str(path), _TIMES_HINT)


def write_png_folder(folder: Path, output: Output) -> None:
    """Write `folder`/frame_000000.png and so on, 8-bit gray, and `clip.json` with the times."""
    folder.mkdir()
    for i, frame in enumerate(output.frames):
        (folder / f"frame_{i:06d}.png").write_bytes(_png(frame))
    text = json.dumps({"times_s": output.times_s.tolist()})
    (folder / TIMES_FILE).write_text(text, "utf-8")


def _png(frame: Frame) -> bytes:
    context = av.CodecContext.create("png", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = frame.shape
    context.pix_fmt, context.framerate = "gray", Fraction(25)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])
