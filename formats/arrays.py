"""Clips as numpy files: .npy holds frames alone, .npz frames and their times."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.clip import DEFAULT_FPS, Clip, check_rate, check_times, uniform_times
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import MAX_FRAME_PIXELS, Frame, FrameCollector, Output, Progress
from lrmcodec.formats.npz import member
from lrmcodec.formats.stamps import UNKNOWN_RATE

SHAPE_HINT = "Save frames of shape (T, H, W) as uint8, or as floats from 0 to 1."
COMPLETE_HINT = "Check that it was copied completely."
TIMES_HINT = "Store one increasing time in seconds for each frame, or pass --fps."

SLIM = 3
"""Sides of a frame that differ more than so many times look like axes in another order."""

_HEADER_ERRORS = (ValueError, EOFError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, RecursionError,
                  TokenError)
"""What numpy raises for headers that are no headers."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError, ValueError)
"""What zipfile raises for members that are damaged, encrypted or compressed in rare ways."""


def read_npy(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read a .npy of frames: (T, H, W) or (H, W), uint8, or floats from 0 to 1, which are rounded to 255ths.

    Raises
    ------
    ClipError
        For other shapes and types, values outside 0 to 1, NaN, files whose header and length disagree, and damage.
    """
    with path.open("rb") as file:
        _collect_array(file, path.stat().st_size, collector, progress)
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
    name = collector.name
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "frames.npy" not in names:
                raise ClipError(f"{name} holds no array named 'frames'.", SHAPE_HINT)
            with archive.open("frames.npy") as file:
                _collect_array(file, archive.getinfo("frames.npy").file_size, collector, progress)
            frames = collector.finish()
            times = _times(archive, names, len(frames), collector)
    except _ZIP_ERRORS as error:
        what = f"{name} is not a readable npz file, or is damaged or encrypted ({type(error).__name__})."
        raise ClipError(what, COMPLETE_HINT) from error
    return Clip(frames, times, {"source": "npz"}, collector.warnings)


def _times(archive: zipfile.ZipFile, names: set[str], count: int, collector: FrameCollector) -> NDArray[np.float64]:
    if collector.has_rate or not names & {"times_s.npy", "fps.npy"}:
        collector.warn(UNKNOWN_RATE)
        return uniform_times(count, DEFAULT_FPS)
    rate = _numbers(archive, "fps", 1, collector.name)[0] if "fps.npy" in names else None
    if "times_s.npy" not in names:
        assert rate is not None
        return uniform_times(count, check_rate(float(rate), f"{collector.name}: fps"))
    times = check_times(_numbers(archive, "times_s", count, collector.name), f"{collector.name}: times_s", TIMES_HINT)
    if rate is not None and count > 1 and not abs(rate * times[-1] / (count - 1) - 1) < 0.01:
        collector.warn(f"fps says {rate:g} frames a second and times_s {(count - 1) / times[-1]:g}: times_s was taken")
    return times


def _numbers(archive: zipfile.ZipFile, name: str, count: int, path: str) -> NDArray[np.float64]:
    """`count` numbers of a member, whose header is looked at before anything is read."""
    with archive.open(f"{name}.npy") as file:
        shape, dtype, _ = _array_header(file, f"{path}: {name}")
        if prod(shape) != count or len(shape) > 1 or dtype.kind not in "iuf":
            raise ClipError(f"{path}: {name} holds {dtype} of shape {shape}, not {count} numbers.", TIMES_HINT)
        data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ClipError(f"{path}: {name} ends too early.", COMPLETE_HINT)
    with np.errstate(all="ignore"):  # what is too large becomes infinite, and is refused
        return np.frombuffer(data, dtype).astype(np.float64)


def _collect_array(file: IO[bytes], size: int, collector: FrameCollector, progress: Progress | None) -> None:
    """Read the frames of one .npy stream of `size` bytes one by one: its header is never trusted with memory."""
    shape, dtype = _frames_header(file, size, collector)
    count, height, width = shape
    for i in range(count):
        data = file.read(height * width * dtype.itemsize)
        if len(data) < height * width * dtype.itemsize:
            raise ClipError(f"{collector.name} ends in frame {i} of {count}.", COMPLETE_HINT)
        collector.add(_levels(np.frombuffer(data, dtype).reshape(height, width), collector.name, i))
        if progress and i % 16 == 0:
            progress(i / count, "reading")


def _frames_header(file: IO[bytes], size: int, collector: FrameCollector) -> tuple[tuple[int, ...], np.dtype[Any]]:
    name = collector.name
    shape, dtype, fortran_order = _array_header(file, name)
    shape = shape if len(shape) != 2 else (1, *shape)
    if fortran_order or len(shape) != 3 or min(shape) < 1 or (dtype != np.uint8 and dtype.kind != "f"):
        order = " in Fortran order" if fortran_order and len(shape) > 1 else ""
        raise ClipError(f"{name} holds {dtype} of shape {shape}{order}.", SHAPE_HINT)
    if shape[1] * shape[2] > MAX_FRAME_PIXELS:
        raise ClipError(f"{name} promises frames of {shape[1]} x {shape[2]} pixels, more than are read.", SHAPE_HINT)
    each = shape[1] * shape[2] * dtype.itemsize
    found, left = divmod(size - file.tell(), each)
    if found < shape[0]:
        raise ClipError(f"{name} promises {shape[0]} frames, but ends in frame {found}.", COMPLETE_HINT)
    if found > shape[0] or left:
        behind = (found - shape[0]) * each + left
        raise ClipError(f"{name} promises {shape[0]} frames, but {behind} more bytes follow them.",
                        "Save all frames as one array.")
    if _looks_transposed(shape):
        collector.warn(f"the shape {shape} looks like (H, W, T): it was read as {shape[0]} frames of "
                       f"{shape[1]} x {shape[2]} pixels")
    return shape, dtype


def _looks_transposed(shape: tuple[int, ...]) -> bool:
    """Whether the frames stand last: pictures that are long and slim, or as high as there are frames and narrower."""
    count, height, width = shape
    slim = count > 1 and width * SLIM < height and width * SLIM < 2 * count
    return slim or (count == height > width)


def _array_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, dtype, and whether in Fortran order; numpy sees to it that a header is short."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2 are read like others
            first = np.lib.format.read_magic(file) == (1, 0)
            read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
            shape, fortran_order, dtype = read(file)
    except _HEADER_ERRORS as error:
        raise ClipError(f"{name} is not a readable numpy array.", COMPLETE_HINT) from error
    return tuple(int(side) for side in shape), dtype, bool(fortran_order)


def _levels(values: NDArray[Any], name: str, index: int) -> Frame:
    """Gray levels of one frame of uint8, or of floats from 0 to 1."""
    if values.dtype == np.uint8:
        return values
    if not ((values >= 0) & (values <= 1)).all():  # false for NaN as well
        raise ClipError(f"{name} holds NaN or values outside 0 to 1 in frame {index}.", SHAPE_HINT)
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
