"""Search of a video segment's settings for a target: the finest that fits a size, the coarsest that is good enough.

Where the finest lossy video leaves much of a size, the exact one may fit.

Bytes fall with the encoder's index (crf) along a nearly straight line of logarithms, so that a secant from one trial
lands close. A quick preset goes first; the slow one stays as far from it at one index as at the next, so that the quick
one's trials foretell where its second trial lands. Where the index grows coarse, every second, fourth ... frame with
blending between may serve better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.av1_video import CRF_STEP, MAX_CRF, Quality
from lrmcodec.metrics import MAX_PSNR_DB
from lrmcodec.rate import DB_PER_OCTAVE, Likeness, Target, likeness
from lrmcodec.video.gray_levels import GrayLevels
from lrmcodec.video.payload import code_bounded, code_lossy, group_of, open_segment

FIRST_CRF = 40.0
LEAST_CRF = 1.0
LOG_BYTES_PER_CRF = 0.085
"""Usual slope: 0.076 on a lung clip and 0.101 on a heart between 30 and 45."""

CLOSE = 0.97
"""Share of a size from which a trial counts as close enough."""

DB_PER_CRF, SPARE_DB = 0.35, 0.1
"""Usual slope of the quality, and by how much floors may be passed."""

FORETELLING = 2
"""Quick trials that may be made to foretell where a slow one lands: each takes about a tenth of its time. How far the
presets are apart in bytes changed by 3 % at most over two steps of the index (two lungs, a heart, 40 to 200:1)."""

PROBE_FRAMES, PROBED_FROM = 17, 3
"""Of a clip so many times as long, the first frames tell how far the presets are apart: within 2 % of the bytes on a
heart and two lungs, within 9 % on another, for a third of a slow trial at most."""

LIKELY_DB, LIKELY_DB_PER_OCTAVE = 0.05, 4.5
"""By how much a video of the size wanted may be better than a trial: twice the bytes gave up to 4 dB on lungs at 40:1.
Half the bytes cost DB_PER_OCTAVE at least."""

COARSE_CRF = 46.0
"""Above it every second frame is tried too."""

STEPS = (1, 2, 4, 8, 16)
QUICK_PRESET = 9
PRESETS = ((6e6, 2), (1e8, 3), (math.inf, 4))
"""SVT-AV1 preset up to so many pixels a segment. Preset 3 takes half the time of 2 and loses 0.05 dB at equal bytes, 4
takes a quarter and loses 0.26 (a lung clip of 450x450x60)."""

OUTSIDE = LEAST_CRF - CRF_STEP, MAX_CRF + CRF_STEP
"""Indices just beyond the encoder's."""

Frames = NDArray[np.uint8]
End = tuple[float, float]
"""Of a bracket: an index, and what falls with it and should be 0 (`VideoSearch._excess`)."""


@dataclass(frozen=True)
class VideoTrial:
    """One coding of a segment: its payload, and the settings that gave it.

    How like the frames it is is measured, which means decoding it, the first time it is asked for.
    """

    payload: bytes
    preset: int
    every: int
    crf: float
    measure: Callable[[], Likeness]

    @cached_property
    def likeness(self) -> Likeness:
        """Of the decoded frames to the segment's."""
        return self.measure()

    @property
    def psnr_db(self) -> float:
        """Mean PSNR over frames in dB."""
        return self.likeness.psnr_db


