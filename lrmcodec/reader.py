"""Reading a .lrm file: what its header says, its coefficients, and its frames at any times. The one door to a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrmcodec.decoders.base import Decoder, RestoredSegment
from lrmcodec.decoders.registry import check_known, make_decoder, pack_of_file
from lrmcodec.formats.clip import MIN_GAP_S, Clip
from lrmcodec.formats.container import MAGIC, Component, check_size, inspect_file
from lrmcodec.formats.errors import ClipError, FormatError, TargetError
from lrmcodec.formats.optional import dicom_module
from lrmcodec.formats.pack import Pack
from lrmcodec.levels import frames_at_a_time, resized, to_uint8
from lrmcodec.metrics import ratio
from lrmcodec.restored import open_film, rendered, restore_coeffs, restore_segment
from lrmcodec.timeline import SAME_TIME_S, coeffs_at, positions_at, times_at_rate
from lrmcodec.video.motion import fit_pictures

if TYPE_CHECKING:
    from lrmcodec.video.payload import VideoSegment

MAX_FRAMES_BYTES = 1 << 33  # of one array of frames; more is read block by block
LEAST_KEPT, MOST_KEPT, KEPT_VALUES = 2, 64, 1 << 24
"""Restored segments that a file keeps: one and the next, with which it is blended; more of so many values in all."""

Array = NDArray[np.float64]


class LrmFile:
    """A .lrm file opened for reading. The header is read at once; pictures and networks only when frames are asked.

    Parameters
    ----------
    data : bytes
        The whole file.
    pack : str or path, optional
        Where to look for its decoder pack, besides the shipped ones.
    device : str
        'auto', 'cpu' or 'cuda'; only decoders with weights use it.
    decoder : Decoder, optional
        The decoder, where the caller has it.
    rank : int, optional
        Show frames by so many of the file's components, the first: quicker, and less like the clip.
    partial : bool
        Take a file whose end is missing as well: `missing` says what is not there, and frames and times are those that
        are. Its checksum cannot be compared, so that damage goes unseen. Its pack is looked for at once.

    Attributes
    ----------
    coded : CodedClip
        The container, taken apart.
    byte_counts : dict
        Every byte of the file by purpose.
    size_bytes : int
        Their sum.
    """

    def __init__(self, data: bytes, *, pack: str | PathLike[str] | None = None, device: str = "auto",
                 decoder: Decoder | None = None, rank: int | None = None, partial: bool = False) -> None:
        self.coded, self.byte_counts = inspect_file(data, partial=partial)
        self.size_bytes = len(data)
        self._first = self._check_rank(rank)
        self._pack_hint, self._device, self._given = pack, device, decoder
        kept = self._segments_kept()
        self._kept = lru_cache(maxsize=kept)(self._restore)
        self._films = lru_cache(maxsize=LEAST_KEPT)(self._open_film)
        self._pictured = lru_cache(maxsize=1)(self._fit_pictures)
        self._bounds = self._bounds_there()

    @property
    def times_s(self) -> Array:
        """Frame times in seconds (T,)."""
        return self.coded.times_s[:self._bounds[-1][1]]

    @property
    def size(self) -> tuple[int, int]:
        """Frame height and width."""
        return self.coded.size

    @property
    def rank(self) -> int:
        """Largest rank of a segment."""
        return max(segment.rank for segment in self.coded.segments)

    @property
    def tool(self) -> str:
        """How the frames are coded: 'low-rank', 'video', or both in segments of either kind."""
        kinds = {"video" if Component.VIDEO in segment.components else "low-rank" for segment in self.coded.segments}
        return " and ".join(sorted(kinds))

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
        return ratio(len(self.times_s) * self.size[0] * self.size[1], self.size_bytes)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not there of a file that was cut off, in sentences; none of a whole file."""
        if not self._is_cut:
            return ()
        said = [f"the file is cut off after {self.size_bytes:,} bytes, or damaged: its checksum cannot be compared"]
        index = len(self._bounds) - 1
        start, stop = self._bounds[index]
        if self.film(index) is None:
            shown, coded = self.segment(index).coeffs.shape[1], self.coded.segments[index].rank
            wanted = coded if self._first is None else min(self._first, coded)
            since = f", from {self.times_s[start]:.3f} s on" if index else ""
            said += [f"{shown} of {wanted} basis pictures are there{since}"] * (shown < wanted)
        if stop < self.coded.frame_count:
            said += [f"{stop} of {self.coded.frame_count} frames are there, the first {self.duration_s:.3f} s"]
        return tuple(said)

    @property
    def _is_cut(self) -> bool:
        return any(segment.missing for segment in self.coded.segments)

    @property
    def is_lossless(self) -> bool:
        """Whether all frames are promised to come back exactly, at their own times and size."""
        films = [self._films(index) for index in range(len(self._bounds))]
        return not self._is_cut and all(film is not None and film.mode.name != "LOSSY" and film.max_error == 0
                                        for film in films)

    def compression(self, times_s: ArrayLike | None = None, size: tuple[int, int] | None = None) -> dict[str, Any]:
        """What frames at these times and of this size went through, as metadata of the clip they make.

        Returns
        -------
        dict
            `lossless` True, or the ratio as `lossy_ratio`.
        """
        own = times_s is None or np.isin(times_s, self.times_s).all()
        if own and size in (None, self.size) and self.is_lossless:
            return {"lossless": True}
        return {"lossy_ratio": self.ratio}

    @cached_property
    def pack(self) -> Pack:
        """Decoder pack that the file names; raises PackError when it is not at hand, or its architecture retired."""
        check_known(self.coded.arch_id, "the file")
        return pack_of_file(self.coded.pack_id, self._pack_hint)

    @cached_property
    def decoder(self) -> Decoder:
        """Decoder of the file's pack.

        Raises
        ------
        PackError, DeviceError
            When the pack or the device is not at hand.
        FormatError
            When file and pack disagree.
        """
        decoder = self._given or make_decoder(self.pack, self._device)
        if decoder.arch_id != self.coded.arch_id:
            raise FormatError(f"the file names architecture {self.coded.arch_id}, its pack has {decoder.arch_id}.",
                              "The file is damaged; get another copy.")
        return decoder

    @property
    def coeffs(self) -> list[Array]:
        """Coefficients (frames, rank) of every segment; each segment has its own basis."""
        if self._is_cut or self._first is not None:
            return [self.segment(index).coeffs[:stop - start] for index, (start, stop) in enumerate(self._bounds)]
        return [restore_coeffs(self.decoder, segment, stop - start, self.size)
                for segment, (start, stop) in zip(self.coded.segments, self._bounds, strict=True)]

    def segment(self, index: int) -> RestoredSegment:
        """Latent, basis and coefficients of segment `index`, from 0 on; the last ones asked for are kept.

        Raises
        ------
        FormatError, PackError, DeviceError
            When it is damaged, or its decoder is not at hand.
        """
        return self._kept(index)

    def _restore(self, index: int) -> RestoredSegment:
        start, stop = self.coded.segment_bounds[index]
        return restore_segment(self.decoder, self.coded.segments[index], stop - start, self.size, self._first)

    def _segments_kept(self) -> int:
        """How many restored segments are kept, so that a look into one seen before comes at once."""
        return min(max(KEPT_VALUES // ((self.rank + 1) * self.size[0] * self.size[1]), LEAST_KEPT), MOST_KEPT)

    def _check_rank(self, rank: int | None) -> int | None:
        if rank is None:
            return None
        if not 0 <= rank <= self.rank:
            raise TargetError(f"the file has {self.rank} basis pictures, not {rank}.", f"Give --rank 0 to {self.rank}.")
        if any(Component.VIDEO in segment.components for segment in self.coded.segments):
            raise TargetError("frames of the file are coded as video, which has no rank.", "Leave --rank out.")
        return rank

    def _bounds_there(self) -> list[tuple[int, int]]:
        """Frames of the segments that can be shown, up to the first of which something is missing.

        Raises
        ------
        FormatError
            When there are none.
        """
        bounds: list[tuple[int, int]] = []
        for index, (start, stop) in enumerate(self.coded.segment_bounds):
            there = self._count_there(index) if self.coded.segments[index].missing else stop - start
            if there:
                bounds.append((start, start + there))
            if there < stop - start:
                break
        if not bounds:
            raise FormatError(f"the file is cut off after {self.size_bytes} bytes, before its first picture is whole.",
                              "Get more of it.")
        return bounds

    def _count_there(self, index: int) -> int:
        """Frames of a segment of which something is missing that can be shown."""
        try:
            film = self.film(index)
            return film.count if film is not None else len(self.segment(index).coeffs)
        except (FormatError, TargetError):
            return 0

    def film(self, index: int) -> VideoSegment | None:
        """The video of segment `index`; None where its frames are mixed from pictures or made by a network.

        Raises
        ------
        FormatError
            When it is damaged.
        """
        return self._films(index)

    def _open_film(self, index: int) -> VideoSegment | None:
        start, stop = self.coded.segment_bounds[index]
        return open_film(self.coded.segments[index], stop - start, self.size)

    def _fit_pictures(self, index: int) -> RestoredSegment:
        """Latent and basis that go best with the coefficients of a segment of video."""
        film, segment = self.film(index), self.segment(index)
        assert film is not None
        latent, basis = fit_pictures(segment.coeffs, film.blocks())
        return RestoredSegment(latent, basis, segment.coeffs, self.size)

    def render(self, index: int, rows: Array) -> NDArray[np.uint8]:
        """Frames (n, H, W) of any coefficients (n, rank) of segment `index`, also such as no recorded frame has."""
        segment = self.segment(index) if self.film(index) is None else self._pictured(index)
        return np.concatenate([np.empty((0, *self.size), np.uint8),
                               *rendered(self.decoder, segment, rows, self.size)])

    def select_times(self, *, fps: float | None = None, times_s: ArrayLike | None = None,
                     start_s: float | None = None, duration_s: float | None = None) -> Array:
        """Times in seconds that a request names; see `lrmcodec.decode`.

        Raises
        ------
        TargetError
            When they are not increasing, lie outside the clip or are none.
        """
        if times_s is not None:
            wanted = self._check_times(times_s)
            if (np.diff(wanted) < MIN_GAP_S).any():
                raise TargetError("times must increase by a microsecond at least.",
                                  "Sort --times and drop repeated ones.")
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

    def frames(self, times_s: ArrayLike | None = None, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Frames at any times.

        Parameters
        ----------
        times_s : array-like (n,), optional
            Seconds from 0 to the clip's duration, in any order, none or some twice; default: the file's frame times.
        size : (int, int), optional
            Another height and width.

        Returns
        -------
        ndarray, (n, H, W) uint8
            In the order of `times_s`.

        Raises
        ------
        TargetError
            When a time lies outside the clip or is no number, or the frames are more than 8 GiB.
        """
        wanted = self._wanted(times_s)
        height, width = check_size(size or self.size)
        if len(wanted) * height * width > MAX_FRAMES_BYTES:
            raise TargetError(f"{len(wanted)} frames of {height}x{width} pixels are more than 8 GiB.",
                              "Give --duration, or read them with `blocks`.")
        out = np.empty((len(wanted), height, width), np.uint8)
        order, done = np.argsort(wanted, kind="stable"), 0
        for block in self.blocks(wanted[order], size):
            out[order[done:done + len(block)]] = block
            done += len(block)
        return out

    def blocks(self, times_s: ArrayLike | None = None,
               size: tuple[int, int] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Frames a bounded number at a time, in the order of `times_s`; parameters and errors as in `frames`.

        Times that go to and fro between segments take long: each change restores a segment anew.
        """
        wanted, shown = self._wanted(times_s), check_size(size or self.size)
        starts = [self.times_s[first] - SAME_TIME_S for first, _ in self._bounds[1:]]
        segments = np.searchsorted(starts, wanted, side="right")
        return self._blocks(wanted, segments, shown)

    def _blocks(self, wanted: Array, segments: NDArray[np.intp],
                size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """Blocks of frames of which each lies in one segment, or between it and the next."""
        step = frames_at_a_time(size)
        changes = [0, *(np.flatnonzero(np.diff(segments)) + 1), len(wanted)]
        for first, stop in pairwise(changes):
            for start in range(first, stop, step):
                yield to_uint8(self._render(int(segments[first]), wanted[start:min(start + step, stop)], size))

    def _render(self, index: int, wanted: Array, size: tuple[int, int]) -> NDArray[np.float32]:
        """Frames (n, H, W) of times (n,) from segment `index` up to the next one's first frame."""
        stop = self._bounds[index][1]
        frames = self._frames_at(index, wanted, size)
        after = np.flatnonzero(wanted > self.times_s[stop - 1] + SAME_TIME_S)
        if len(after) and index + 1 < len(self._bounds):
            self._blend(frames, after, wanted, index, size)
        return frames

    def _frames_at(self, index: int, wanted: Array, size: tuple[int, int]) -> NDArray[np.float32]:
        """Frames (n, H, W) of times (n,) by segment `index` alone, its ends held before and behind it."""
        first, stop = self._bounds[index]
        film = self.film(index)
        if film is not None:
            return resized(film.at(positions_at(self.times_s[first:stop], wanted)), size)
        segment = self.segment(index)
        return self.decoder.render(segment, coeffs_at(segment.coeffs, self.times_s[first:stop], wanted), size)

    def _blend(self, frames: NDArray[np.float32], after: NDArray[np.intp], wanted: Array, index: int,
               size: tuple[int, int]) -> None:
        """Between two segments: a straight blend of the last frame of one and the first of the next, in place."""
        stop = self._bounds[index][1]
        target = self._frames_at(index + 1, self.times_s[stop:stop + 1], size)
        gap = self.times_s[stop] - self.times_s[stop - 1]
        weight = ((wanted[after] - self.times_s[stop - 1]) / gap).astype(np.float32)[:, None, None]
        frames[after] = (1 - weight) * frames[after] + weight * target

    @cached_property
    def _timing(self) -> Clip:
        """A clip of the same times, for the definitions of rate and duration."""
        return Clip(np.broadcast_to(np.uint8(0), (len(self.times_s), 1, 1)), self.times_s)

    def _wanted(self, times_s: ArrayLike | None) -> Array:
        if times_s is None:
            return self.times_s
        return self._check_times(times_s) if np.size(times_s) else np.empty(0)

    def _check_times(self, times_s: ArrayLike) -> Array:
        """Times (n,) as float64, one at least, all within the clip."""
        try:
            wanted = np.asarray(times_s, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TargetError(f"times must be numbers of seconds ({error}).", "Correct --times.") from error
        if wanted.ndim != 1 or not len(wanted) or not np.isfinite(wanted).all() or (
                wanted.min() < -SAME_TIME_S or wanted.max() > self.duration_s + SAME_TIME_S):
            raise TargetError(f"times must lie between 0 and {self.duration_s:.3f} s.", "Correct --times.")
        return wanted


def open(source: str | PathLike[str] | bytes, *, pack: str | PathLike[str] | None = None, device: str = "auto",
         rank: int | None = None, partial: bool = False, max_bytes: int | None = None) -> LrmFile:
    """Open a .lrm file by path or bytes for reading at any times.

    A .lrm file inside a DICOM file, as 'lrmcodec wrap' makes it, is opened as well. `pack` is a folder to look in for
    its decoder, besides the shipped ones; `device`, `rank` and `partial` as in `LrmFile`. With `max_bytes` the file is
    taken as cut off after so many.

    Raises
    ------
    ClipError
        When the file cannot be read.
    FormatError
        When it is damaged. Packs and devices are looked for when frames or coefficients are.
    TargetError
        When the file has no such rank.
    """
    data = unwrapped(source if isinstance(source, bytes) else read_bytes(Path(source)))
    return LrmFile(data if max_bytes is None else data[:max_bytes], pack=pack, device=device, rank=rank,
                   partial=partial or max_bytes is not None)


def read_bytes(path: Path) -> bytes:
    """Bytes of a file; a ClipError that says why when it cannot be read."""
    try:
        if path.is_char_device() or path.is_block_device():
            raise ClipError(f"{path} is a device, not a file.", "Name a .lrm file.")
        with path.open("rb") as file:
            head = file.read(132)
            ours = head.startswith(MAGIC) or head[128:] == b"DICM"
            return head + file.read() if ours else head  # other files may be large
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
