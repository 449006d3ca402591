"""One fit of a clip, coded at many ranks: for decoders whose fit takes long.

A lower rank loses by it: 0 to 0.14 dB (lrm-ortho) and 0.06 to 0.44 dB (medfuncta) at ranks 2 and 8 of two simulated
clips. Networks with gates, which would lose up to 2.5 dB, are fitted for each rank. The direction of the cardiac phase
is stored as in other files, unless the setting leaves it out; the ventricle is looked for once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lrmcodec.benchmarks.setting import Setting
from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.cardiac.direction import find_direction
from lrmcodec.decoders.base import FittedSegment
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.registry import find_pack, make_decoder
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import CodedClip, CodedSegment, Component, pack_file
from lrmcodec.formats.errors import TargetError
from lrmcodec.rate import quality_to_q
from lrmcodec.restored import restore_coeffs


class OneFit:
    """A clip fitted when the first file is asked for, at the highest of the ranks that will be asked; gates by rank."""

    def __init__(self, clip: Clip, pack: str, device: str, settings: Sequence[Setting]) -> None:
        self._clip = clip
        self._pack = find_pack(pack)
        self._decoder = make_decoder(self._pack, device)
        self._size = (clip.frames.shape[1], clip.frames.shape[2])
        self._limit = self._decoder.rank_limit(len(clip.frames), self._size)
        self._rank = min(max(setting.asked_rank or 0 for setting in settings), self._limit)
        self._fits: dict[int, tuple[FittedSegment, float]] = {}

    def _fitted(self, rank: int) -> tuple[FittedSegment, float]:
        """The fit that serves a rank, and the seconds that it took."""
        at = rank if self._decoder.arch_id == Architecture.GATED_SIREN else self._rank
        if at not in self._fits:
            began = time.perf_counter()
            fitted = self._decoder.fit(np.ascontiguousarray(self._clip.frames), at, 0, lambda done, label: None)
            self._fits[at] = fitted, time.perf_counter() - began
        return self._fits[at]

    @cached_property
    def _cavity(self) -> Cavity | None:
        return find_cavity(self._clip.frames, self._clip.times_s)

    def _with_direction(self, coded: CodedSegment) -> CodedSegment:
        """The segment with the direction in which its coefficients follow the ventricle, where one is seen."""
        if self._cavity is None or coded.rank == 0:
            return coded
        coeffs = restore_coeffs(self._decoder, coded, len(self._clip.frames), self._size)
        found = find_direction(self._cavity, coeffs, self._clip.times_s)
        if found is None:
            return coded
        return replace(coded, components={**coded.components, Component.HEART: found.pack()})

    def encode(self, setting: Setting, path: Path) -> tuple[float, float]:
        """Write one file; seconds of the fit, and of fit and coding.

        Raises
        ------
        TargetError
            When the rank is above the decoder's limit for this clip.
        """
        rank, q = setting.asked_rank or 0, quality_to_q(setting.target_value or 0.0)
        if rank > self._limit:
            raise TargetError(f"rank {rank} cannot be used: the decoder has at most {self._limit} for this clip.")
        fitted, fit_seconds = self._fitted(rank)
        began = time.perf_counter()
        segment = CodedSegment(rank, q, self._decoder.code(fitted, rank, q))
        if setting.without != "phase":
            segment = self._with_direction(segment)
        write_atomic(path, pack_file(CodedClip(self._pack.pack_id, self._decoder.arch_id, self._size,
                                               self._clip.times_s, [segment], {})), force=True)
        return fit_seconds, fit_seconds + time.perf_counter() - began
