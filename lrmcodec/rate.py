"""Search of rank and quantizer index for a target, on one segment.

Ranks are explored by hill climbing with the decoder's fast coder, on a sample of large pictures (the sketch); the
chosen rank's index is settled with the final coder, so what was measured is what the file holds. Sizes come first and
qualities only when asked for, because rendering may be slow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics
from lrmcodec.decoders.base import Components
from lrmcodec.formats.container import MAX_FILE_BYTES, Q_STEPS, CodedSegment, Component, segment_bytes
from lrmcodec.formats.errors import TargetError
from lrmcodec.quantize import MAX_Q

RANKS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LEVELS = {"preview": 40.0, "review": 70.0, "diagnostic": 90.0}
"""Names of qualities."""

DEFAULT_QUALITY = LEVELS["review"]
SSIM_FLOORS = ((0, 40, 70, 90, 100), (0.50, 0.80, 0.90, 0.95, 0.99))
PSNR_FLOORS = ((0, 40, 70, 90, 100), (18.0, 26.0, 30.0, 33.0, 40.0))
"""Qualities and the least SSIM3D and PSNR in dB that they promise; straight lines between."""

FIRST_RANK = 8
FIRST_Q = 100
LOG_BYTES_PER_Q = 0.02  # bytes fall by about 2 % a step
WITHIN = 0.97  # a size target counts as met from this share of it upward
FILLED = 0.997  # from this share upward nothing more is tried
AIM = 0.9985  # share of a size that a next try is meant to take
LINES = 7  # after so many tries along lines, halving
CLOSE = 0.94  # share of a size target that is close enough while ranks are compared
DB_PER_OCTAVE = 1.5  # usual gain from twice the bytes, to compare sizes that differ by a few percent
SLOPE_Q = 8  # distance over which the exchange of bytes for quality is measured
DB_PER_Q = 0.04  # usual slope of the quality
SPARE_DB, ROUGH_SPARE_DB = 0.05, 0.15  # by how much floors may be passed, and while searching
MAX_SSIM_DB = 60.0
RAISE_DB = 0.01
SECANTS = 6  # after so many tries along lines, halving


@dataclass(frozen=True)
class Setting:
    """One way to code a segment: rank, quantizer index (in sixteenths), final or fast coder.

    Indices below 0 are coded at 0, with bits that are worth less; see `decoders.base.Decoder.min_q`.
    """

    rank: int
    q: float
    final: bool = False

    @property
    def stored_q(self) -> float:
        """The index that a file names."""
        return max(self.q, 0)


class Likeness(NamedTuple):
    """Mean PSNR over frames in dB, and SSIM3D, nan where no target asks for it."""

    psnr_db: float
    ssim3d: float = math.nan


def likeness(frames: NDArray[np.uint8], decoded: Iterable[NDArray[np.uint8]], *, with_ssim: bool) -> Likeness:
    """How like frames (T, H, W) decoded ones are that come a block at a time."""
    if with_ssim:
        found = metrics.compare(frames, decoded)
        return Likeness(found.psnr_db, found.ssim3d)
    total, done = 0.0, 0
    for block in decoded:
        total += float(metrics.frame_psnr_db(frames[done:done + len(block)], block).sum())
        done += len(block)
    return Likeness(total / len(frames))


@dataclass(frozen=True)
class Trial:
    """What a setting gave; how like the frames it is is measured the first time it is asked for.

    `share` of the segment's pixels were coded, and pictures count as so many times larger.
    """

    setting: Setting
    components: Components
    measure: Callable[[], Likeness]
    share: float = 1.0

    def worth(self, target: Target) -> float:
        """How well the trial does at the target, higher is better: minus log bytes at floors, else dB at a size."""
        octaves = math.log2(self.size_bytes)
        return -octaves if target.has_floors else self.psnr_db - DB_PER_OCTAVE * octaves

    @cached_property
    def size_bytes(self) -> int:
        """Bytes that the segment adds to the file, its directory entry included."""
        return segment_bytes(self.coded) + round(self._picture_bytes * (1 / self.share - 1))

    @property
    def _picture_bytes(self) -> int:
        return sum(len(self.components.get(kind, b"")) for kind in (Component.PICTURES, Component.WAVELETS))

    @property
    def coded(self) -> CodedSegment:
        """The segment as a file stores it."""
        return CodedSegment(self.setting.rank, self.setting.stored_q, self.components)

    @cached_property
    def likeness(self) -> Likeness:
        """Of the decoded frames to the segment's."""
        return self.measure()

    @property
    def psnr_db(self) -> float:
        """Mean PSNR over frames in dB."""
        return self.likeness.psnr_db


