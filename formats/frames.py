"""Frames on their way in and out: gray levels, color refused, size, and memory kept within bounds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import av
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import ClipError

Frame = NDArray[np.uint8]
"""A gray picture, (H, W) uint8."""

Progress = Callable[[float | None, str], None]
"""Called with the fraction done (0 to 1, or None when unknown) and what is being done."""

MEMORY_LIMIT_BYTES = 1 << 30
"""Frames beyond this size are kept in an unnamed temporary file instead of memory."""

MAX_FRAME_PIXELS = 1 << 25
"""Pixels of a frame that readers take memory for; eight times what a .lrm file can hold."""

COLOR_SPREAD = 40
"""Levels between the largest and smallest of a pixel's R, G, B from which on it counts as colored.

Measured on 47 real clips: tinted gray maps reach 32 and never 48, MJPEG and MPEG chroma noise passes 32 on at
most 0.2 % of the pixels, color Doppler lies around 100 and more.
"""

COLOR_AREA = 0.005
"""Part of the pixels that may be colored before a clip counts as a color clip.

A Doppler signal on 1 % of the picture is found even when 4:2:0 sampling washes out half of it; an orientation
mark or a maker's logo (about 0.1 %) is not taken for one.
"""

MARK_AREA = 0.0015
"""Part of the pixels from which on colored marks are mentioned in a warning, although they are accepted."""

GRAY_HINT = "Pass --gray to encode as gray."


def color_area(rgb: NDArray[np.uint8]) -> float:
    """Part (0 to 1) of the pixels of an (H, W, 3) picture that are colored; one in four is looked at."""
    sample = rgb[::2, ::2]
    spread = sample.max(axis=2) - sample.min(axis=2)
    return float(np.count_nonzero(spread >= COLOR_SPREAD) / spread.size)


def chroma_area(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], *, full_range: bool,
                hd: bool) -> float:
    """As `color_area`, of stored Y, Cb and Cr of one shape, without a conversion of the picture.

    `full_range` tells levels of 0 to 255 from those of video, `hd` ITU-R BT.709 from BT.601.
    """
    blue, red = (plane.astype(np.int16) - 128 for plane in (u, v))
    reach = int(np.abs(blue).max()) + int(np.abs(red).max())
    if reach * 2.5 < COLOR_SPREAD:  # the most that any of these matrices makes of it
        return 0.0
    gain, black = (1.0, 0) if full_range else (255 / 224, 16)
    light = (y.astype(np.float32) - black) * (1 if full_range else 255 / 219)
    kr, kg_b, kg_r, kb = (1.5748, 0.1873, 0.4681, 1.8556) if hd else (1.402, 0.3441, 0.7141, 1.772)
    rgb = np.stack([light + kr * gain * red, light - gain * (kg_b * blue + kg_r * red), light + kb * gain * blue])
    spread = np.ptp(np.clip(rgb, 0, 255), axis=0)
    return float(np.count_nonzero(spread >= COLOR_SPREAD) / spread.size)


def luma(rgb: NDArray[np.uint8]) -> Frame:
    """Gray levels (H, W) of an (H, W, 3) picture by ITU-R BT.601; exact where R = G = B."""
    red, green, blue = (rgb[..., i].astype(np.uint32) for i in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)


def resize(frame: Frame, size: tuple[int, int]) -> Frame:
    """Resize a picture to `size` = (H, W): area means when it shrinks in both directions, else bicubic."""
    if frame.shape == size:
        return frame
    shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
    scaled = picture.reformat(width=size[1], height=size[0], interpolation="AREA" if shrinks else "BICUBIC")
    return np.asarray(scaled.to_ndarray(), dtype=np.uint8)


class FrameCollector:
    """Gathers the frames of one clip while their number is unknown; a context manager.

    Parameters
    ----------
    name : str
        What the frames come from, for messages.
    gray : bool
        Whether color is turned gray instead of refused.
    size : (int, int) or None
        Height and width to resize to.
    has_rate : bool
        Whether the caller gives the frame rate, so that times in the file do not matter.
    """

    def __init__(self, name: str, *, gray: bool = False, size: tuple[int, int] | None = None,
                 has_rate: bool = False) -> None:
        self.name = name
        self.has_rate = has_rate
        self.count = 0
        self._gray = gray
        self._size = size
        self._color_area = 0.0
        self._warnings: list[str] = []
        self._source_shape: tuple[int, int] | None = None
        self._frames: NDArray[np.uint8] | None = None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FrameCollector:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def source_shape(self) -> tuple[int, int]:
        """Height and width of the pictures before they are resized; zeros while there are none."""
        return self._source_shape or (0, 0)

    def warn(self, text: str) -> None:
        """Note what a user should know: a sentence without full stop that names no file and no patient."""
        if text not in self._warnings:
            self._warnings.append(text)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about the frames gathered so far."""
        if self._gray and self._color_area > COLOR_AREA:
            return ("color was turned gray", *self._warnings)
        if self._color_area > MARK_AREA:
            marks = f"small colored marks ({self._color_area:.2%} of the picture) were turned gray"
            return (marks, *self._warnings)
        return tuple(self._warnings)

    def check_color(self, rgb: NDArray[np.uint8]) -> None:
        """Look at one (H, W, 3) picture.

        Raises
        ------
        ClipError
            When it contains color and gray was not asked for.
        """
        self.note_color(color_area(rgb))

    def note_color(self, area: float, hint: str = GRAY_HINT) -> None:
        """Take in which part (0 to 1) of the next picture is colored; errors as `check_color`, with a remedy."""
        self._color_area = max(self._color_area, area)
        if self._color_area > COLOR_AREA and not self._gray:
            what = f"{self.name} contains color (frame {self.count}, {self._color_area:.1%} of the picture)."
            raise ClipError(what, hint)

    def add_rgb(self, rgb: NDArray[np.uint8]) -> None:
        """Append one (H, W, 3) picture as gray, checking it for color."""
        self.check_color(rgb)
        self.add(luma(rgb))

    def add(self, frame: Frame) -> None:
        """Append one gray picture.

        Raises
        ------
        ClipError
            When its size differs from that of the frames before, or no temporary space is left.
        """
        if self._source_shape not in (None, frame.shape):
            raise ClipError(f"{self.name} changes its frame size at frame {self.count}, from "
                            f"{_words(self._source_shape)} to {_words(frame.shape)}.",
                            "Cut it into clips of one size each.")
        self._source_shape = frame.shape[0], frame.shape[1]
        self._store(resize(frame, self._size) if self._size else frame)
        self.count += 1

    def finish(self) -> NDArray[np.uint8]:
        """All frames, (T, H, W) uint8; a read-only memory map when they passed the limit.

        Raises
        ------
        ClipError
            When there are none.
        """
        if self._frames is None:
            raise ClipError(f"{self.name} contains no frame that can be decoded.",
                            "Check that it is a complete video.")
        if self._file is None:
            self._frames.resize((self.count, *self._frames.shape[1:]), refcheck=False)
            return self._frames
        self._file.flush()
        return np.memmap(self._file, np.uint8, "r", shape=(self.count, *self._frames.shape[1:]))

    def _store(self, frame: Frame) -> None:
        if self._file is None and (self.count + 1) * frame.size > MEMORY_LIMIT_BYTES:
            self._spill(frame.shape)
        if self._file is not None:
            self._write(frame)
            return
        if self._frames is None:
            self._frames = np.empty((16, *frame.shape), np.uint8)
        elif self.count == len(self._frames):
            # ndarray.resize is realloc, which moves pages rather than copying: no second copy of the clip.
            self._frames.resize((self.count + self.count // 2, *frame.shape), refcheck=False)
        self._frames[self.count] = frame

    def _spill(self, shape: tuple[int, ...]) -> None:
        """Go on in a temporary file without a name: nothing stays behind, however the process ends."""
        self._file = tempfile.TemporaryFile(prefix="lrmcodec-")  # noqa: SIM115 (closed by __exit__)
        if self._frames is not None:
            self._write(self._frames[: self.count])
        self._frames = np.empty((0, *shape), np.uint8)

    def _write(self, frames: NDArray[np.uint8]) -> None:
        assert self._file is not None
        try:
            self._file.write(np.ascontiguousarray(frames).data)
        except OSError as error:
            folder = tempfile.gettempdir()
            what = f"{self.name} needs more temporary space than {folder} has: {error.strerror}."
            raise ClipError(what, "Set TMPDIR to a larger disk, or cut or shrink the clip.") from error


def _words(shape: tuple[int, ...] | None) -> str:
    return " x ".join(map(str, shape or ()))


@dataclass(frozen=True)
class DicomOptions:
    """How a clip becomes a DICOM object; other kinds of files take no notice.

    Attributes
    ----------
    study : bytes
        Where the clip came from, as `lrmcodec.formats.dicom_study.StudyTags.to_bytes` gives it; empty: unknown.
    keep_study : bool
        Name the patient and the study as `study` does. Otherwise only what identifies nobody is taken from it.
    pixels : str
        'native', or a video that archives play: 'h264' or 'hevc'.
    """

    study: bytes = b""
    keep_study: bool = False
    pixels: str = "native"


@dataclass(frozen=True)
class Output:
    """A clip on its way into a file, one frame at a time.

    Attributes
    ----------
    frames : iterator of (H, W) uint8
        The pictures, all of one size, as many as there are times.
    height, width : int
        Their size.
    times_s : ndarray, (T,) float64
        Frame times in seconds from 0.
    metadata : mapping
        As in `Clip`.
    dicom : DicomOptions
        For DICOM only.
    """

    frames: Iterator[Frame]
    height: int
    width: int
    times_s: NDArray[np.float64]
    metadata: Mapping[str, Any]
    dicom: DicomOptions = DicomOptions()
