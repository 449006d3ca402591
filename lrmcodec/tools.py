"""Which tool codes a segment: low rank mixes pictures, video codes frames and wins where motion does not repeat.

Both are sketched, beside each other where threads allow it, and those finished that may be the better one: closer to
the frames at a size, smaller at floors of quality.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from lrmcodec.beside import Beside
from lrmcodec.decoders.base import FittedSegment, Progress
from lrmcodec.decoders.ids import Architecture
from lrmcodec.formats.container import CodedSegment
from lrmcodec.formats.errors import TargetError
from lrmcodec.rate import DB_PER_OCTAVE, Target, Trial
from lrmcodec.video.coder import VideoCoder, VideoCoding
from lrmcodec.video.payload import MAX_BOUND

TOOLS = ("auto", "low-rank", "video")
PICTURED = frozenset({Architecture.SPATIAL, Architecture.WAVELET, Architecture.REFINED_WAVELET})
"""Architectures whose segments carry their own basis, from which a video's coefficients come."""

VIDEO_RATIO = 400.0
"""Above it a video is not tried: it lies below low rank there on every clip looked at (benchmarks/LOG.md)."""

SURE_PIXELS, SURE_RATIO = 20_000_000, 60.0
"""From so many pixels on and up to this ratio low rank is not tried: it takes minutes, and lies below video there."""

VIDEO_GAIN_DB, VIDEO_GAIN_BYTES = (0.2, 1.4), (0.95, 0.7)
"""What the slow preset of a video gives more than the quick one, at least and at most, in dB at equal bytes and in
bytes at equal quality. Presets 9 and 2 were 0.76 dB apart on a lung clip, presets 8 and 2 0.83 and 0.93 on others."""

LOW_RANK_GAIN_DB, LOW_RANK_GAIN_BYTES = 0.7, 0.8
"""What low rank gives more than its sketch, at most; the slow preset gives 8 to 15 % of the bytes."""

USUAL_TRIES = 8


class LowRank(Protocol):
    """Low rank on one fitted segment (`segment`)."""

    @property
    def sketch(self) -> Trial:
        """About what it gives."""

    def finish(self) -> Trial:
        """What it gives; a TargetError where the target is missed."""


@dataclass(frozen=True)
class Tools:
    """What may code a segment: one of TOOLS, a bound on every pixel's error or None, and in how many threads."""

    tool: str = "auto"
    max_error: int | None = None
    threads: int = 1

    def check(self, rank: int | None, arch_id: int, targets: Sequence[object]) -> None:
        """Refuse, before anything is fitted, what goes with no rank, network or target.

        Raises
        ------
        TargetError
        """
        if self.tool not in TOOLS:
            raise TargetError(f"there is no tool '{self.tool}'.", f"Known are {', '.join(TOOLS)}.")
        if (self.tool == "video" or self.max_error is not None) and not self.may_be_video(rank, arch_id):
            raise TargetError("video, and bounds on every pixel's error, go with no rank, no low rank and no network.",
                              "Leave --rank, --tool low-rank and --pack out.")
        if self.max_error is not None and not 0 <= self.max_error <= MAX_BOUND:
            raise TargetError(f"a bound of {self.max_error} gray levels cannot be kept.",
                              f"Give 0 (lossless) to {MAX_BOUND}.")
        if self.max_error is not None and any(target is not None for target in targets):
            raise TargetError("a bound on every pixel's error leaves no room for another target.", "Give one of them.")

    def may_be_video(self, rank: int | None, arch_id: int) -> bool:
        """Whether a segment fitted by a decoder of this architecture may become a video."""
        return self.tool != "low-rank" and rank is None and arch_id in PICTURED

    def code(self, fitted: FittedSegment, phase_bytes: Callable[[int], int], target: Target, low_rank: LowRank,
             progress: Progress) -> CodedSegment:
        """Code a fitted segment that may be a video by the tool that serves the target best.

        Raises
        ------
        TargetError
            When none meets the target.
        """
        with Beside(self.threads) as beside:
            film = VideoCoder(fitted, phase_bytes, target, tried=_counted(progress, beside))
            if self.max_error is not None:
                return film.bounded(self.max_error)
            if self.tool == "video" or self._is_sure(fitted.frames.size, target):
                found = film.finish()
                if found is None:
                    raise TargetError("no video of this clip meets the target.", "Try --tool auto, or another target.")
                return found.coded
            return _better(film, low_rank, fitted.frames.size, target, beside)

    @staticmethod
    def _is_sure(pixels: int, target: Target) -> bool:
        size = target.size_bytes
        return size is not None and pixels >= SURE_PIXELS and pixels <= SURE_RATIO * size


def _better(film: VideoCoder, low_rank: LowRank, pixels: int, target: Target, beside: Beside) -> CodedSegment:
    """The better of both; one that its sketch shows to lie below the other is not finished."""
    if target.size_bytes is not None and pixels > VIDEO_RATIO * target.size_bytes:
        return low_rank.finish().coded
    quick = beside.begin(film.quick)
    sketch = low_rank.sketch
    tools = _candidates(quick(), sketch, pixels, target)
    rival: Future[float] = Future()
    told = rival.result if "low-rank" in tools else None
    video = beside.begin(lambda: film.finish(told) if "video" in tools else None)
    trial, reached_db = None, -math.inf
    try:
        trial = _finished(low_rank) if "low-rank" in tools else None
        reached_db = -math.inf if trial is None else trial.psnr_db
    finally:  # the video waits for it, even where this thread was interrupted
        rival.set_result(reached_db)
    found = video()
    if found is None or trial is None:
        return (found or trial or low_rank.finish()).coded
    if target.has_floors:
        return found.coded if found.size_bytes < trial.size_bytes else trial.coded
    return found.coded if found.psnr_db > trial.psnr_db else trial.coded


def _candidates(quick: VideoCoding | None, sketch: Trial, pixels: int, target: Target) -> set[str]:
    """Tools that may be the better one, from a quick video and a sketch of low rank."""
    if quick is None or pixels > VIDEO_RATIO * sketch.size_bytes:
        return {"low-rank"}
    if target.has_floors:
        if target.spare_db(sketch.likeness) < 0:  # it never gets there
            return {"video", "low-rank"}
        gain = -math.log2(quick.size_bytes / sketch.size_bytes)
        least, most, other = (-math.log2(share) for share in (*VIDEO_GAIN_BYTES, LOW_RANK_GAIN_BYTES))
    else:
        gain = quick.psnr_db - sketch.worth(target) - DB_PER_OCTAVE * math.log2(quick.size_bytes)
        least, most, other = *VIDEO_GAIN_DB, LOW_RANK_GAIN_DB
    return {name for name, may_win in (("video", gain + most > 0), ("low-rank", gain + least < other)) if may_win}


def _finished(low_rank: LowRank) -> Trial | None:
    try:
        return low_rank.finish()
    except TargetError:
        return None


def _counted(progress: Progress, beside: Beside) -> Callable[[], None]:
    """Tell of every coding that begins, from the main thread alone; elsewhere ask whether it is still wanted."""
    count = 0

    def tell() -> None:
        nonlocal count
        count += 1
        beside.check()
        if threading.current_thread() is threading.main_thread():
            progress(min(count / USUAL_TRIES, 0.97), "coding as video")

    return tell