@dataclass(frozen=True)
class Target:
    """Of a file or a segment: at most `size_bytes`; or floors, `psnr_db`, `min_ssim` or both; or the index `q`."""

    size_bytes: int | None = None
    psnr_db: float | None = None
    q: int | None = None
    min_ssim: float | None = None

    @property
    def has_floors(self) -> bool:
        """Whether the smallest coding that is like enough is wanted."""
        return self.psnr_db is not None or self.min_ssim is not None

    def spare_db(self, found: Likeness) -> float:
        """By how many dB the floors are passed, below 0 where one is not met.

        SSIM counts in decibels of its distance from 1, which run about as those of PSNR do.
        """
        over = [] if self.psnr_db is None else [found.psnr_db - self.psnr_db]
        if self.min_ssim is not None:
            over.append(ssim_db(found.ssim3d) - ssim_db(self.min_ssim))
        return min(over)

    def missing_db(self, found: Likeness) -> float:
        """By how many dB the floors are missed; 0 where they are kept or there are none."""
        return max(-self.spare_db(found), 0.0) if self.has_floors else 0.0

    def raised(self, by_db: float) -> Target:
        """Floors that are higher by a little more than so many dB."""
        more = by_db + RAISE_DB
        ssim = None if self.min_ssim is None else 1 - (1 - self.min_ssim) * 10 ** (-more / 10)
        return replace(self, psnr_db=None if self.psnr_db is None else self.psnr_db + more, min_ssim=ssim)

    def of_part(self, parts: Sequence[int], index: int, used: int) -> Target:
        """Target of part `index` of a file whose parts have these lengths, when `used` bytes are taken already."""
        if self.size_bytes is None:
            return self
        return replace(self, size_bytes=max(share(self.size_bytes, parts, index, used), 1))

    @property
    def words(self) -> str:
        """The floors, for people."""
        named = ((self.psnr_db, "{:g} dB"), (self.min_ssim, "an SSIM3D of {:g}"))
        return " and ".join(form.format(value) for value, form in named if value is not None)


def ssim_db(ssim: float) -> float:
    """SSIM in decibels of its distance from 1; at most 60."""
    return -10 * math.log10(max(1 - ssim, 10 ** (-MAX_SSIM_DB / 10)))


