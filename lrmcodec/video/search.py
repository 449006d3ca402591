"""Search of a video segment's settings for a target: the finest that fits a size, the coarsest that is good enough.

Bytes fall with the encoder's index (crf) along a nearly straight line of logarithms, so that a secant from one trial
lands close. Where the index grows coarse, every second, fourth ... frame with blending between may serve better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics
from lrmcodec.formats.av1_video import CRF_STEP, MAX_CRF, Quality
from lrmcodec.video.payload import code_lossy, group_of, open_segment

FIRST_CRF = 40.0
LEAST_CRF = 4.0
LOG_BYTES_PER_CRF = 0.085
"""Usual slope: 0.076 on a lung clip and 0.101 on a heart between 30 and 45."""

CLOSE = 0.97
"""Share of a size from which a trial counts as close enough."""

DB_PER_CRF, SPARE_DB = 0.4, 0.05
"""Usual slope of the quality, and by how much a target of quality may be passed."""

COARSE_CRF = 46.0
"""Above it every second frame is tried too."""

STEPS = (1, 2, 4, 8, 16)
QUICK_PRESET = 9
QUICK_LOSS_DB, QUICK_BYTES, QUICK_CRF = 1.4, 0.7, 2.0
"""What a slow preset is better by at most, in dB at equal bytes and in bytes at equal dB, and how much finer it can be.

Presets 8 and 2 were 0.83 dB apart on a lung clip and 0.93 on a heart.
"""

PRESETS = ((6e6, 2), (2e7, 4), (1e8, 6), (math.inf, 7))
"""SVT-AV1 preset up to so many pixels a segment: the slowest that takes about a second or two a trial."""

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoTrial:
    """One coding of a segment: its payload, the settings that gave it, and the quality of what it decodes to."""

    payload: bytes
    every: int
    crf: float
    psnr_db: float


class VideoSearch:
    """Trials of one segment, each coded once.

    Parameters
    ----------
    frames : ndarray, (T, H, W) uint8
    tried : callable
        Called before every trial.
    """

    def __init__(self, frames: Frames, *, tried: Callable[[], None] = lambda: None) -> None:
        self._frames, self._tried = frames, tried
        self._trials: dict[tuple[int, int, float], VideoTrial] = {}

    def within(self, size_bytes: int, *, better_than_db: float = -math.inf) -> VideoTrial | None:
        """Best trial of at most `size_bytes`, by PSNR; None when there is none, or surely none of so many dB."""
        def solve(preset: int, every: int, guess: float) -> VideoTrial | None:
            return self._solve(preset, every, guess, lambda trial: math.log(len(trial.payload) / size_bytes),
                               1 / LOG_BYTES_PER_CRF, -math.log(CLOSE))

        quick = self._quickly(solve, lambda trial: trial.psnr_db)
        if quick is None or quick.psnr_db + QUICK_LOSS_DB < better_than_db:
            return None
        return solve(preset_for(self._frames.size), quick.every, quick.crf - QUICK_CRF)

    def reaching(self, psnr_db: float, *, smaller_than: float = math.inf) -> VideoTrial | None:
        """Smallest trial of at least `psnr_db`; None when there is none, or surely none smaller than so many bytes."""
        def solve(preset: int, every: int, guess: float) -> VideoTrial | None:
            return self._solve(preset, every, guess, lambda trial: trial.psnr_db - psnr_db, 1 / DB_PER_CRF, SPARE_DB,
                               finer_is_met=True)

        quick = self._quickly(solve, lambda trial: -len(trial.payload))
        if quick is None or len(quick.payload) * QUICK_BYTES > smaller_than:
            return None
        return solve(preset_for(self._frames.size), quick.every, quick.crf)

    def _quickly(self, solve: Callable[[int, int, float], VideoTrial | None],
                 score: Callable[[VideoTrial], float]) -> VideoTrial | None:
        """Step between coded frames and index, by a fast preset; larger steps as long as they are better."""
        best, crf = None, FIRST_CRF
        for every in STEPS:
            if every > 1 and every >= len(self._frames):
                break
            found = solve(QUICK_PRESET, every, crf)
            if best is not None and (found is None or score(found) < score(best)):
                break
            best = found if found is not None else best
            if found is not None and found.crf < COARSE_CRF:
                break
            crf = MAX_CRF if found is None else found.crf - math.log(2) / LOG_BYTES_PER_CRF / 2
        return best

    def _solve(self, preset: int, every: int, guess: float, excess: Callable[[VideoTrial], float], crf_per_unit: float,
               slack: float, *, finer_is_met: bool = False) -> VideoTrial | None:
        """Trial nearest to where `excess`, which falls with the index, passes 0, on the side that meets the target.

        That side is below 0, or above for `finer_is_met`; a trial within `slack` of 0 there ends the search. Places are
        guessed by the usual slope from one trial, by the line between the bracket's ends from two.
        """
        low, high = (LEAST_CRF - CRF_STEP, math.inf), (MAX_CRF + CRF_STEP, -math.inf)  # index and excess of either end
        best: VideoTrial | None = None
        crf = guess
        while high[0] - low[0] > CRF_STEP:
            crf = _on_grid(crf, low[0], high[0])
            trial = self._trial(preset, every, crf)
            value = excess(trial)
            is_met = (value >= 0) if finer_is_met else (value <= 0)
            best = trial if is_met else best
            if is_met and abs(value) <= slack:
                break
            low, high = ((crf, value), high) if value > 0 else (low, (crf, value))
            crf = _between(low, high, crf_per_unit)
        return best

    def _trial(self, preset: int, every: int, crf: float) -> VideoTrial:
        key = preset, every, crf
        if key not in self._trials:
            self._tried()
            count, size = len(self._frames), (self._frames.shape[1], self._frames.shape[2])
            payload = code_lossy(self._frames, Quality(crf, preset), every=every,
                                 group=group_of(size, count, every))
            decoded = open_segment(payload, count, size).frames(0, count)
            self._trials[key] = VideoTrial(payload, every, crf, metrics.psnr_db(self._frames, decoded))
        return self._trials[key]


def preset_for(pixels: int) -> int:
    """SVT-AV1 preset for a segment of so many pixels."""
    return next(preset for limit, preset in PRESETS if pixels <= limit)


def _between(low: tuple[float, float], high: tuple[float, float], crf_per_unit: float) -> float:
    """Index at which the excess should be 0, aimed a little to the coarser side."""
    if math.isinf(high[1]):
        return low[0] + low[1] * crf_per_unit + CRF_STEP
    if math.isinf(low[1]):
        return high[0] + high[1] * crf_per_unit
    return low[0] + (high[0] - low[0]) * low[1] / (low[1] - high[1]) + CRF_STEP / 2


def _on_grid(crf: float, low: float, high: float) -> float:
    """Nearest index of the encoder strictly between two others; their middle where `crf` lies outside."""
    if not low < crf < high:
        crf = (low + high) / 2
    return min(max(round(crf / CRF_STEP) * CRF_STEP, low + CRF_STEP), high - CRF_STEP)