class VideoSearch:
    """Trials of one segment, each coded once.

    Parameters
    ----------
    frames : ndarray, (T, H, W) uint8
    target : Target
        A size of the payload, or floors of quality.
    tried : callable
        Called before every trial.
    levels : GrayLevels, optional
        Code the frames as numbers of these, in which they are.
    """

    def __init__(self, frames: Frames, target: Target, *, tried: Callable[[], None] = lambda: None,
                 levels: GrayLevels | None = None) -> None:
        self._frames, self._target, self._tried, self._levels = frames, target, tried, levels
        self._coded = frames if levels is None else levels.numbers(frames)
        self._trials: dict[tuple[int, int, float], VideoTrial] = {}
        self._usual = 1 / DB_PER_CRF if target.has_floors else 1 / LOG_BYTES_PER_CRF
        self._aim = SPARE_DB / 2 if target.has_floors else math.log(CLOSE) / 2

    @cached_property
    def quick(self) -> VideoTrial | None:
        """Best trial of a fast preset that meets the target; larger steps between frames as long as they are better."""
        best, crf = None, FIRST_CRF
        for every in STEPS:
            if every > 1 and every >= len(self._frames):
                break
            found = self._solve(QUICK_PRESET, every, crf, self._line)
            if best is not None and (found is None or self._score(found) < self._score(best)):
                break
            best = found if found is not None else best
            if found is not None and found.crf < COARSE_CRF:
                break
            crf = MAX_CRF if found is None else found.crf - math.log(2) / LOG_BYTES_PER_CRF / 2
        return best

    def finish(self, rival_db: Callable[[], float] | None = None) -> VideoTrial | None:
        """Best trial of the slow preset that meets the target, or no loss where it fits; None where nothing does.

        `rival_db`, where there is a rival, says what PSNR at the size another tool reaches: once it is plain that no
        video will, the search ends early, with a trial that lies below or None.
        """
        quick = self.quick
        if quick is None:
            return None
        preset = preset_for(self._frames.size)
        guess = self._probed(quick, preset) if rival_db is None else quick.crf
        found = self._solve(preset, quick.every, guess, self._foretold, rival_db)
        return self._exact() or found if found is not None and self._leaves_much(found) else found

    def _leaves_much(self, trial: VideoTrial) -> bool:
        """Whether a trial is the finest there is, and much smaller than it may be."""
        size = self._target.size_bytes
        return size is not None and trial.crf == LEAST_CRF and len(trial.payload) < CLOSE * size

    def _exact(self) -> VideoTrial | None:
        """The segment without loss; None where that is too large."""
        self._tried()
        count, size = len(self._frames), (self._frames.shape[1], self._frames.shape[2])
        preset = preset_for(self._frames.size)
        payload = code_bounded(self._frames, 0, preset=preset, group=group_of(size, count, 1))
        if len(payload) > (self._target.size_bytes or 0):
            return None
        return VideoTrial(payload, preset, 1, 0.0, lambda: Likeness(MAX_PSNR_DB, 1.0))

    def _score(self, trial: VideoTrial) -> float:
        return -len(trial.payload) if self._target.has_floors else trial.psnr_db

    def _excess(self, trial: VideoTrial) -> float:
        """What falls with the index and should be 0: dB above the floors, or the logarithm of bytes over the size."""
        if self._target.size_bytes is None:
            return self._target.spare_db(trial.likeness)
        return math.log(len(trial.payload) / self._target.size_bytes)

    def _line(self, trial: VideoTrial, low: End, high: End) -> float:
        """Index to try after `trial`: on the line between the bracket's ends, or else through the last two trials.

        After the first one by the usual slope.
        """
        known = self._known(trial.preset, trial.every)
        if len(known) > 1 and (math.isinf(low[1]) or math.isinf(high[1])):
            return _onward(known[-2], known[-1], self._aim)
        return _between(low, high, self._usual, self._aim)

    def _foretold(self, trial: VideoTrial, low: End, high: End) -> float:
        """Index to try after `trial`, of a slow preset: where the quick one is as far from the aim as it was there.

        From the second trial on their own line says so.
        """
        if len(self._known(trial.preset, trial.every)) > 1:
            return self._line(trial, low, high)
        quick = self._trial(QUICK_PRESET, trial.every, trial.crf)
        return self._quick_reaching(trial.every, self._aim + self._excess(quick) - self._excess(trial))

    def _probed(self, quick: VideoTrial, preset: int) -> float:
        """Index to try first with a slow preset: by how far it is from the quick one on the first frames."""
        count = PROBE_FRAMES * quick.every
        if self._target.size_bytes is None or len(self._coded) < PROBED_FROM * count:
            return quick.crf
        self._tried()
        sizes = [len(code_lossy(self._coded[:count], Quality(quick.crf, kind), every=quick.every, group=PROBE_FRAMES))
                 for kind in (QUICK_PRESET, preset)]
        return self._quick_reaching(quick.every, self._aim + math.log(sizes[0] / sizes[1]))

    def _quick_reaching(self, every: int, goal: float) -> float:
        """Index at which the quick preset's excess is `goal`, after a few more trials of it."""
        for _ in range(FORETELLING):
            self._trial(QUICK_PRESET, every, _on_grid(self._quick_index(every, goal), *OUTSIDE))
        return self._quick_index(every, goal)

    def _known(self, preset: int, every: int) -> list[End]:
        """Index and excess of a preset's trials, in the order in which they were made."""
        return [(trial.crf, self._excess(trial)) for trial in self._trials.values()
                if (trial.preset, trial.every) == (preset, every)]

    def _quick_index(self, every: int, goal: float) -> float:
        """Index at which the quick preset's excess is `goal`, as its trials tell."""
        known = self._known(QUICK_PRESET, every)
        low = max((end for end in known if end[1] > goal), default=(OUTSIDE[0], math.inf))
        high = min((end for end in known if end[1] <= goal), default=(OUTSIDE[1], -math.inf))
        return _between(low, high, self._usual, goal)

    def _is_beaten(self, trial: VideoTrial, rival_db: Callable[[], float] | None) -> bool:
        """Whether a trial near a size shows that a rival does better there, for which it waits."""
        if self._target.size_bytes is None or rival_db is None or math.isinf(rival_db()):
            return False
        octaves = math.log2(self._target.size_bytes / len(trial.payload))
        most = LIKELY_DB + octaves * (LIKELY_DB_PER_OCTAVE if octaves > 0 else DB_PER_OCTAVE)
        return trial.psnr_db + most < rival_db()

    def _solve(self, preset: int, every: int, guess: float, following: Callable[[VideoTrial, End, End], float],
               rival_db: Callable[[], float] | None = None) -> VideoTrial | None:
        """Trial nearest to where the excess passes 0, on the side that meets the target.

        A trial close to 0 there ends the search, and one that a rival beats (see `finish`). `following` says, from the
        last trial and the bracket's ends, where to look next.
        """
        has_floors = self._target.has_floors
        slack = SPARE_DB if has_floors else -math.log(CLOSE)
        low, high = (OUTSIDE[0], math.inf), (OUTSIDE[1], -math.inf)
        best: VideoTrial | None = None
        crf = guess
        while high[0] - low[0] > CRF_STEP:
            crf = _on_grid(crf, low[0], high[0])
            trial = self._trial(preset, every, crf)
            value = self._excess(trial)
            is_met = (value >= 0) if has_floors else (value <= 0)
            best = trial if is_met else best
            if (is_met and abs(value) <= slack) or self._is_beaten(trial, rival_db):
                break
            low, high = ((crf, value), high) if value > 0 else (low, (crf, value))
            crf = following(trial, low, high)
        return best

    def _trial(self, preset: int, every: int, crf: float) -> VideoTrial:
        key = preset, every, crf
        if key not in self._trials:
            self._tried()
            count, size = len(self._frames), (self._frames.shape[1], self._frames.shape[2])
            payload = code_lossy(self._coded, Quality(crf, preset), every=every, group=group_of(size, count, every),
                                 levels=self._levels)
            self._trials[key] = VideoTrial(payload, preset, every, crf, lambda: self._likeness(payload))
        return self._trials[key]

    def _likeness(self, payload: bytes) -> Likeness:
        count, height, width = self._frames.shape
        return likeness(self._frames, open_segment(payload, count, (height, width)).blocks(),
                        with_ssim=self._target.min_ssim is not None)


def preset_for(pixels: int) -> int:
    """SVT-AV1 preset for a segment of so many pixels."""
    return next(preset for limit, preset in PRESETS if pixels <= limit)


def _between(low: End, high: End, crf_per_unit: float, aim: float) -> float:
    """Index at which the excess should be `aim`."""
    if math.isinf(high[1]):
        return low[0] + (low[1] - aim) * crf_per_unit
    if math.isinf(low[1]):
        return high[0] + (high[1] - aim) * crf_per_unit
    return low[0] + (high[0] - low[0]) * (low[1] - aim) / (low[1] - high[1])


def _onward(one: End, other: End, aim: float) -> float:
    """Index at which the line through two trials reaches `aim`; outside of all where it never does."""
    fall = (one[1] - other[1]) / (other[0] - one[0])
    return other[0] + (other[1] - aim) / fall if fall > 0 else math.inf


def _on_grid(crf: float, low: float, high: float) -> float:
    """Nearest index of the encoder strictly between two others; their middle where `crf` lies outside."""
    if not low < crf < high:
        crf = (low + high) / 2
    return min(max(round(crf / CRF_STEP) * CRF_STEP, low + CRF_STEP), high - CRF_STEP)
