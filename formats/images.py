"""Clips as folders of PNG pictures and as numpy files."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.clip import DEFAULT_FPS, Clip, uniform_times
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import Frame, FrameCollector, Output, Progress
from lrmcodec.formats.npz import member
from lrmcodec.formats.pixels import gray_levels
from lrmcodec.formats.stamps import UNKNOWN_RATE

TIMES_FILE = "clip.json"
"""Beside the pictures of a folder: {"times_s": [seconds of each frame]}."""

_NPY_SHAPE_HINT = "Save frames of shape (T, H, W) as uint8, or as floats from 0 to 1."


def read_png_folder(folder: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read all PNG pictures of a folder in natural order of their names (2 before 10).

    Raises
    ------
    ClipError
        When there are none, one is damaged or has 16 bits, sizes differ, or `clip.json` does not fit.
    """
    names = sorted((p for p in folder.iterdir() if _is_png_name(p)), key=_natural)
    if not names:
        what = f"{folder} is a folder without PNG pictures."
        raise ClipError(what, "Name a video file or a folder of frames.")
    for i, name in enumerate(names):
        _collect_png(name, collector)
        if progress and i % 16 == 0:
            progress(i / len(names), "reading")
    times = _folder_times(folder, len(names))
    if times is None:
        collector.warn(UNKNOWN_RATE)
        times = uniform_times(len(names), DEFAULT_FPS)
    return Clip(collector.finish(), times, {"source": "png"}, collector.warnings)


def _is_png_name(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.name.startswith(".")  # macOS leaves "._name.png" about


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _collect_png(path: Path, collector: FrameCollector) -> None:
    data = path.read_bytes()
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
        return _valid_times(json.loads(path.read_text("utf-8"))["times_s"], count)
    except (ValueError, KeyError, TypeError) as error:
        what = f"{path} does not hold one increasing time_s from 0 for each of the {count} pictures."
        raise ClipError(what, "Delete it and pass --fps, or put all pictures back.") from error


def _valid_times(values: Any, count: int) -> NDArray[np.float64]:
    times: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if times.shape != (count,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError("times do not fit")
    from_zero: NDArray[np.float64] = times - times[0]
    return from_zero


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


def read_npy(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read a .npy of frames: (T, H, W) or (H, W), uint8, or floats from 0 to 1, which are rounded to 255ths.

    Raises
    ------
    ClipError
        For other shapes and types, values outside 0 to 1, NaN, and damaged files.
    """
    with path.open("rb") as file:
        _collect_array(file, collector, progress)
    frames = collector.finish()
    collector.warn(UNKNOWN_RATE)
    return Clip(frames, uniform_times(len(frames), DEFAULT_FPS), {"source": "npy"}, collector.warnings)


def read_npz(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read a .npz with `frames` (as `read_npy`) and, optionally, `times_s` (T,) in seconds or a number `fps`.

    Raises
    ------
    ClipError
        As `read_npy`, and when `frames` is missing or the times do not fit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "frames.npy" not in names:
                raise ClipError(f"{path} holds no array named 'frames'.", _NPY_SHAPE_HINT)
            with archive.open("frames.npy") as file:
                _collect_array(file, collector, progress)
        frames = collector.finish()
        with np.load(path, allow_pickle=False) as arrays:
            if "times_s.npy" in names:
                times = _valid_times(arrays["times_s"], len(frames))
            elif "fps.npy" in names and float(arrays["fps"]) > 0:
                times = uniform_times(len(frames), float(arrays["fps"]))
            else:
                times = uniform_times(len(frames), DEFAULT_FPS)
                collector.warn(UNKNOWN_RATE)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        what = f"{path} is not a readable npz file ({type(error).__name__})."
        raise ClipError(what, "Check that it is complete.") from error
    except (ValueError, TypeError) as error:
        what = f"times_s or fps in {path} does not fit its frames."
        raise ClipError(what, "Store one increasing time in seconds for each frame.") from error
    return Clip(frames, times, {"source": "npz"}, collector.warnings)


def _collect_array(file: IO[bytes], collector: FrameCollector, progress: Progress | None) -> None:
    """Read the frames of one .npy stream one by one, so that its header is never trusted with memory."""
    shape, dtype = _array_header(file, collector.name)
    height, width = shape[1:]
    for i in range(shape[0]):
        data = file.read(height * width * dtype.itemsize)
        if len(data) < height * width * dtype.itemsize:
            what = f"{collector.name} ends in frame {i} of {shape[0]}."
            raise ClipError(what, "Check that it is complete.")
        collector.add(_levels(np.frombuffer(data, dtype).reshape(height, width), collector.name, i))
        if progress and i % 16 == 0:
            progress(i / shape[0], "reading")


def _array_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        first = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except (ValueError, EOFError) as error:
        raise ClipError(f"{name} is not a readable numpy array.", "Check that it is complete.") from error
    shape = shape if len(shape) != 2 else (1, *shape)
    if fortran_order or len(shape) != 3 or 0 in shape or (dtype != np.uint8 and dtype.kind != "f"):
        order = " in Fortran order" if fortran_order else ""
        raise ClipError(f"{name} holds {dtype} of shape {shape}{order}.", _NPY_SHAPE_HINT)
    return shape, dtype


def _levels(values: NDArray[Any], name: str, index: int) -> Frame:
    """Gray levels of one frame of uint8, or of floats from 0 to 1."""
    if values.dtype == np.uint8:
        return values
    if not ((values >= 0) & (values <= 1)).all():  # false for NaN as well
        raise ClipError(f"{name} holds NaN or values outside 0 to 1 in frame {index}.", _NPY_SHAPE_HINT)
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)


def write_npy(path: Path, output: Output) -> None:
    """Write the frames alone as (T, H, W) uint8."""
    with path.open("wb") as file:
        _write_array(file, output)


def write_npz(path: Path, output: Output) -> None:
    """Write `frames` (T, H, W) uint8, deflated, and `times_s` (T,) float64 in seconds."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(member("frames"), "w", force_zip64=True) as file:
            _write_array(file, output)
        with archive.open(member("times_s"), "w") as file:
            np.lib.format.write_array(file, output.times_s, allow_pickle=False)


def _write_array(file: IO[bytes], output: Output) -> None:
    shape = (len(output.times_s), output.height, output.width)
    header = {"shape": shape, "fortran_order": False, "descr": "|u1"}
    np.lib.format.write_array_header_1_0(file, header)
    for frame in output.frames:
        file.write(np.ascontiguousarray(frame).data)
