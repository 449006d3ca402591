"""The direction along which the coefficients follow the left ventricle: settled while encoding, stored as a component.

cavity's area --regression--> weights of the first coefficients --quantized--> heart component
    cavity around the events that they show --mean over beats--> when it is smallest, how much it ejects --^

The cavity comes from the pixels, so neither its place nor the sign of anything is assumed, and no label is used.
Older files hold a ventricle component instead, with areas, or a phase component, with fewer weights and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.beat_mean import ejected_share, shift_to_smallest
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
HEAD_BYTES = 3  # before the weights
RIDGE = 0.1
EJECTION_STEPS = 254

VOLUME_POWER = 1.5
"""Volume goes with about this power of the area of an apical view; where no length is known."""


@dataclass(frozen=True)
class Direction:
    """What a file says of the ventricle.

    Attributes
    ----------
    confidence : int
        How sure the encoder was of the sign, 0 to 255.
    weights : ndarray, (n,) int8
        Of the first n coefficients.
    ejected : float or None
        Share of its volume that the ventricle ejects, 0 to 1; None where it is not known. For research.
    es_shift_s : float
        So much later than the signal says is the ventricle smallest in the pixels, -0.127 to 0.127 s.
    """

    confidence: int
    weights: NDArray[np.int8]
    ejected: float | None = None
    es_shift_s: float = 0.0

    def pack(self) -> bytes:
        """The heart component's payload."""
        shifts = np.arange(WEIGHT_BITS - 1, -1, -1)
        bits = (self.weights.astype(np.int16) + LARGEST + 1)[:, None] >> shifts & 1
        ejection = 0 if self.ejected is None else 1 + round(EJECTION_STEPS * self.ejected)
        shift = round(1000 * self.es_shift_s) & 0xFF
        return bytes([self.confidence, ejection, shift]) + np.packbits(bits.astype(np.uint8)).tobytes()

    @staticmethod
    def unpack(payload: bytes, rank: int) -> Direction:
        """Undo `pack`.

        Raises
        ------
        FormatError
            On a payload that cannot belong to a segment of `rank` coefficients.
        """
        weights = _unpack_weights(payload, rank)
        ejected = (payload[1] - 1) / EJECTION_STEPS if payload[1] else None
        return Direction(payload[0], weights, ejected, int(np.array(payload[2], np.uint8).view(np.int8)) / 1000)

    @staticmethod
    def unpack_ventricle(payload: bytes, rank: int) -> Direction:
        """Read a ventricle component: areas at ED and at ES instead, as square roots, 0 where they are not known.

        Raises
        ------
        FormatError
            As `unpack`.
        """
        weights = _unpack_weights(payload, rank)
        largest, smallest = ((area / 255) ** 2 for area in payload[1:HEAD_BYTES])
        is_known = 0 < smallest <= largest
        return Direction(payload[0], weights, 1 - (smallest / largest) ** VOLUME_POWER if is_known else None)

    @staticmethod
    def unpack_phase(payload: bytes, rank: int) -> Direction:
        """Read a phase component, the oldest: no more than weights of a byte each.

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


def _unpack_weights(payload: bytes, rank: int) -> NDArray[np.int8]:
    count = min(rank, MAX_WEIGHTS)
    if count == 0 or len(payload) != payload_bytes(rank):
        raise _damaged(payload, rank)
    bits = np.unpackbits(np.frombuffer(payload[HEAD_BYTES:], np.uint8))[:WEIGHT_BITS * count]
    values = bits.reshape(count, WEIGHT_BITS) @ (1 << np.arange(WEIGHT_BITS - 1, -1, -1))
    weights = (values - LARGEST - 1).astype(np.int8)
    if not weights.any():
        raise _damaged(payload, rank)
    return np.asarray(weights)


def _damaged(payload: bytes, rank: int) -> FormatError:
    return FormatError(f"the phase component has {len(payload)} bytes for rank {rank}, or no direction.",
                       "The file is damaged; get another copy.")


def read_direction(components: Mapping[int, bytes], rank: int) -> Direction | None:
    """What the components of a segment say of the ventricle; None where they say nothing."""
    for kind, unpack in ((Component.HEART, Direction.unpack), (Component.VENTRICLE, Direction.unpack_ventricle),
                         (Component.PHASE, Direction.unpack_phase)):
        if kind in components:
            return unpack(components[kind], rank)
    return None


def payload_bytes(rank: int) -> int:
    """Length of a segment's heart component; 0 at rank 0, which has none."""
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
    return timed(found, cavity, coeffs, times_s)


def timed(found: Direction, cavity: Cavity, coeffs: Array, times_s: Array) -> Direction:
    """The direction with what the pixels say at the events that its signal shows in coefficients (T, r)."""
    clean = prepare(found.project(coeffs), times_s)
    events = find_events(posterior(clean.even, clean.period_s), clean.even_s)
    ed_s, es_s = ([event.time_s for event in events if event.is_ed == is_ed] for is_ed in (True, False))
    return replace(found, ejected=ejected_share(cavity.area, cavity.length, times_s, ed_s, es_s),
                   es_shift_s=shift_to_smallest(cavity.agreed, times_s, es_s))
