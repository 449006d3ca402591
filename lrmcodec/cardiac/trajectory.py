"""Views of the coefficients for people: the plane they move in, how alike frames are, and walks through them.

The modulations of a segment are z_t = v + B phi_t; everything here is about how they move around their mean. The
axis of a walk is the direction in which the coefficients go when the phase signal s(t) grows (regression of phi on s,
the pattern that belongs to a readout; Haufe et al. 2014, 10.1016/j.neuroimage.2013.10.067).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.readout import Phase
from lrmcodec.decoders.base import RestoredSegment
from lrmcodec.formats.errors import TargetError
from lrmcodec.reader import LrmFile

Array = NDArray[np.float64]

ENDS = (5, 95)  # percentiles of the signal between which a walk goes where no heart beats
MIN_FRAMES = 4
BASIS = "basis"
"""Name of the tensor of a pack that holds B where clips do not carry their own."""


@dataclass(frozen=True)
class Motion:
    """How the coefficients of one segment move, and the straight line row = center + s * slope that follows them.

    Attributes
    ----------
    file : LrmFile
    index : int
        The segment.
    basis : ndarray, (n, r)
        Columns of B, flattened.
    center, slope : ndarray, (r,)
    low, high : float
        Values of s at the line's ends: end systole and end diastole where a heart beats.
    """

    file: LrmFile
    index: int
    basis: NDArray[np.float32]
    center: Array
    slope: Array
    low: float
    high: float

    @property
    def start(self) -> int:
        """First of the clip's frames that belong to the segment."""
        return self.file.coded.segment_bounds[self.index][0]

    @property
    def stop(self) -> int:
        """The frame behind the segment's last one."""
        return self.file.coded.segment_bounds[self.index][1]

    @property
    def coeffs(self) -> Array:
        """Coefficients (T, r) of the segment's frames."""
        return self.file.segment(self.index).coeffs

    def rows(self, places: Array) -> Array:
        """Coefficients (n, r) on the line at places (n,) from 0, the low end, to 1, the high end."""
        signal = self.low + (self.high - self.low) * np.asarray(places)
        return np.asarray(self.center + signal[:, None] * self.slope)

    def frames(self, rows: Array) -> NDArray[np.uint8]:
        """Frames (n, H, W) of any coefficients (n, r), also such as no recorded frame has."""
        return self.file.render(self.index, rows)

    def plane(self) -> Array:
        """Points (T, 2) of the modulations: along the line, and in the direction across it in which they move most."""
        gram = self._gram()
        centered = self.coeffs - self.coeffs.mean(0)
        length = max(float(self.slope @ gram @ self.slope), 1e-30)
        along = centered @ gram @ self.slope / np.sqrt(length)
        rest = centered - np.outer(along, self.slope) / np.sqrt(length)
        inner = rest @ gram @ rest.T
        values, vectors = np.linalg.eigh(inner)
        return np.stack([along, vectors[:, -1] * np.sqrt(max(float(values[-1]), 0.0))], 1)

    def similarity(self) -> Array:
        """Cosines (T, T) between the modulations of the segment's frames, taken from their mean."""
        centered = self.coeffs - self.coeffs.mean(0)
        inner = centered @ self._gram() @ centered.T
        norms = np.sqrt(np.maximum(np.diag(inner), 1e-30))
        return np.asarray(np.clip(inner / np.outer(norms, norms), -1, 1))

    def _gram(self) -> Array:
        return (self.basis.T @ self.basis).astype(np.float64)


def find_motion(file: LrmFile, phase: Phase) -> Motion:
    """Motion in the segment that holds most events, along the axis on which the phase signal grows.

    Raises
    ------
    TargetError
        When the file has no coefficients that move.
    """
    index = _busiest(file, phase)
    start, stop = file.coded.segment_bounds[index]
    restored = file.segment(index)
    coeffs, signal = restored.coeffs, phase.signal[start:stop]
    spread = signal - signal.mean()
    energy = float(spread @ spread)
    if coeffs.shape[1] == 0 or stop - start < MIN_FRAMES or not energy > 0:
        raise TargetError("nothing moves in the file: its frames are one and the same picture, or fewer than four.",
                          "Encode more frames, with a higher rank or a lower ratio.")
    slope = spread @ (coeffs - coeffs.mean(0)) / energy
    low, high = _ends(phase, signal, start, stop)
    return Motion(file, index, _basis(file, restored), coeffs.mean(0) - signal.mean() * slope, slope, low, high)


def _busiest(file: LrmFile, phase: Phase) -> int:
    events = [*phase.ed_frames, *phase.es_frames]
    counts = [sum(start <= frame < stop for frame in events) for start, stop in file.coded.segment_bounds]
    return int(np.argmax(counts))


def _basis(file: LrmFile, restored: RestoredSegment) -> NDArray[np.float32]:
    """B with a column for every coefficient: of the clip, of its pack, or, where neither has one, the identity."""
    rank = restored.coeffs.shape[1]
    if restored.basis is not None:
        return np.asarray(restored.basis.reshape(rank, -1).T)
    return np.asarray(file.pack.tensors().get(BASIS, np.eye(rank))[:, :rank], np.float32)


def _ends(phase: Phase, signal: Array, start: int, stop: int) -> tuple[float, float]:
    """Median signal at end systole and at end diastole, or outer percentiles."""
    picked = [[signal[frame - start] for frame in frames if start <= frame < stop]
              for frames in (phase.es_frames, phase.ed_frames)]
    low, high = (float(np.median(values)) if values else float(np.percentile(signal, at))
                 for values, at in zip(picked, ENDS, strict=True))
    return (low, high) if low < high else (float(signal.min()), float(signal.max()))


def one_beat(phase: Phase, times_s: Array) -> tuple[float, float, float]:
    """Seconds of an end diastole, the end systole after it and the next end diastole: the most usual whole beat.

    Where none is whole, or nothing beats, the clip's first moment, its middle and its last.
    """
    beats = []
    for start, stop in zip(phase.ed_times_s, phase.ed_times_s[1:], strict=False):
        between = bisect_right(phase.es_times_s, start)
        if between < len(phase.es_times_s) and phase.es_times_s[between] < stop:
            beats.append((start, phase.es_times_s[between], stop))
    if not beats:
        return float(times_s[0]), float(times_s[0] + times_s[-1]) / 2, float(times_s[-1])
    usual = float(np.median([stop - start for start, _, stop in beats]))
    return min(beats, key=lambda beat: abs(beat[2] - beat[0] - usual))


def end_words(phase: Phase) -> tuple[str, str]:
    """Names of the upper and the lower end of the motion."""
    return ("ED", "ES") if phase.quality_word == "cardiac" else ("One end", "Other end")


def picked_frames(phase: Phase, motion: Motion) -> tuple[int, int]:
    """Frames to show: the first ED with an ES after it, or where the signal is largest and smallest."""
    for beat in phase.beats:
        if motion.start <= beat.ed and beat.es < motion.stop:
            return beat.ed, beat.es
    signal = phase.signal[motion.start:motion.stop]
    return motion.start + int(np.argmax(signal)), motion.start + int(np.argmin(signal))
