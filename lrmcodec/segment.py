"""Encoding of one segment: frames are fitted once, then coded by one tool or both until the target is met.

frames --decoder.fit--> fitted --rate.Search over decoder.code--> components --direction--> with its phase
                               `--tools: video.VideoCoder-------> components /
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics
from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.cardiac.direction import find_direction, payload_bytes
from lrmcodec.decoders.base import Components, Decoder, FittedSegment, Progress
from lrmcodec.formats.container import CodedSegment, Component
from lrmcodec.formats.errors import TargetError
from lrmcodec.rate import RANKS, Search, Setting, Target, Trial
from lrmcodec.restored import rendered, restore_coeffs
from lrmcodec.tools import Tools

MAX_SEARCH_RANK = 128
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
            return self._best(fitted, target, room, progress).coded
        first, rest = part_progress(progress, 0, VIDEO_FROM), part_progress(progress, VIDEO_FROM, 1)
        return self.tools.code(fitted, room, target, lambda: self._best(fitted, target, room, first), rest)

    def _best(self, fitted: FittedSegment, target: Target, room: PhaseBytes, progress: Progress) -> Trial:
        """Best trial for the target, by the decoder or by its alternative at the same rank."""
        alternative = self.decoder.alternative
        if alternative is None:
            return _search(_Trials(self.decoder, fitted, room, progress), target, self.rank)
        first = _Trials(self.decoder, fitted, room, part_progress(progress, 0, ALTERNATIVE_FROM))
        other = _Trials(alternative, fitted, room, part_progress(progress, ALTERNATIVE_FROM, 1))
        try:
            found = _search(first, target, self.rank)
        except TargetError:
            return _search(other, target, self.rank)
        try:
            return max(found, _search(other, target, found.setting.rank), key=lambda trial: trial.worth(target))
        except TargetError:
            return found

    def max_rank(self, shape: tuple[int, ...]) -> int:
        """Rank to fit frames of `shape` (T, H, W) at; a TargetError where the one asked for is impossible."""
        count, height, width = shape
        limit = self.decoder.rank_limit(count, (height, width))
        if self.rank is None:
            return min(limit, MAX_SEARCH_RANK)
        if not 0 <= self.rank <= limit:
            raise TargetError(f"rank {self.rank} cannot be used for {count} frames of {height}x{width} pixels.",
                              f"Give --rank 0 to {limit}.")
        return self.rank


class _Trials:
    """Codes a fitted segment with one setting after another, for `rate.Search`."""

    def __init__(self, decoder: Decoder, fitted: FittedSegment, room: PhaseBytes, progress: Progress) -> None:
        self.decoder, self.fitted = decoder, fitted
        self._room, self._progress = room, progress
        self._count = 0

    def __call__(self, setting: Setting) -> Trial:
        self._count += 1
        done = min(self._count / USUAL_TRIES, 0.97)
        self._progress(FIT_SHARE + (1 - FIT_SHARE) * done, f"coding at rank {setting.rank}")
        components = dict(self.decoder.code(self.fitted, setting.rank, setting.q, final=setting.final))
        free = self._room(setting.rank)
        if free:
            components[Component.VENTRICLE] = bytes(free)  # `_with_phase` fills it
        return Trial(setting, components, self._measured(setting, components))

    def _measured(self, setting: Setting, components: Components) -> Callable[[], float]:
        return lambda: _mean_psnr_db(self.decoder, self.fitted.frames, setting, components)


def _no_bytes(rank: int) -> int:
    """No room for a phase, where no heart is seen."""
    return 0


def _search(trials: _Trials, target: Target, rank: int | None) -> Trial:
    useful = trials.fitted.extra.get("useful_rank", trials.fitted.coeffs.shape[1]) if rank is None else rank
    return Search(trials, min(useful, max(RANKS)), trials.decoder.min_q).best(target, rank)


def part_progress(progress: Progress, start: float, stop: float) -> Progress:
    """Progress of a part, told as that of the whole, of which it is the share from `start` to `stop`."""
    return lambda fraction, label: progress(start + (stop - start) * fraction, label)


def _mean_psnr_db(decoder: Decoder, frames: Frames, setting: Setting, components: Components) -> float:
    """Mean PSNR of a coded segment in dB, on a few frames while searching, on all of them at the end."""
    count, *size = frames.shape
    restored = decoder.restore(components, count, (size[0], size[1]), setting.rank, setting.q)
    every = 1 if setting.final else max(1, count // PROBE_FRAMES)
    picked, done, total = frames[::every], 0, 0.0
    for block in rendered(decoder, restored, restored.coeffs[::every], (size[0], size[1])):
        total += float(metrics.frame_psnr_db(picked[done:done + len(block)], block).sum())
        done += len(block)
    return total / len(picked)


def _with_phase(decoder: Decoder, coded: CodedSegment, cavity: Cavity, frames: Frames,
                times_s: NDArray[np.float64]) -> CodedSegment:
    """The segment with its phase component filled in, of the length that was kept free for it."""
    if Component.VENTRICLE not in coded.components:
        return coded
    count, height, width = frames.shape
    coeffs = restore_coeffs(decoder, coded, count, (height, width))
    direction = find_direction(cavity, coeffs, times_s)
    components = {key: value for key, value in coded.components.items() if key != Component.VENTRICLE}
    return replace(coded, components=components | ({Component.VENTRICLE: direction.pack()} if direction else {}))
