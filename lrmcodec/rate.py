"""Search of rank and quantizer index for a target, on one segment.

Ranks are explored by hill climbing with the decoder's fast coder; the chosen rank's index is settled with the
final coder, so what was measured is what the file holds. Sizes come first and qualities only when asked for,
because rendering may be slow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lrmcodec.decoders.base import Components
from lrmcodec.formats.container import MAX_FILE_BYTES, Q_STEPS, CodedSegment, segment_bytes
from lrmcodec.formats.errors import TargetError
from lrmcodec.quantize import MAX_Q

RANKS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
DEFAULT_QUALITY = 80.0
FIRST_RANK = 8
FIRST_Q = 100
LOG_BYTES_PER_Q = 0.02  # bytes fall by about 2 % a step
WITHIN = 0.97  # a size target counts as met from this share of it upward
FILLED = 0.99  # from this share upward nothing more is tried
CLOSE = 0.94  # share of a size target that is close enough while ranks are compared
DB_PER_OCTAVE = 1.5  # usual gain from twice the bytes, to compare sizes that differ by a few percent
SLOPE_Q = 8  # distance over which the exchange of bytes for quality is measured


@dataclass(frozen=True)
class Setting:
    """One way to code a segment: rank, quantizer index (in sixteenths), final or fast coder."""

    rank: int
    q: float
    final: bool = False


@dataclass(frozen=True)
class Trial:
    """What a setting gave; `psnr_db` is measured on the decoded frames the first time it is asked for."""

    setting: Setting
    components: Components
    measure: Callable[[], float]

    def worth(self, target: Target) -> float:
        """How well the trial does at the target, higher is better: minus log bytes at a quality, else dB at a size."""
        octaves = math.log2(self.size_bytes)
        return -octaves if target.psnr_db is not None else self.psnr_db - DB_PER_OCTAVE * octaves

    @property
    def size_bytes(self) -> int:
        """Bytes that the segment adds to the file, its directory entry included."""
        return segment_bytes(self.coded)

    @property
    def coded(self) -> CodedSegment:
        """The segment as a file stores it."""
        return CodedSegment(self.setting.rank, self.setting.q, self.components)

    @cached_property
    def psnr_db(self) -> float:
        """Mean PSNR over frames in dB."""
        return self.measure()


@dataclass(frozen=True)
class Target:
    """Of a file or a segment, exactly one of: at most `size_bytes`, at least `psnr_db`, or the quantizer index `q`."""

    size_bytes: int | None = None
    psnr_db: float | None = None
    q: int | None = None

    def of_part(self, parts: Sequence[int], index: int, used: int) -> Target:
        """Target of part `index` of a file whose parts have these lengths, when `used` bytes are taken already."""
        if self.size_bytes is None:
            return self
        return replace(self, size_bytes=max(share(self.size_bytes, parts, index, used), 1))


def read_target(raw_bytes: int, ratio: float | None, size_bytes: int | None, psnr_db: float | None,
                quality: float | None) -> Target:
    """Target of a whole file of `raw_bytes` pixels, from what a user asks for; see `lrmcodec.encode`.

    Raises
    ------
    TargetError
        When more than one is given, or one makes no sense.
    """
    if sum(value is not None for value in (ratio, size_bytes, psnr_db, quality)) > 1:
        raise TargetError("more than one target is given.", "Give one of ratio, size, PSNR and quality.")
    for name, value in (("ratio", ratio), ("size", size_bytes), ("PSNR", psnr_db)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise TargetError(f"a {name} of {value} is not a positive number.")
    if quality is not None and not 0 <= quality <= 100:
        raise TargetError(f"quality {quality:g} is outside 0 to 100.")
    if psnr_db is not None:
        return Target(psnr_db=psnr_db)
    if ratio is not None or size_bytes is not None:
        return Target(size_bytes=int(min(raw_bytes / ratio, MAX_FILE_BYTES)) if ratio is not None else size_bytes)
    return Target(q=quality_to_q(DEFAULT_QUALITY if quality is None else quality))


def quality_to_q(quality: float) -> int:
    """Quantizer index of a quality from 0 (index 255) to 100 (index 0), linear."""
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
    """

    def __init__(self, run: Callable[[Setting], Trial], rank_limit: int, min_q: int) -> None:
        self._run = run
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
        chosen = self._climb(target) if rank is None else rank
        self._solve(chosen, target, final=False)
        trial = self._solve(chosen, target, final=True)
        if trial is None:
            raise self._refusal(chosen, target)
        if target.size_bytes is None:
            return trial
        return self._fill(trial, target.size_bytes, keep_rank=rank is not None)

    def _trial(self, setting: Setting) -> Trial:
        if setting not in self._done:
            self._done[setting] = self._run(setting)
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
        outward = 1 if target.psnr_db is not None else -1  # more rank for quality, less for size
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
        if target.psnr_db is not None:
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
            trial = self._finest_within(rank, target.size_bytes, final)
        else:
            assert target.psnr_db is not None
            trial = self._coarsest_of(rank, target.psnr_db, self._last_q, final)
        if trial is not None:
            self._last_q = math.floor(trial.setting.q)
        return trial

    def _finest_within(self, rank: int, size_bytes: int, final: bool) -> Trial | None:
        """Finest whole index within a size; while searching, any that comes close to the size from below."""
        too_large: dict[int, float] = {self._min_q - 1: math.inf}  # index to log of size over target
        small_enough: dict[int, float] = {MAX_Q + 1: -math.inf}
        best, guess = None, self._last_q
        while min(small_enough) - max(too_large) > 1:
            q = min(max(guess, max(too_large) + 1), min(small_enough) - 1)
            trial = self._trial(Setting(rank, q, final=final))
            excess = math.log(trial.size_bytes / size_bytes)
            if excess <= 0:
                best, small_enough[q] = trial, excess
            else:
                too_large[q] = excess
            if math.log(CLOSE) <= excess <= 0 and not final:
                break
            guess = _next_guess(too_large, small_enough, q, excess)
        return best

    def _coarsest_of(self, rank: int, psnr_db: float, guess: int, final: bool) -> Trial | None:
        low, high = self._min_q - 1, MAX_Q + 1  # good enough at low, too coarse at high
        best = None
        q = guess
        while high - low > 1:
            q = min(max(q, low + 1), high - 1)
            trial = self._trial(Setting(rank, q, final=final))
            if trial.psnr_db >= psnr_db:
                best, low = trial, q
            else:
                high = q
            q = (low + high) // 2
        return best

    def _fill(self, trial: Trial, size_bytes: int, *, keep_rank: bool) -> Trial:
        """Use what is left of a size target: quantizer indices between this one and the next finer, by halving."""
        best, step = trial, 0.5
        finer = trial.setting.q - 1
        if finer < self._min_q:
            return best
        at = finer + step
        while best.size_bytes < FILLED * size_bytes and step >= 1 / Q_STEPS:
            other = self._trial(Setting(trial.setting.rank, at, final=True))
            step /= 2
            if other.size_bytes <= size_bytes:
                best, at = max(best, other, key=lambda t: t.size_bytes), at - step
            else:
                at += step
        enough = keep_rank or best.size_bytes >= WITHIN * size_bytes
        return best if enough else self._fill_by_rank(best, size_bytes)

    def _fill_by_rank(self, trial: Trial, size_bytes: int) -> Trial:
        """Where the size jumps between neighboring indices, a rank nearby may come closer to the target."""
        best, rank = trial, trial.setting.rank
        for other in (rank + 1, rank - 1, rank + 2, rank - 2, rank + 4, rank + 8):
            if best.size_bytes >= WITHIN * size_bytes:
                break
            if 0 <= other <= self._ranks[-1]:
                found = self._finest_within(other, size_bytes, final=True)
                best = found if found is not None and found.size_bytes > best.size_bytes else best
        return best

    def _refusal(self, rank: int, target: Target) -> TargetError:
        if target.size_bytes is not None:
            least = min(self._trial(Setting(r, MAX_Q, final=True)).size_bytes for r in {rank, *self._ranks[:1]})
            return TargetError(f"{target.size_bytes} bytes are too few for this clip.",
                               f"The smallest possible here is about {least} bytes a segment.")
        finest = self._trial(Setting(rank, self._min_q, final=True))
        return TargetError(f"{target.psnr_db:g} dB cannot be reached.",
                           f"The best possible here is {finest.psnr_db:.2f} dB at rank {rank}.")


def _next_guess(too_large: dict[int, float], small_enough: dict[int, float], q: int, excess: float) -> int:
    """Index to try next: on the line between the bracket's ends, by the usual slope while one end is unknown."""
    low, high = max(too_large), min(small_enough)
    above, below = too_large[low], small_enough[high]
    if math.isinf(above) or math.isinf(below):
        return q + (math.ceil(excess / LOG_BYTES_PER_Q) or -1)
    if len(too_large) + len(small_enough) > 7:  # the curve bends too much for a line
        return (low + high) // 2
    return low + math.ceil((high - low) * above / (above - below))


def share(total: int, parts: Sequence[int], index: int, used: int) -> int:
    """Bytes that part `index` may use: what is left of `total`, shared by length with the parts to come."""
    return (total - used) * parts[index] // sum(parts[index:])
