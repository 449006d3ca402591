"""Signed integers as binary decisions with given chances, what they cost, and the choice that costs least.

Classes of magnitude: 0; 1; 2; 3 to 4; 5 to 8; ... each twice as wide as the one before. Decisions say for class after
class whether the magnitude lies beyond it; then come the plain low bits within the class, then signs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.binary import CHANCE_BITS, HALF, BinaryCoder
from lrmcodec.formats.container import DAMAGED
from lrmcodec.formats.errors import FormatError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MODELED_CLASSES = 12  # decisions of classes beyond have even chances
LAST_CLASS = 20  # magnitudes up to 2**19
MAX_EXPONENT = 63  # of norms
CHANGES, RISES = 24576, 8192  # chances in differences of exponents


def code_values(coder: BinaryCoder, values: Ints | None, chances: Ints) -> Ints:
    """Code integers (n,) or, where `values` is None, read them.

    Parameters
    ----------
    coder : BinaryCoder
    values : ndarray or None
    chances : ndarray, (n, MODELED_CLASSES + 1)
        Of lying beyond each class, and of a negative sign, in 2**-16.

    Raises
    ------
    FormatError
        When a magnitude read is over 2**19.
    """
    count = len(chances)
    wanted = np.abs(values) if values is not None else np.zeros(count, np.int64)
    classes = _code_classes(coder, class_of(wanted), chances)
    magnitudes = _code_low_bits(coder, wanted, classes)
    nonzero = np.flatnonzero(magnitudes)
    given = np.zeros(len(nonzero), np.int32) if values is None else (values[nonzero] < 0).astype(np.int32)
    signs = np.zeros(count, np.int64)
    signs[nonzero] = coder.bits(given, chances[nonzero, -1])
    return np.where(signs > 0, -magnitudes, magnitudes)


def class_of(magnitudes: Ints) -> Ints:
    """Class of each magnitude: 0 for 0, else one more than the least j with magnitude <= 2**j."""
    return np.where(magnitudes > 0, np.frexp(np.maximum(magnitudes - 1, 0).astype(np.float64))[1] + 1, 0)


def cheapest(values: Floats, chances: Ints, restored: Floats, weight: float) -> Ints:
    """Integers (n,) with the least squared error from `values` plus `weight` times their bits.

    Tried are the nearest integer, the one below it in magnitude, and 0.

    Parameters
    ----------
    values : ndarray, (n,)
    chances : ndarray, (n, MODELED_CLASSES + 1)
    restored : ndarray, (n, 3)
        What a reader makes of a 0, and how far beyond its magnitude it restores a 1 and larger ones.
    weight : float
    """
    costs = _ladder_costs(chances)
    magnitudes = np.abs(values)
    negative = values < 0
    nearest = np.floor(magnitudes + 0.5).astype(np.int64)
    best, best_cost = np.zeros(len(values), np.int64), (values - restored[:, 0])**2 + weight * costs[0][:, 0]
    for candidate in (np.maximum(nearest - 1, 0), nearest):
        level = candidate + np.where(candidate == 1, restored[:, 1], restored[:, 2])
        cost = (magnitudes - level)**2 + weight * _bits(candidate, negative, costs)
        better = (cost < best_cost) & (candidate > 0)
        best, best_cost = np.where(better, candidate, best), np.where(better, cost, best_cost)
    return np.where(negative, -best, best)


def restore(values: Ints, restored: Floats) -> Floats:
    """Coefficients that integers stand for; `restored` as in `cheapest`."""
    beyond = np.where(np.abs(values) == 1, restored[:, 1], restored[:, 2])
    return np.asarray(np.where(values == 0, restored[:, 0], values + np.sign(values) * beyond), np.float64)


def _ladder_costs(chances: Ints) -> tuple[Floats, Floats]:
    """Bits of each class (n, MODELED_CLASSES + 1) without low bits and sign, and of a plus and a minus (n, 2)."""
    beyond = CHANCE_BITS - np.log2(chances)
    within = CHANCE_BITS - np.log2((1 << CHANCE_BITS) - chances)
    costs = np.cumsum(beyond, 1)
    costs[:, 1:] = costs[:, :-1]
    costs[:, 0] = 0
    costs[:, :-1] += within[:, :-1]
    return costs, np.stack([within[:, -1], beyond[:, -1]], 1)


def _bits(magnitudes: Ints, negative: NDArray[np.bool_], costs: tuple[Floats, Floats]) -> Floats:
    """Bits of magnitudes > 0 with their signs; the decisions beyond the modeled classes cost one each."""
    classes = class_of(magnitudes)
    rows = np.arange(len(magnitudes))
    plain = np.maximum(classes - 2, 0) + np.maximum(classes - MODELED_CLASSES + 1, 0)
    modeled = costs[0][rows, np.minimum(classes, MODELED_CLASSES)]
    return np.asarray(modeled + costs[1][rows, negative.astype(int)] + plain, np.float64)


def _code_classes(coder: BinaryCoder, wanted: Ints, chances: Ints) -> Ints:
    classes = np.zeros(len(wanted), np.int64)
    active = np.arange(len(wanted))
    for index in range(LAST_CLASS + 1):
        given = (wanted[active] > index).astype(np.int32)
        chance = chances[active, index] if index < MODELED_CLASSES else np.full(len(active), HALF)
        active = active[coder.bits(given, chance) > 0]
        if not len(active):
            return classes
        classes[active] += 1
    raise FormatError(f"a wavelet coefficient is over 2**{LAST_CLASS - 1}.", DAMAGED)


def _code_low_bits(coder: BinaryCoder, wanted: Ints, classes: Ints) -> Ints:
    """Magnitudes from classes: class c > 1 holds 2**(c - 2) + 1 to 2**(c - 1), the place there in c - 2 plain bits."""
    magnitudes = np.where(classes > 1, (1 << np.maximum(classes - 2, 0)) + 1, classes)
    offsets = wanted - magnitudes
    for shift in range(int(classes.max(initial=0)) - 3, -1, -1):
        active = np.flatnonzero(classes - 2 > shift)
        given = (offsets[active] >> shift & 1).astype(np.int32)
        magnitudes[active] += coder.bits(given, np.full(len(active), HALF)).astype(np.int64) << shift
    return magnitudes


def code_plain(coder: BinaryCoder, value: int) -> int:
    """Code one signed integer without a model: Exp-Golomb magnitude and a sign, all chances even.

    Raises
    ------
    FormatError
        When a magnitude read is over 2**20.
    """
    target = abs(value) + 1
    length = 0
    while _plain_bit(coder, int(target >> length + 1 > 0)):
        length += 1
        if length > LAST_CLASS:
            raise FormatError(f"a wavelet coefficient is over 2**{LAST_CLASS}.", DAMAGED)
    magnitude = 1
    for shift in range(length - 1, -1, -1):
        magnitude = magnitude << 1 | _plain_bit(coder, target >> shift & 1)
    magnitude -= 1
    return -magnitude if magnitude and _plain_bit(coder, int(value < 0)) else magnitude


def code_norms(coder: BinaryCoder, count: int, exponents: Sequence[int] = ()) -> list[int]:
    """Code the exponents of `count` norms or, where none are given, read them: the first one, then differences.

    Raises
    ------
    FormatError
        When one read is out of 0 to MAX_EXPONENT.
    """
    before = 0
    coded: list[int] = []
    for index in range(count):
        given = exponents[index] - before if exponents else 0
        before += _code_difference(coder, given) if coded else code_plain(coder, given)
        if not 0 <= before <= MAX_EXPONENT:
            raise FormatError(f"the norm of wavelet picture {index + 1} is out of its range.", DAMAGED)
        coded.append(before)
    return coded


def _code_difference(coder: BinaryCoder, value: int) -> int:
    """Code a difference of exponents: mostly 0 or below."""
    if not _one_bit(coder, int(value != 0), CHANGES):
        return 0
    rises = _one_bit(coder, int(value > 0), RISES)
    size = 1
    while size <= MAX_EXPONENT and _one_bit(coder, int(abs(value) > size), CHANGES):
        size += 1
    return size if rises else -size


def _plain_bit(coder: BinaryCoder, bit: int) -> int:
    return _one_bit(coder, bit, HALF)


def _one_bit(coder: BinaryCoder, bit: int, chance: int) -> int:
    return int(coder.bits(np.array([bit], np.int32), np.array([chance]))[0])
