"""Frame times to header fields and back: a rate where frames are even, microsecond ticks where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.entropy import MAX_MAGNITUDE, decode_ints, encode_ints
from lrmcodec.formats.errors import ClipError, FormatError
from lrmcodec.formats.varint import read_varint, write_varint

TICKS_PER_SECOND = 1_000_000
MAX_TICKS = 1 << 40  # twelve days
HALF_TICK_S = 0.5 / TICKS_PER_SECOND
MAX_RATE_TERM = 1_000_000
DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class Timing:
    """How frame times stand in a file.

    Attributes
    ----------
    rate_num, rate_den : int
        Frames a second as a fraction; 0 / 1 when frames are uneven.
    payload : bytes
        Content of the times component; empty when frames are even.
    """

    rate_num: int
    rate_den: int
    payload: bytes = b""


def encode_times(times_s: NDArray[np.float64]) -> Timing:
    """Choose the shortest form that keeps every time within half a microsecond.

    Raises
    ------
    ClipError
        When frames lie closer than a microsecond, or uneven ones too far apart.
    """
    rate = _even_rate(times_s)
    if rate is not None:
        return Timing(rate.numerator, rate.denominator)
    ticks = np.rint(times_s * TICKS_PER_SECOND).astype(np.int64)
    gaps = np.diff(ticks)
    if gaps.min() < 1 or ticks[-1] > MAX_TICKS:
        raise ClipError("frames lie closer than a microsecond, or the clip lasts over twelve days.",
                        "Correct the frame times.")
    unit = int(np.gcd.reduce(gaps))
    gaps = gaps // unit
    middle = int(np.median(gaps))
    if np.abs(gaps - middle).max() >= MAX_MAGNITUDE:
        raise ClipError("frame times have a gap of more than a quarter of an hour.", "Encode the clip in parts.")
    payload = write_varint(unit) + write_varint(middle) + encode_ints((gaps - middle)[None])
    return Timing(0, 1, payload)


def decode_times(timing: Timing, count: int) -> NDArray[np.float64]:
    """Frame times in seconds (count,), from 0.

    Raises
    ------
    FormatError
        When times do not increase or exceed the limit.
    """
    if timing.rate_num:
        return np.arange(count, dtype=np.float64) * timing.rate_den / timing.rate_num
    unit, offset = read_varint(timing.payload, 0, limit=MAX_TICKS)
    middle, offset = read_varint(timing.payload, offset, limit=MAX_TICKS)
    gaps = decode_ints(timing.payload[offset:], (1, count - 1))[0].astype(np.int64) + middle
    if not len(gaps) or unit < 1 or gaps.min() < 1 or unit * float(gaps.sum()) > MAX_TICKS:
        raise FormatError("frame times do not increase or exceed twelve days.",
                          "The file is damaged; get another copy.")
    ticks = np.concatenate([[0], np.cumsum(gaps)]) * unit
    return ticks / TICKS_PER_SECOND


def _even_rate(times_s: NDArray[np.float64]) -> Fraction | None:
    if len(times_s) == 1:
        return DEFAULT_RATE
    measured = (len(times_s) - 1) / float(times_s[-1])
    for limit in (1, 1001, MAX_RATE_TERM):
        rate = Fraction(measured).limit_denominator(limit)
        if not 0 < rate.numerator <= MAX_RATE_TERM:
            continue
        even = np.arange(len(times_s)) * rate.denominator / rate.numerator
        if np.abs(even - times_s).max() <= HALF_TICK_S:
            return rate
    return None