def read_target(raw_bytes: int, ratio: float | None, size_bytes: int | None, psnr_db: float | None,
                quality: float | str | None, min_ssim: float | None = None, *, promised: bool = True) -> Target:
    """Target of a whole file of `raw_bytes` pixels, from what a user asks for; see `lrmcodec.encode`.

    A quality is its floors where they are `promised`, else a quantizer index.

    Raises
    ------
    TargetError
        When more than one is given, or one makes no sense.
    """
    if sum(value is not None for value in (ratio, size_bytes, psnr_db, quality)) > 1:
        raise TargetError("more than one target is given.", "Give one of ratio, size, PSNR and quality.")
    if min_ssim is not None and (ratio is not None or size_bytes is not None or quality is not None):
        raise TargetError("a least SSIM3D goes with a PSNR or alone.", "Leave the other target out.")
    for name, value in (("ratio", ratio), ("size", size_bytes), ("PSNR", psnr_db)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise TargetError(f"a {name} of {value} is not a positive number.")
    if isinstance(quality, str):
        quality = level(quality)
    if quality is not None and not 0 <= quality <= 100:
        raise TargetError(f"quality {quality:g} is outside 0 to 100.")
    if min_ssim is not None and not 0 < min_ssim < 1:
        raise TargetError(f"a least SSIM3D of {min_ssim:g} is not between 0 and 1.")
    if psnr_db is not None or min_ssim is not None:
        return Target(psnr_db=psnr_db, min_ssim=min_ssim)
    if ratio is not None or size_bytes is not None:
        return Target(size_bytes=int(min(raw_bytes / ratio, MAX_FILE_BYTES)) if ratio is not None else size_bytes)
    asked = DEFAULT_QUALITY if quality is None else quality
    return floors(asked) if promised else Target(q=quality_to_q(asked))


def level(name: str) -> float:
    """The quality of a named level.

    Raises
    ------
    TargetError
    """
    if name not in LEVELS:
        raise TargetError(f"there is no quality '{name}'.", f"Give 0 to 100, or one of {', '.join(LEVELS)}.")
    return LEVELS[name]


def floors(quality: float) -> Target:
    """The floors that a quality from 0 to 100 promises."""
    return Target(psnr_db=float(np.interp(quality, *PSNR_FLOORS)), min_ssim=float(np.interp(quality, *SSIM_FLOORS)))


def quality_to_q(quality: float) -> int:
    """Quantizer index of a quality from 0 (index 255) to 100 (index 0), linear, where nothing is promised."""
    return round(MAX_Q * (1 - quality / 100))


class Search:
    """Finds the best trial of one segment for a target.

    Parameters
    ----------
    run : callable
        Codes the segment with a setting.
    rank_limit : int
        Largest rank allowed.
    min_q : int
        Finest quantizer index.
    sampled : callable, optional
        Codes a sample of the segment's pixels, for the sketch of large ones; a final coding is then not followed by
        others that come a percent closer.
    """

    def __init__(self, run: Callable[[Setting], Trial], rank_limit: int, min_q: int,
                 sampled: Callable[[Setting], Trial] | None = None) -> None:
        self._run, self._explore = run, sampled or run
        self._is_rough = sampled is not None
        self._ranks = [*(rank for rank in RANKS if rank < rank_limit), rank_limit]
        self._min_q = min_q
        self._done: dict[Setting, Trial] = {}
        self._last_q = FIRST_Q

    def best(self, target: Target, rank: int | None = None) -> Trial:
        """Trial with the final coder that meets `target` best, at `rank` or at the best rank.

        A size may be missed from below by more than 3 % at a rank that was asked for.

        Raises
        ------
        TargetError
            When no setting meets the target; the hint says what can be met.
        """
        return self.finish(target, self.sketch(target, rank).setting.rank, keep_rank=rank is not None)

    def sketch(self, target: Target, rank: int | None = None) -> Trial:
        """What the fast coder gives at `rank` or the best rank; its finest or coarsest where the target is missed."""
        chosen = self._climb(target) if rank is None else rank
        found = self._solve(chosen, target, final=False)
        return found or self._trial(Setting(chosen, self._finest(False) if target.has_floors else MAX_Q))

    def finish(self, target: Target, rank: int, *, keep_rank: bool = False) -> Trial:
        """Trial with the final coder at `rank`, after a sketch; errors as in `best`."""
        trial = self._solve(rank, target, final=True)
        if trial is None:
            raise self._refusal(rank, target)
        if target.size_bytes is None or keep_rank or trial.size_bytes >= WITHIN * target.size_bytes:
            return trial
        return self._fill_by_rank(trial, target.size_bytes)

    def _trial(self, setting: Setting) -> Trial:
        if setting not in self._done:
            self._done[setting] = self._run(setting) if setting.final else self._explore(setting)
        return self._done[setting]

    def _climb(self, target: Target) -> int:
        """Best rank by the fast coder: from a first guess uphill along RANKS, then halfway to its neighbors."""
        scores: dict[int, float] = {}

        def score(index: int) -> float:
            if index not in scores:
                scores[index] = self._score(self._ranks[index], target)
            return scores[index]

        last = len(self._ranks) - 1
        at = min(self._ranks.index(FIRST_RANK) if FIRST_RANK in self._ranks else last, last)
        outward = 1 if target.has_floors else -1  # more rank for quality, less for size
        while score(at) == -math.inf and 0 <= at + outward <= last:
            at += outward
        for step in (1, -1):
            while 0 <= at + step <= last and score(at + step) > score(at):
                at += step
        return self._between(at, score(at), target)

    def _between(self, at: int, best: float, target: Target) -> int:
        chosen = self._ranks[at]
        for other in self._ranks[max(at - 1, 0):at] + self._ranks[at + 1:at + 2]:
            middle = (self._ranks[at] + other) // 2
            if middle not in self._ranks and self._score(middle, target) > best:
                chosen, best = middle, self._score(middle, target)
        return chosen

    def _score(self, rank: int, target: Target) -> float:
        """How well a rank does at the target, higher is better: dB at a size, minus log bytes at a quality."""
        trial = self._solve(rank, target, final=False)
        if trial is None:
            return -math.inf
        if target.size_bytes is not None:  # sizes differ a little; put them on one
            return trial.psnr_db - DB_PER_OCTAVE * math.log2(max(trial.size_bytes / target.size_bytes, CLOSE))
        if target.has_floors:
            return -math.log2(trial.size_bytes)
        return trial.psnr_db - self._slope(target) * math.log2(trial.size_bytes)

    def _slope(self, target: Target) -> float:
        """Decibels bought by doubling the bytes, at a middling rank around index q."""
        assert target.q is not None
        rank = min(FIRST_RANK, self._ranks[-1])
        fine, coarse = (self._trial(Setting(rank, min(target.q + step, MAX_Q))) for step in (-SLOPE_Q, SLOPE_Q))
        octaves = math.log2(fine.size_bytes / coarse.size_bytes)
        return (fine.psnr_db - coarse.psnr_db) / octaves if octaves > 0 else 0.0

    def _solve(self, rank: int, target: Target, *, final: bool) -> Trial | None:
        """Best trial at a rank that meets the target: the finest within a size, the coarsest of a quality."""
        if target.q is not None:
            return self._trial(Setting(rank, target.q, final=final))
        if target.size_bytes is not None:
            trial = self._finest_within(rank, target.size_bytes, final, 1 / Q_STEPS if final else 1.0)
        else:
            trial = self._coarsest_of(rank, target, final)
        if trial is not None:
            self._last_q = math.floor(trial.setting.q)
        return trial

    def _finest_within(self, rank: int, size_bytes: int, final: bool, unit: float = 1.0) -> Trial | None:
        """Finest multiple of `unit` within a size, or any that takes enough of it; for sixteenths that is most."""
        finest = self._finest(final)
        too_large: dict[float, float] = {finest - unit: math.inf}  # index to log of size over target
        small_enough: dict[float, float] = {MAX_Q + unit: -math.inf}
        best, guess = None, float(self._last_q)
        close = math.log(CLOSE if not final else WITHIN if self._is_rough or unit == 1 else FILLED)
        while min(small_enough) - max(too_large) > unit:
            q = min(max(guess, max(too_large) + unit), min(small_enough) - unit)
            trial = self._trial(Setting(rank, q, final=final))
            excess = math.log(trial.size_bytes / size_bytes)
            if excess <= 0:
                best, small_enough[q] = trial, excess
            else:
                too_large[q] = excess
            if close <= excess <= 0:
                break
            guess = _next_guess(too_large, small_enough, q, unit)
        return best

    def _finest(self, final: bool) -> int:
        """Finest index of a coder; the fast one has none below 0."""
        return self._min_q if final else max(self._min_q, 0)

    def _coarsest_of(self, rank: int, target: Target, final: bool) -> Trial | None:
        """Coarsest whole index that meets the floors; of large pictures and while searching, any that barely does."""
        low, high = (self._finest(final) - 1, math.inf), (MAX_Q + 1, -math.inf)  # index, and how many dB are spare
        spare = SPARE_DB if final else ROUGH_SPARE_DB
        best = None
        q, tries = self._last_q, 0
        while high[0] - low[0] > 1:
            q, tries = min(max(q, low[0] + 1), high[0] - 1), tries + 1
            trial = self._trial(Setting(rank, q, final=final))
            over = target.spare_db(trial.likeness)
            if over >= 0:
                best, low = trial, (q, over)
            else:
                high = (q, over)
            if 0 <= over <= spare and (self._is_rough or not final):
                break
            q = _coarser(low, high) if tries < SECANTS else (low[0] + high[0]) // 2
        return best

    def _fill_by_rank(self, trial: Trial, size_bytes: int) -> Trial:
        """Where the size jumps from index to index a rank nearby comes closer; where none is finer it may be better."""
        best, rank = trial, trial.setting.rank
        is_finest = trial.setting.q <= self._min_q
        for other in (rank + 1, rank - 1, rank + 2, rank - 2, rank + 4, rank + 8):
            if best.size_bytes >= WITHIN * size_bytes:
                break
            if 0 <= other <= self._ranks[-1]:
                found = self._finest_within(other, size_bytes, final=True)
                if found is not None and found.size_bytes > best.size_bytes:
                    best = found if not is_finest or found.psnr_db > best.psnr_db else best
        return best

    def _refusal(self, rank: int, target: Target) -> TargetError:
        if target.size_bytes is not None:
            least = min(self._trial(Setting(r, MAX_Q, final=True)).size_bytes for r in {rank, *self._ranks[:1]})
            return TargetError(f"{target.size_bytes} bytes are too few for this clip.",
                               f"The smallest possible here is about {least} bytes a segment.")
        finest = self._trial(Setting(rank, self._min_q, final=True))
        ssim = "" if target.min_ssim is None else f" and {finest.likeness.ssim3d:.4f}"
        return TargetError(f"{target.words} cannot be reached.",
                           f"The best possible here is {finest.psnr_db:.2f} dB{ssim} at rank {rank}.")


def _next_guess(too_large: dict[float, float], small_enough: dict[float, float], q: float, unit: float) -> float:
    """Index to try next, a multiple of `unit`: on the line between the bracket's ends, a little within the size.

    While one end is unknown, by the usual slope from the index `q` that was tried last.
    """
    low, high = max(too_large), min(small_enough)
    above, below = too_large[low], small_enough[high]
    if math.isinf(above) or math.isinf(below):
        excess = below if math.isinf(above) else above
        return q + (unit * math.ceil((excess - math.log(AIM)) / LOG_BYTES_PER_Q / unit) or -unit)
    if len(too_large) + len(small_enough) > LINES:  # the curve bends too much for a line
        return low + unit * round((high - low) / 2 / unit)
    return low + unit * math.ceil((high - low) * (above - math.log(AIM)) / (above - below) / unit)


def _coarser(low: tuple[int, float], high: tuple[int, float]) -> int:
    """Index to try next: where the line between the ends says that nothing is spare, by the usual slope from one."""
    if math.isinf(high[1]):
        return low[0] + max(math.floor(low[1] / DB_PER_Q), 1)
    if math.isinf(low[1]):
        return high[0] + min(math.floor(high[1] / DB_PER_Q), -1)
    return low[0] + math.floor((high[0] - low[0]) * low[1] / (low[1] - high[1]))


def share(total: int, parts: Sequence[int], index: int, used: int) -> int:
    """Bytes that part `index` may use: what is left of `total`, shared by length with the parts to come."""
    return (total - used) * parts[index] // sum(parts[index:])
