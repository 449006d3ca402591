"""Which tool codes a segment: low rank mixes pictures, video codes frames and wins where motion does not repeat.

Where both may serve, both are tried, and the one that serves the target better is kept: closer at a size, smaller at a
quality.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lrmcodec.decoders.base import FittedSegment, Progress
from lrmcodec.decoders.ids import Architecture
from lrmcodec.formats.container import CodedSegment
from lrmcodec.formats.errors import TargetError
from lrmcodec.rate import Target, Trial
from lrmcodec.video.coder import VideoCoder, VideoCoding
from lrmcodec.video.payload import MAX_BOUND

TOOLS = ("auto", "low-rank", "video")
PICTURED = frozenset({Architecture.SPATIAL, Architecture.WAVELET})
"""Architectures whose segments carry their own basis, from which a video's coefficients come."""

VIDEO_RATIO = 400.0
"""Above it a video is not tried: it lies below low rank there on every clip looked at (benchmarks/LOG.md)."""

SURE_PIXELS, SURE_RATIO = 20_000_000, 60.0
"""From so many pixels on and up to this ratio low rank is not tried: it takes minutes, and lies below video there."""

USUAL_TRIES = 8


@dataclass(frozen=True)
class Tools:
    """What may code a segment: one of TOOLS, and a bound on every pixel's error or None."""

    tool: str = "auto"
    max_error: int | None = None

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

    def code(self, fitted: FittedSegment, phase_bytes: Callable[[int], int], target: Target,
             low_rank: Callable[[], Trial], progress: Progress) -> CodedSegment:
        """Code a fitted segment that may be a video by the tool that serves the target best.

        Raises
        ------
        TargetError
            When none meets the target.
        """
        film = VideoCoder(fitted, phase_bytes, tried=_counted(progress))
        if self.max_error is not None:
            return film.bounded(self.max_error)
        pixels = fitted.frames.size
        sure = pixels >= SURE_PIXELS and target.size_bytes is not None and pixels <= SURE_RATIO * target.size_bytes
        if self.tool != "video" and not sure:
            return _better(film, pixels, target, low_rank)
        found = _video(film, target, None)
        if found is None:
            raise TargetError("no video of this clip meets the target.", "Try --tool auto, or another target.")
        return found.coded


def _better(film: VideoCoder, pixels: int, target: Target, low_rank: Callable[[], Trial]) -> CodedSegment:
    try:
        trial = low_rank()
    except TargetError:
        found = _video(film, target, None)
        if found is None:
            raise
        return found.coded
    if pixels > VIDEO_RATIO * trial.size_bytes:
        return trial.coded
    found = _video(film, target, trial)
    if found is None:
        return trial.coded
    if target.size_bytes is not None:
        return found.coded if found.psnr_db > trial.psnr_db else trial.coded
    return found.coded if found.size_bytes < trial.size_bytes else trial.coded


def _video(film: VideoCoder, target: Target, low_rank: Trial | None) -> VideoCoding | None:
    """A video that meets the target; for a quantizer index, one as good as low rank is there."""
    if target.size_bytes is not None:
        return film.within(target.size_bytes, better_than_db=-math.inf if low_rank is None else low_rank.psnr_db)
    if low_rank is not None:
        return film.reaching(target.psnr_db or low_rank.psnr_db, smaller_than=low_rank.size_bytes)
    if target.psnr_db is None:
        raise TargetError("a quality alone says nothing to the video tool.", "Give --ratio, --size-bytes or --psnr.")
    return film.reaching(target.psnr_db)


def _counted(progress: Progress) -> Callable[[], None]:
    """Tell of every coding that begins."""
    count = 0

    def tell() -> None:
        nonlocal count
        count += 1
        progress(min(count / USUAL_TRIES, 0.97), "coding as video")

    return tell
