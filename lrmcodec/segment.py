"""Encoding of one segment: frames are fitted once, then coded by one tool or both until the target is met.

frames --decoder.fit--> fitted --rate.Search over decoder.code--> components --direction--> with its phase
                               `--tools: video.VideoCoder-------> components /

Both tools run beside each other where threads allow it; a sketch of each shows which of them need be finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.cardiac.direction import find_direction, payload_bytes
from lrmcodec.decoders.base import Components, Decoder, FittedSegment, Progress
from lrmcodec.formats.container import CodedSegment, Component
from lrmcodec.formats.errors import TargetError
from lrmcodec.rate import RANKS, Likeness, Search, Setting, Target, Trial, likeness
from lrmcodec.restored import rendered, restore_coeffs
from lrmcodec.sample import sampled
from lrmcodec.tools import Tools

MAX_SEARCH_RANK, MAX_FIT_VALUES = 128, 1 << 26
"""Largest rank that is searched, and pixels of all basis pictures together."""

PROBE_FRAMES = 32
ALTERNATIVE_FROM = VIDEO_FROM = 0.8  # of the time, for the progress shown
FIT_SHARE = 0.1  # of the time, for the progress shown
USUAL_TRIES = 24

Frames = NDArray[np.uint8]
PhaseBytes = Callable[[int], int]
"""Bytes kept free at a rank for the direction of the cardiac phase."""


@dataclass(frozen=True)
class SegmentCoder:
    """How the segments of a file are coded.

    Attributes
    ----------
    decoder : Decoder
    rank : int or None
        The one asked for; None: the best is searched.
    seed : int
        Of whatever the fit draws at random.
    phase : bool
        Whether a direction of the cardiac phase is stored where a heart is seen to beat.
    tools : Tools
        What may code them.
    """

    decoder: Decoder
    rank: int | None
    seed: int
    phase: bool
    tools: Tools

    def code(self, frames: Frames, times_s: NDArray[np.float64], target: Target,
             progress: Progress) -> tuple[CodedSegment, float]:
        """Code frames (T, H, W) at times (T,); returns the segment and the seconds that fitting took.

        Raises
        ------
        TargetError
            When the rank is out of its limits or the target cannot be met.
        """
        limit = self.max_rank(frames.shape)
        began = time.perf_counter()
        fitted = self.decoder.fit(frames, limit, self.seed, part_progress(progress, 0, FIT_SHARE))
        fit_seconds = time.perf_counter() - began
        cavity = find_cavity(frames, times_s) if self.phase else None
        coded = self._coded(fitted, target, payload_bytes if cavity is not None else _no_bytes, progress)
        return (coded if cavity is None else _with_phase(self.decoder, coded, cavity, frames, times_s)), fit_seconds

    def _coded(self, fitted: FittedSegment, target: Target, room: PhaseBytes, progress: Progress) -> CodedSegment:
        if not self.tools.may_be_video(self.rank, self.decoder.arch_id):
            return _LowRank(self.decoder, fitted, room, target, self.rank, progress).finish().coded
        first, rest = part_progress(progress, 0, VIDEO_FROM), part_progress(progress, VIDEO_FROM, 1)
        low_rank = _LowRank(self.decoder, fitted, room, target, None, first)
        return self.tools.code(fitted, room, target, low_rank, rest)

    def max_rank(self, shape: tuple[int, ...]) -> int:
        """Rank to fit frames of `shape` (T, H, W) at; a TargetError where the one asked for is impossible."""
        count, height, width = shape
        limit = self.decoder.rank_limit(count, (height, width))
        if self.rank is None:
            return min(limit, MAX_SEARCH_RANK, max(MAX_FIT_VALUES // (height * width), 1))
        if not 0 <= self.rank <= limit:
            raise TargetError(f"rank {self.rank} cannot be used for {count} frames of {height}x{width} pixels.",
                              f"Give --rank 0 to {limit}.")
        return self.rank


class _LowRank:
    """Low rank on one fitted segment: a sketch by the fast coder, then what the file may hold."""

    def __init__(self, decoder: Decoder, fitted: FittedSegment, room: PhaseBytes, target: Target, rank: int | None,
                 progress: Progress) -> None:
        self._target, self._rank = target, rank
        self._decoder, self._pixels = decoder, fitted.latent.size
        other = decoder.alternative(0)
        share = ALTERNATIVE_FROM if other is not None else 1.0
        part = sampled(fitted) if rank is None else None

        def search(coder: Decoder, told: Progress) -> Search:
            useful = fitted.extra.get("useful_rank", fitted.coeffs.shape[1]) if rank is None else rank
            sketch = None if part is None else _Trials(coder, part[0], room, target, told, part[1])
            stills = coder.alternative(2 * self._pixels) is None  # these have no index below 0
            return Search(_Trials(coder, fitted, room, target, told), min(useful, max(RANKS)),
                          max(coder.min_q, 0) if stills else coder.min_q, sketch)

        self._search = search(decoder, part_progress(progress, 0, share))
        self._other = None if other is None else search(other, part_progress(progress, share, 1))

    @cached_property
    def sketch(self) -> Trial:
        """About what the tool gives; the nearest to the target where it is missed."""
        return self._search.sketch(self._target, self._rank)

    def finish(self) -> Trial:
        """Best trial for the target, by the decoder or by its alternative at the same rank.

        Raises
        ------
        TargetError
            When neither meets it.
        """
        rank, keep = self.sketch.setting.rank, self._rank is not None
        other = self._alternative(rank)
        if other is None:
            return self._search.finish(self._target, rank, keep_rank=keep)
        try:
            found = self._search.finish(self._target, rank, keep_rank=keep)
        except TargetError:
            return other.best(self._target, self._rank)
        try:
            return max(found, other.best(self._target, found.setting.rank), key=self._merit)
        except TargetError:
            return found

    def _merit(self, trial: Trial) -> float:
        """How good a trial is that meets the target; of what a size leaves free nobody has anything."""
        return trial.psnr_db if self._target.size_bytes is not None else trial.worth(self._target)

    def _alternative(self, rank: int) -> Search | None:
        """The search by the decoder's alternative; None where it has none for the pictures of a rank."""
        values = (rank + 1) * self._pixels
        return None if self._decoder.alternative(values) is None else self._other


