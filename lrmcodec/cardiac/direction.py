"""The direction along which the coefficients follow the left ventricle: settled while encoding, stored as a component.

cavity's area --regression--> weights of the first coefficients --quantized--> ventricle component

The cavity comes from the pixels, so neither its place nor the sign of anything is assumed, and no label is used.
Files of version 0.1 hold a phase component instead: fewer weights of a byte each, and no areas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.cavity import Cavity
from lrmcodec.cardiac.events import find_events
from lrmcodec.cardiac.phase_net import posterior
from lrmcodec.cardiac.signal import (
    GRID_HZ,
    Array,
    even_times,
    half_width_s,
    high_pass,
    prepare,
    smooth,
    standardize,
)
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import FormatError

MAX_WEIGHTS = 8
"""A component holds weights of at most so many coefficients; the first carry the motion."""

WEIGHT_BITS = 6
LARGEST = 2 ** (WEIGHT_BITS - 1) - 1
HEAD_BYTES = 3  # confidence and two areas
LARGEST_AREA = 0.25  # share of the picture's longer side squared
RIDGE = 0.1

VOLUME_POWER = 1.5
"""Volume goes with this power of the area of an apical view."""


@dataclass(frozen=True)
class Direction:
    """What a file says of the ventricle.

    Attributes
    ----------
    confidence : int
        How sure the encoder was of the sign, 0 to 255.
    weights : ndarray, (n,) int8
        Of the first n coefficients.
    areas : tuple of int
        Of the cavity at ED and at ES, as square roots of shares, 0 to 255; 0 where they are not known.
    """

    confidence: int
    weights: NDArray[np.int8]
    areas: tuple[int, int] = (0, 0)

    def pack(self) -> bytes:
        """The ventricle component's payload."""
        shifts = np.arange(WEIGHT_BITS - 1, -1, -1)
        bits = (self.weights.astype(np.int16) + LARGEST + 1)[:, None] >> shifts & 1
        return bytes([self.confidence, *self.areas]) + np.packbits(bits.astype(np.uint8)).tobytes()

    @staticmethod
    def unpack(payload: bytes, rank: int) -> Direction:
        """Undo `pack`.

        Raises
        ------
        FormatError
            On a payload that cannot belong to a segment of `rank` coefficients.
        """
        count = min(rank, MAX_WEIGHTS)
        if count == 0 or len(payload) != payload_bytes(rank):
            raise _damaged(payload, rank)
        bits = np.unpackbits(np.frombuffer(payload[HEAD_BYTES:], np.uint8))[:WEIGHT_BITS * count]
        values = bits.reshape(count, WEIGHT_BITS) @ (1 << np.arange(WEIGHT_BITS - 1, -1, -1))
        weights = (values - LARGEST - 1).astype(np.int8)
        if not weights.any():
            raise _damaged(payload, rank)
        return Direction(payload[0], weights, (payload[1], payload[2]))

    @staticmethod
    def unpack_phase(payload: bytes, rank: int) -> Direction:
        """Read a phase component of version 0.1.

        Raises
        ------
        FormatError
            As `unpack`.
        """
        weights = np.frombuffer(payload[1:], np.int8)
        if not 1 <= len(weights) <= min(rank, MAX_WEIGHTS) or not weights.any():
            raise _damaged(payload, rank)
        return Direction(payload[0], weights)

    def project(self, coeffs: Array) -> Array:
        """Signal s (T,): weighted sum of coefficients (T, r), each scaled to mean 0 and variance 1."""
        return np.asarray(standardize(coeffs[:, :len(self.weights)]) @ self.weights.astype(np.float64))

    def ejection_fraction(self) -> float | None:
        """Ejection fraction in percent by the areas at ED and ES, a research figure; None where they are not known."""
        largest, smallest = ((area / 255) ** 2 for area in self.areas)
        return None if not 0 < smallest <= largest else 100 * (1 - (smallest / largest) ** VOLUME_POWER)


def _damaged(payload: bytes, rank: int) -> FormatError:
    return FormatError(f"the phase component has {len(payload)} bytes for rank {rank}, or no direction.",
                       "The file is damaged; get another copy.")


def read_direction(components: Mapping[int, bytes], rank: int) -> Direction | None:
    """What the components of a segment say of the ventricle; None where they say nothing."""
    if Component.VENTRICLE in components:
        return Direction.unpack(components[Component.VENTRICLE], rank)
    if Component.PHASE in components:
        return Direction.unpack_phase(components[Component.PHASE], rank)
    return None


def payload_bytes(rank: int) -> int:
    """Length of a segment's ventricle component; 0 at rank 0, which has none."""
    count = min(rank, MAX_WEIGHTS)
    return HEAD_BYTES + -(-WEIGHT_BITS * count // 8) if count else 0


def find_direction(cavity: Cavity, coeffs: Array, times_s: Array) -> Direction | None:
    """Whole weights of the first coefficients (T, r) whose sum follows the cavity best (ridge regression)."""
    scaled = standardize(coeffs[:, :MAX_WEIGHTS])
    even_s = even_times(times_s)
    smoothed = smooth(scaled, times_s, even_s, half_width_s(times_s))
    paths = np.stack([high_pass(path, GRID_HZ) for path in smoothed.T], 1)
    target = np.interp(even_s, times_s, cavity.signal)
    normal = paths.T @ paths + RIDGE * len(paths) * np.eye(paths.shape[1])
    weights = np.linalg.solve(normal, paths.T @ (target - target.mean()))
    largest = float(np.abs(weights).max())
    if not largest > 0:
        return None
    fitted = paths @ weights
    match = abs(float(np.corrcoef(fitted, target)[0, 1])) if fitted.std() > 0 else 0.0
    found = Direction(round(255 * cavity.confidence * match ** 2),
                      np.rint(weights * (LARGEST / largest)).astype(np.int8))
    return Direction(found.confidence, found.weights, _areas(cavity, found.project(coeffs), times_s))


def _areas(cavity: Cavity, signal: Array, times_s: Array) -> tuple[int, int]:
    """Mean area of the cavity at the events that the signal shows, as bytes."""
    clean = prepare(signal, times_s)
    events = find_events(posterior(clean.even, clean.period_s), clean.even_s)
    ed, es = ([event.time_s for event in events if event.is_ed == is_ed] for is_ed in (True, False))
    if not ed or not es:
        return 0, 0
    largest, smallest = (float(np.mean(np.interp(times, times_s, cavity.area))) for times in (ed, es))
    return _area_byte(largest), _area_byte(smallest)


def _area_byte(share: float) -> int:
    return int(np.clip(round(255 * float(np.sqrt(max(share, 0.0) / LARGEST_AREA))), 1, 255))
