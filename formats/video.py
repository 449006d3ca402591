"""The front door for clips: read and write any supported kind, chosen by content and suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats import arrays, images, stream, stream_write
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.formats.clip import Clip, check_rate, uniform_times
from lrmcodec.formats.dicom_sniff import is_dicom
from lrmcodec.formats.errors import ClipError, OutputError
from lrmcodec.formats.frames import MAX_FRAME_PIXELS, DicomOptions, Frame, FrameCollector, Output, Progress
from lrmcodec.formats.kinds import CONVERT, HEAD_BYTES, PILLOW, is_known, not_read
from lrmcodec.formats.optional import dicom_module
from lrmcodec.formats.spool import local_file


def read_clip(
    path: str | os.PathLike[str],
    *,
    gray: bool = False,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
) -> Clip:
    """Read a clip of any supported kind.

    Kinds: avi, mp4, mov, mkv, webm, mpeg, gif, a folder of PNG pictures, npy, npz and DICOM. Frames are
    counted by decoding. Above `frames.MEMORY_LIMIT_BYTES` they are a memory map of an unnamed temporary file.

    Parameters
    ----------
    path : path
        A file, or a folder of PNG pictures.
    gray : bool
        Turn color to gray instead of refusing it.
    size : (int, int), optional
        Height and width in pixels to resize the frames to.
    fps : float, optional
        Frames a second, replacing whatever times the clip says.
    progress : callable, optional
        Called with the fraction done (or None) and a word.

    Returns
    -------
    Clip
        `metadata` holds technical facts only; `warnings` are sentences about damage, missing frames, assumed
        frame rates and whatever else is not as the file promises.

    Raises
    ------
    ClipError
        When the clip is missing, unreadable, damaged, empty, of changing size or contains color.
    """
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise ClipError(f"{os.fspath(path)!r} is no name of a file.", "Name a clip, or a folder of pictures.")
    path = Path(path)
    if fps is not None:
        check_rate(fps)
    if size is not None:
        _check_size(size)
    try:
        with local_file(path) as local, FrameCollector(
                str(path), gray=gray, size=size, has_rate=fps is not None) as collector:
            clip = _reader(local, str(path))(local, collector, progress)
    except MemoryError as error:
        raise ClipError(f"there is not enough memory to read {path}.",
                        "Cut the clip before, or make its frames smaller with --size.") from error
    except (OSError, av.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ClipError(f"{path} cannot be read: {reason}.", "Check the name and its permissions.") from error
    return clip if fps is None else _at_rate(clip, fps)


def _check_size(size: tuple[int, ...]) -> None:
    if len(size) != 2 or min(size) < 1 or size[0] * size[1] > MAX_FRAME_PIXELS:
        raise ClipError(f"frames cannot be made {' x '.join(map(str, size))} pixels large.",
                        "Give height and width, for example --size 112x112.")


def _at_rate(clip: Clip, fps: float) -> Clip:
    """The clip at the caller's rate; what was assumed about its own times no longer matters."""
    warnings = tuple(text for text in clip.warnings if not text.startswith("frame times"))
    return replace(clip, times_s=uniform_times(len(clip.frames), fps), warnings=warnings)


def _reader(path: Path, name: str) -> Callable[[Path, FrameCollector, Progress | None], Clip]:
    """Choose by what the file is; its name decides where that is not enough."""
    if path.is_dir():
        return images.read_png_folder
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ClipError(f"{name} is empty.", "Check that it was copied completely.")
    suffix = "" if is_known(head) else path.suffix.lower()
    if is_dicom(head) or suffix in (".dcm", ".dicom"):
        read: Callable[[Path, FrameCollector, Progress | None], Clip] = dicom_module("dicom", ClipError).collect_dicom
        return read
    if head.startswith(b"\x93NUMPY") or suffix == ".npy":
        return arrays.read_npy
    if head.startswith(b"PK\x03\x04") or suffix == ".npz":
        return arrays.read_npz
    if PILLOW.match(head):
        from lrmcodec.formats import stills  # Pillow is slow to import

        return stills.read_stills
    if kind := not_read(head):
        raise ClipError(f"{name} is {kind}; such files are not read.", CONVERT)
    return stream.read_video