class _Trials:
    """Codes a fitted segment, or the sample of one, with one setting after another, for `rate.Search`."""

    def __init__(self, decoder: Decoder, fitted: FittedSegment, room: PhaseBytes, target: Target, progress: Progress,
                 share: float = 1.0) -> None:
        self.decoder, self.fitted = decoder, fitted
        self._room, self._progress, self._share = room, progress, share
        self._with_ssim = target.min_ssim is not None
        self._count = 0

    def __call__(self, setting: Setting) -> Trial:
        self._count += 1
        done = min(self._count / USUAL_TRIES, 0.97)
        self._progress(FIT_SHARE + (1 - FIT_SHARE) * done, f"coding at rank {setting.rank}")
        components = dict(self.decoder.code(self.fitted, setting.rank, setting.q, final=setting.final))
        free = self._room(setting.rank)
        if free:
            components[Component.HEART] = bytes(free)  # `_with_phase` fills it
        return Trial(setting, components, lambda: self._likeness(setting, components), self._share)

    def _likeness(self, setting: Setting, components: Components) -> Likeness:
        """Of a coded segment, by PSNR alone on a few frames while searching, on all of them at the end."""
        frames = self.fitted.frames
        count, height, width = frames.shape
        restored = self.decoder.restore(components, count, (height, width), setting.rank, setting.stored_q)
        every = 1 if setting.final or self._with_ssim else max(1, count // PROBE_FRAMES)
        blocks = rendered(self.decoder, restored, restored.coeffs[::every], (height, width))
        return likeness(frames[::every], blocks, with_ssim=self._with_ssim)


def _no_bytes(rank: int) -> int:
    """No room for a phase, where no heart is seen."""
    return 0


def part_progress(progress: Progress, start: float, stop: float) -> Progress:
    """Progress of a part, told as that of the whole, of which it is the share from `start` to `stop`."""
    return lambda fraction, label: progress(start + (stop - start) * fraction, label)


def _with_phase(decoder: Decoder, coded: CodedSegment, cavity: Cavity, frames: Frames,
                times_s: NDArray[np.float64]) -> CodedSegment:
    """The segment with its phase component filled in, of the length that was kept free for it."""
    if Component.HEART not in coded.components:
        return coded
    count, height, width = frames.shape
    coeffs = restore_coeffs(decoder, coded, count, (height, width))
    direction = find_direction(cavity, coeffs, times_s)
    components = {key: value for key, value in coded.components.items() if key != Component.HEART}
    return replace(coded, components=components | ({Component.HEART: direction.pack()} if direction else {}))
