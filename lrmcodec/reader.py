"""Reading a .lrm file: what its header says, its coefficients, and its frames at any times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics
from lrmcodec.decoders.base import Decoder, RestoredSegment
from lrmcodec.decoders.registry import check_known, make_decoder, pack_of_file
from lrmcodec.formats.clip import MIN_GAP_S, Clip
from lrmcodec.formats.container import MAX_SIDE, MIN_SIDE, byte_counts, unpack_file
from lrmcodec.formats.errors import ClipError, FormatError, TargetError
from lrmcodec.formats.optional import dicom_module
from lrmcodec.formats.pack import Pack
from lrmcodec.timeline import SAME_TIME_S, coeffs_at, times_at_rate

BLOCK_VALUES = 1 << 24  # pixels rendered at a time
MAX_FRAMES_BYTES = 1 << 33  # of one array of frames; more is read block by block


class LrmFile:
    """A .lrm file opened for reading. The header is read at once; pictures and networks only when frames are asked.

    Attributes
    ----------
    coded : CodedClip
        The container, taken apart.
    byte_counts : dict
        Every byte of the file by purpose.
    """

    def __init__(self, data: bytes, *, pack: str | None = None, device: str = "auto",
                 decoder: Decoder | None = None) -> None:
        self.coded = unpack_file(data)
        self.size_bytes = len(data)
        self.byte_counts = byte_counts(data)
        self._pack_hint, self._device = pack, device
        self._decoder = decoder
        self._restore = lru_cache(maxsize=2)(self._restore_segment)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Frame times in seconds (T,)."""
        return self.coded.times_s

    @property
    def size(self) -> tuple[int, int]:
        """Frame height and width."""
        return self.coded.size

    @property
    def rank(self) -> int:
        """Largest rank of a segment."""
        return max(segment.rank for segment in self.coded.segments)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the encoder was asked to store."""
        return self.coded.metadata

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of when the clip was read for encoding."""
        return self.coded.warnings

    @property
    def fps(self) -> float:
        """Nominal frame rate in frames a second."""
        return self._timing.fps

    @property
    def duration_s(self) -> float:
        """Seconds shown, the last frame included."""
        return self._timing.duration_s

    @property
    def ratio(self) -> float:
        """Compression ratio: T * H * W bytes over the file's bytes."""
        return metrics.ratio(self.coded.frame_count * self.size[0] * self.size[1], self.size_bytes)

    @property
    def pack(self) -> Pack:
        """Decoder pack that the file names; raises PackError when it is not at hand, or its architecture retired."""
        check_known(self.coded.arch_id, "the file")
        return pack_of_file(self.coded.pack_id, self._pack_hint)

    @property
    def coeffs(self) -> list[NDArray[np.float64]]:
        """Coefficients (frames, rank) of every segment; each segment has its own basis."""
        return [self._restore(index).coeffs for index in range(len(self.coded.segments))]

    def select_times(self, *, fps: float | None = None,
                     times_s: Sequence[float] | NDArray[np.float64] | None = None, start_s: float | None = None,
                     duration_s: float | None = None) -> NDArray[np.float64]:
        """Times in seconds that a request names; see `decode`.

        Raises
        ------
        TargetError
            When they are not increasing, lie outside the clip or are none.
        """
        if times_s is not None:
            wanted = self._check_times(np.asarray(times_s, dtype=np.float64))
        elif fps is not None:
            wanted = times_at_rate(self.duration_s, fps)
        else:
            wanted = self.times_s
        start = start_s or 0.0
        stop = np.inf if duration_s is None else start + duration_s
        kept = wanted[(wanted >= start - SAME_TIME_S) & (wanted < stop - SAME_TIME_S)]
        if not len(kept):
            raise TargetError(f"no frame lies in {start:g} s to {stop:g} s; the clip lasts {self.duration_s:.3f} s.",
                              "Choose another --start or --duration.")
        return kept

    def frames(self, times_s: NDArray[np.float64] | None = None,
               size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Frames (n, H, W) at `times_s` (default: the file's own frame times), of another `size` if given.

        Raises
        ------
        TargetError
            When they are more than 8 GiB.
        """
        count = len(self.times_s if times_s is None else times_s)
        height, width = check_size(size or self.size)
        if count * height * width > MAX_FRAMES_BYTES:
            raise TargetError(f"{count} frames of {height}x{width} pixels are more than 8 GiB.",
                              "Give --duration, or read them with `blocks`.")
        return np.concatenate(list(self.blocks(times_s, size)))

    def blocks(self, times_s: NDArray[np.float64] | None = None,
               size: tuple[int, int] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames a bounded number at a time, in order of `times_s`."""
        wanted = self.times_s if times_s is None else np.asarray(times_s, dtype=np.float64)
        height, width = check_size(size or self.size)
        step = max(1, BLOCK_VALUES // (height * width))
        edges = np.searchsorted(wanted, [self.times_s[a] - SAME_TIME_S for a, _ in self.coded.segment_bounds[1:]])
        for piece in np.split(wanted, edges):
            for start in range(0, len(piece), step):
                yield to_uint8(self._render(piece[start:start + step], (height, width)))

    def _render(self, wanted: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
        """Frames of times that lie in one segment or between it and the next."""
        bounds = self.coded.segment_bounds
        starts = [self.times_s[a] - SAME_TIME_S for a, _ in bounds]
        index = max(int(np.searchsorted(starts, wanted[0], side="right")) - 1, 0)
        first, stop = bounds[index]
        segment = self._restore(index)
        rows = coeffs_at(segment.coeffs, self.times_s[first:stop], wanted)
        frames = self._get_decoder().render(segment, rows, size)
        after = np.flatnonzero(wanted > self.times_s[stop - 1] + SAME_TIME_S)
        if len(after) and index + 1 < len(bounds):
            self._blend(frames, after, wanted, index, size)
        return frames

    def _blend(self, frames: NDArray[np.float32], after: NDArray[np.intp], wanted: NDArray[np.float64], index: int,
               size: tuple[int, int]) -> None:
        """Between two segments: a straight blend of the last frame of one and the first of the next, in place."""
        stop = self.coded.segment_bounds[index][1]
        following = self._restore(index + 1)
        target = self._get_decoder().render(following, following.coeffs[:1], size)
        gap = self.times_s[stop] - self.times_s[stop - 1]
        weight = ((wanted[after] - self.times_s[stop - 1]) / gap).astype(np.float32)[:, None, None]
        frames[after] = (1 - weight) * frames[after] + weight * target

    def _restore_segment(self, index: int) -> RestoredSegment:
        segment = self.coded.segments[index]
        start, stop = self.coded.segment_bounds[index]
        return self._get_decoder().restore(segment.components, stop - start, self.size, segment.rank, segment.q)

    def _get_decoder(self) -> Decoder:
        if self._decoder is None:
            decoder = make_decoder(self.pack, self._device)
            if decoder.arch_id != self.coded.arch_id:
                raise FormatError(f"the file names architecture {self.coded.arch_id}, its pack has {decoder.arch_id}.",
                                  "The file is damaged; get another copy.")
            self._decoder = decoder
        return self._decoder

    @property
    def _timing(self) -> Clip:
        """A clip of the same times, for the definitions of rate and duration."""
        return Clip(np.broadcast_to(np.uint8(0), (len(self.times_s), 1, 1)), self.times_s)

    def _check_times(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = np.isfinite(times_s).all() and len(times_s) and times_s.min() >= 0
        if not inside or times_s.max() > self.duration_s + SAME_TIME_S:
            raise TargetError(f"times must lie between 0 and {self.duration_s:.3f} s.", "Correct --times.")
        if (np.diff(times_s) < MIN_GAP_S).any():
            raise TargetError("times must increase by a microsecond at least.", "Sort --times and drop repeated ones.")
        return times_s


def read_bytes(path: Path) -> bytes:
    """Bytes of a file; a ClipError that says why when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClipError(f"{path} cannot be read ({error.strerror}).", "Check the path and its permissions.") from error


def unwrapped(data: bytes) -> bytes:
    """The .lrm file inside a DICOM file that 'lrmcodec wrap' made; other bytes as they are.

    Raises
    ------
    FormatError
        When a DICOM file holds none, or pydicom is missing.
    """
    if data[128:132] != b"DICM":
        return data
    found: bytes = dicom_module("dicom_raw", FormatError).unwrap(data)
    return found


def check_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Frame sizes that the format allows; ClipError for others."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ClipError(f"{size} is no size of frames.", "Give height and width.")
    height, width = size
    if not (MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise ClipError(f"frames of {height}x{width} pixels; sides of {MIN_SIDE} to {MAX_SIDE} are possible.",
                        "Give another --size HxW.")
    return height, width


def to_uint8(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Gray levels of [0, 1] to 0..255, rounded."""
    return (frames * np.float32(255) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