def _write_dicom(path: Path, output: Output) -> None:
    dicom_module("dicom_write", OutputError).write_dicom(path, output)


WRITERS: dict[str, Callable[[Path, Output], None]] = {
    ".avi": stream_write.write_avi,
    ".mkv": stream_write.write_mkv,
    ".mp4": stream_write.write_mp4,
    ".gif": stream_write.write_gif,
    ".npy": arrays.write_npy,
    ".npz": arrays.write_npz,
    ".dcm": _write_dicom,
    "": images.write_png_folder,
}
"""Writers by suffix; no suffix, or a path ending in "/", is a folder of PNG pictures."""


def check_output_kind(path: str | os.PathLike[str]) -> str:
    """Return the key of `WRITERS` for `path`, so that a wrong name is refused before a long computation.

    Raises
    ------
    OutputError
        When no writer knows the suffix.
    """
    suffix = "" if os.fspath(path).endswith(("/", os.sep)) else Path(path).suffix.lower()
    if suffix not in WRITERS:
        known = ", ".join(kind for kind in WRITERS if kind)
        raise OutputError(f"{path}: clips of type {suffix} cannot be written.",
                          f"Choose one of {known}, or a name without suffix for a folder of PNG pictures.")
    return suffix


def write_clip(clip: Clip, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a clip; see `write_frames`."""
    blocks = (clip.frames[i : i + 64] for i in range(0, len(clip.frames), 64))
    write_frames(path, blocks, clip.times_s, force=force, metadata=clip.metadata)


def write_frames(
    path: str | os.PathLike[str],
    blocks: Iterator[NDArray[np.uint8]],
    times_s: NDArray[np.float64],
    *,
    force: bool = False,
    metadata: Any = None,
    dicom: DicomOptions | None = None,
) -> None:
    """Write a clip that arrives in blocks, whole or not at all.

    What each suffix keeps: avi, mkv (lossless FFV1), gif, PNG folder, npy, npz and dcm keep the pixels; mp4
    (H.264) changes them by a level or so. mkv (1 ms), mp4 (1 µs), dcm (1 µs), npz and PNG folders keep
    irregular times; gif rounds times to 10 ms; npy keeps none; avi refuses irregular ones.

    Parameters
    ----------
    path : path
        The output; its suffix decides the kind, see `WRITERS`.
    blocks : iterator of ndarray, (n, H, W) uint8
        The frames in order.
    times_s : ndarray, (T,) float64
        Strictly increasing frame times in seconds, the first one 0; T is the sum of all n.
    force : bool
        Replace an existing output.
    metadata : mapping, optional
        As in `Clip`; DICOM takes the pixel spacing and compression ratio from it.
    dicom : DicomOptions, optional
        For DICOM: the study it belongs to, and how pixels are coded.

    Raises
    ------
    OutputError
        When the kind is unknown, the output exists or cannot be written, or frames and times do not agree.
    """
    writer = WRITERS[check_output_kind(path)]
    times = np.asarray(times_s, dtype=np.float64)
    with atomic_path(path, force) as temporary:
        frames = _checked(blocks, len(times))
        first = next(frames, None)
        if first is None:
            _disagree(0, len(times))
        height, width = first.shape
        output = Output(_chain(first, frames), height, width, times, metadata or {}, dicom or DicomOptions())
        writer(temporary, output)


def _chain(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest


def _checked(blocks: Iterator[NDArray[np.uint8]], count: int) -> Iterator[Frame]:
    """Give the frames one by one; their types, sizes and number are checked here for all writers."""
    done, shape = 0, None
    for block in blocks:
        if block.ndim != 3 or block.dtype != np.uint8 or shape not in (None, block.shape[1:]):
            what = f"not {block.shape} {block.dtype}"
            raise OutputError(f"blocks of frames must be (n, H, W) uint8 of one size, {what}.")
        shape = block.shape[1:]
        done += len(block)
        if done > count:
            _disagree(done, count)
        yield from block
    if done != count:
        _disagree(done, count)


def _disagree(frames: int, times: int) -> NoReturn:
    raise OutputError(f"{frames} frames do not agree with {times} frame times.")
