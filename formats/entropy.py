"""Integer arrays to bytes and back: context-adaptive binary range coding with integer probabilities.

A row is one component, a column one position along time or frequency. Each magnitude is predicted from its
neighbors already coded (two to the left, three in the row above), so no scale table needs to be sent; the
probabilities adapt as integers and are handed to the range coder as exact multiples of 2**-16, hence the same
symbols come out on every machine. Binarization: zero flag, unary up to UNARY_LIMIT, Exp-Golomb beyond (the
scheme of CABAC: Marpe, Schwarz and Wiegand 2003, 10.1109/TCSVT.2003.815173), low bits of large magnitudes plain,
signs plain. Normative text: SPEC.md, section Integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import constriction
import numpy as np
import zstandard
from numpy.typing import NDArray

from lrmcodec.formats.errors import FormatError

MODE_ADAPTIVE, MODE_ZSTD = 0, 1
START_LEVELS = 16  # an encoder names the first context magnitude: 0, 1, 2, 4, ... 2**14
PROB_BITS = 16
FAST_SHIFT, SLOW_SHIFT = 4, 7
CLASSES = 28
UNARY_LIMIT = 12
MAX_GOLOMB = 31
MAX_MAGNITUDE = 1 << 30
MAX_COUNT = 1 << 20  # integers of one payload; bounds what a few crafted bytes can make a reader do
DAMAGED = "The file is damaged; get another copy."


class _Coder(Protocol):
    """One bit through the range coder: returns the bit given (encoder) or read (decoder)."""

    def bit(self, bit: int, probability: int) -> int: ...


def encode_ints(values: NDArray[np.integer], *, thorough: bool = True) -> bytes:
    """Code integers (rows, n) of magnitude below 2**30; an all-zero array takes no bytes.

    The shorter of adaptive coding (best of a few starting levels) and zstd of the packed integers is kept. Without
    `thorough`, one starting level is tried, for a size that is a few bytes too large.
    """
    if values.size > MAX_COUNT:
        raise ValueError(f"{values.size} integers, at most {MAX_COUNT} fit one payload")
    if not values.any():
        return b""
    if int(np.abs(values.astype(np.int64)).max()) >= MAX_MAGNITUDE:
        raise ValueError("magnitudes must stay below 2**30")
    rows = values.tolist()
    levels = _levels(values)
    if not thorough:
        return bytes((MODE_ADAPTIVE << 4 | levels[-1],)) + _encode_adaptive(rows, levels[-1]).data
    coded, level = min(((_encode_adaptive(rows, level), level) for level in levels), key=lambda one: len(one[0].data))
    packed = values.astype("<i4").T.tobytes()
    tries = [bytes((MODE_ADAPTIVE << 4 | level,)) + _shorten(coded),
             bytes((MODE_ZSTD << 4,)) + zstandard.ZstdCompressor(level=19, write_checksum=False).compress(
                 _shuffle(packed))]
    return min(tries, key=len)


def decode_ints(data: bytes, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Integers (rows, n) int32 from `encode_ints`.

    Raises
    ------
    FormatError
        When the bytes do not decode to that many integers, or these are more than MAX_COUNT.
    """
    if shape[0] * shape[1] > MAX_COUNT:
        raise FormatError(f"{shape[0] * shape[1]} integers in one payload, at most {MAX_COUNT} are allowed.", DAMAGED)
    if not data:
        return np.zeros(shape, np.int32)
    if not shape[0] * shape[1]:
        raise FormatError("bytes are given for no integers.", DAMAGED)
    mode, level = data[0] >> 4, data[0] & 15
    if mode == MODE_ADAPTIVE:
        return np.array(_decode_adaptive(data[1:], shape, level), np.int32).reshape(shape)
    if mode == MODE_ZSTD and level == 0:
        return _decode_zstd(data[1:], shape)
    raise FormatError(f"integers are coded in mode byte {data[0]:#04x}, known are 0x00 to 0x10.", DAMAGED)


def _levels(values: NDArray[np.integer]) -> list[int]:
    """Starting levels worth trying: around the size of the first column."""
    guess = int(np.abs(values[:, :1]).max()).bit_length()
    return sorted({min(guess + step, START_LEVELS - 1) for step in (0, 1, 2)})


def _shorten(coded: _Coded) -> bytes:
    """Drop bytes from the end of an adaptive payload while it decodes alike, rounding the last one up or not.

    The range coder ends on a 32-bit word; usually one to three bytes fewer name a number in its final interval.
    """
    data = shortest = coded.data
    for length in range(len(data) - 1, max(len(data) - 5, 0), -1):
        for last in {data[length - 1], min(data[length - 1] + 1, 255)}:
            candidate = data[:length - 1] + bytes((last,))
            if coded.is_named_by(candidate):
                shortest = candidate
    return shortest


def _shuffle(packed: bytes) -> bytes:
    """Bytes of 4-byte integers regrouped by significance, which zstd packs better."""
    return np.frombuffer(packed, np.uint8).reshape(-1, 4).T.tobytes()


def _decode_zstd(data: bytes, shape: tuple[int, int]) -> NDArray[np.int32]:
    size = 4 * shape[0] * shape[1]
    try:
        if zstandard.frame_content_size(data) != size:
            raise FormatError("packed integers do not have the promised count.", DAMAGED)
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"packed integers cannot be read ({error}).", DAMAGED) from error
    packed = np.frombuffer(raw, np.uint8).reshape(4, -1).T.tobytes()
    values = np.frombuffer(packed, "<i4").reshape(shape[::-1]).T.astype(np.int32)
    if ((values <= -MAX_MAGNITUDE) | (values >= MAX_MAGNITUDE)).any():
        raise FormatError("an integer is over 2**30.", DAMAGED)
    return values


@dataclass(frozen=True)
class _Coded:
    """Range-coded bytes, and the interval of numbers of `size` bytes that all decode to the same bits.

    The intervals of a range coder are nested, so that a number decodes alike exactly if it lies in the last one.
    """

    data: bytes
    size: int
    lower: int
    width: int

    def is_named_by(self, data: bytes) -> bool:
        """Whether other bytes, to which the reader supplies zeros, decode alike."""
        return 0 <= int.from_bytes(data.ljust(self.size, b"\0")) - self.lower < self.width


class _Encoder:
    def __init__(self) -> None:
        self._range = constriction.stream.queue.RangeEncoder()

    def bit(self, bit: int, probability: int) -> int:
        self._range.encode(bit, _model(probability))
        return bit

    def finish(self) -> _Coded:
        """Big-endian words; zero bytes at the end are dropped, the reader supplies zeros.

        The coder's state is the interval in the two words that follow those written, without what was carried.
        """
        words: bytes = self._range.get_compressed().astype(">u4").tobytes()
        written, (lower, width) = self._range.pos()
        size = 4 * (written + 2)
        inside = int.from_bytes(words.ljust(size, b"\0"))
        return _Coded(words.rstrip(b"\0"), size, inside - (inside - lower) % (1 << 64), width)


class _Decoder:
    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % 4)
        words = np.frombuffer(padded, ">u4").astype(np.uint32)
        self._range = constriction.stream.queue.RangeDecoder(words)

    def bit(self, bit: int, probability: int) -> int:
        try:
            return int(self._range.decode(_model(probability)))
        except AssertionError as error:  # what constriction raises on impossible data
            raise FormatError("range-coded integers are not valid.", DAMAGED) from error


_MODELS: dict[int, object] = {}


def _model(probability: int) -> object:
    """Bernoulli model whose chance of a one is probability / 2**16, exactly representable."""
    if probability not in _MODELS:
        _MODELS[probability] = constriction.stream.model.Bernoulli(probability / (1 << PROB_BITS), perfect=False)
    return _MODELS[probability]


HALF = 1 << PROB_BITS - 1
LEAST, MOST = 32, (1 << PROB_BITS) - 32
SHIFTS = tuple((min(2 + (seen >> 1), FAST_SHIFT), min(2 + (seen >> 1), SLOW_SHIFT)) for seen in range(2 * SLOW_SHIFT))
"""Of the fast and the slow estimate, by the bits seen before; the last ones stay."""


class _AdaptiveBit:
    """Chance of a one as the mean of a fast and a slow estimate, 16-bit integers; quick at the start."""

    __slots__ = ("fast", "seen", "slow")

    def __init__(self, probability: int) -> None:
        self.fast = self.slow = probability
        self.seen = 0

    def code(self, coder: _Coder, bit: int) -> int:
        # multiples of 32 keep the table of models small; never 0 or 1
        probability = (self.fast + self.slow) >> 6 << 5
        bit = coder.bit(bit, LEAST if probability < LEAST else MOST if probability > MOST else probability)
        target = bit << PROB_BITS
        fast_shift, slow_shift = SHIFTS[self.seen]
        if self.seen < len(SHIFTS) - 1:
            self.seen += 1
        self.fast += (target - self.fast) >> fast_shift
        self.slow += (target - self.slow) >> slow_shift
        return bit


class _Contexts:
    """Adaptive bits of every context class, started from a geometric law of the class's mean magnitude."""

    def __init__(self) -> None:
        self._bits: list[list[_AdaptiveBit]] = [[] for _ in range(CLASSES + 1)]

    def unary(self, group: int, index: int) -> _AdaptiveBit:
        """Bit that says 'larger than index' in context class `group`; indices come without gaps."""
        bits = self._bits[group]
        if index == len(bits):
            bits.append(_AdaptiveBit(_start_probability(group, index)))
        return bits[index]


def _start_probability(group: int, index: int) -> int:
    """Mean magnitude mu of a class gives 'larger than index' the chance mu / (1 + mu); mu = 2**(group/2 - 4).

    The Exp-Golomb prefix, group CLASSES, starts even.
    """
    if group == CLASSES:
        return HALF
    mean_256 = (256 << (group + 1) // 2 >> 4) if group % 2 == 0 else (362 << group // 2 >> 4)
    mean_256 = max(mean_256, 8) + (64 if index else 0)  # beyond zero the tail is heavier than geometric
    return (mean_256 << PROB_BITS) // (256 + mean_256)


def _code_rows(coder: _Coder, rows: list[list[int]], level: int) -> None:
    """Code `rows` in place; a decoder passes rows of zeros, which this fills."""
    contexts = _Contexts()
    width = len(rows[0]) if rows else 0
    above = [0] * (width + 1)
    first = 1 << level >> 1
    for index, row in enumerate(rows):
        start = (above[0] * 3 + above[1] >> 1) if index else first
        left, left2 = start, start
        magnitudes = [0] * (width + 1)
        for column in range(width):
            over = 2 * above[column] + above[column + 1] + above[column - 1 if column else 0]
            context = 4 * left + 2 * left2 + (over if index else 2 * left)
            magnitude = _code_magnitude(coder, contexts, _class(context), abs(row[column]))
            sign = coder.bit(int(row[column] < 0), HALF) if magnitude else 0
            row[column] = -magnitude if sign else magnitude
            magnitudes[column] = magnitude
            left, left2 = magnitude, left
        magnitudes[width] = magnitudes[width - 1]
        above = magnitudes


def _class(context: int) -> int:
    """Half-octave class of a weighted neighbor sum (weights add to 10): 0 for 0, then up to CLASSES - 1."""
    if context < 2:
        return context
    top = context.bit_length() - 1
    return min(2 * top + (context >> top - 1 & 1), CLASSES - 1)


def _code_magnitude(coder: _Coder, contexts: _Contexts, group: int, magnitude: int) -> int:
    """Code one magnitude >= 0; classes of large values send their low bits plain."""
    shift = max((group - 11) // 2, 0)
    high = _code_unary(coder, contexts, group, magnitude >> shift)
    low = _code_plain(coder, magnitude & ((1 << shift) - 1), shift)
    return high << shift | low


def _code_unary(coder: _Coder, contexts: _Contexts, group: int, value: int) -> int:
    index = 0
    while index < UNARY_LIMIT:
        if not contexts.unary(group, index).code(coder, int(value > index)):
            return index
        index += 1
    return UNARY_LIMIT + _code_golomb(coder, contexts, value - UNARY_LIMIT)


def _code_golomb(coder: _Coder, contexts: _Contexts, value: int) -> int:
    """Exp-Golomb code of order 0 with an adaptive prefix."""
    length = 0
    target = (max(value, 0) + 1).bit_length() - 1
    while contexts.unary(CLASSES, length).code(coder, int(target > length)):
        length += 1
        if length > MAX_GOLOMB:
            raise FormatError("an integer is over 2**31.", DAMAGED)
    return (1 << length | _code_plain(coder, (value + 1) & ((1 << length) - 1), length)) - 1


def _code_plain(coder: _Coder, value: int, count: int) -> int:
    out = 0
    for position in range(count - 1, -1, -1):
        out = out << 1 | coder.bit(value >> position & 1, HALF)
    return out


def _encode_adaptive(rows: list[list[int]], level: int) -> _Coded:
    coder = _Encoder()
    _code_rows(coder, [list(row) for row in rows], level)
    return coder.finish()


def _decode_adaptive(data: bytes, shape: tuple[int, int], level: int) -> list[list[int]]:
    rows = [[0] * shape[1] for _ in range(shape[0])]
    _code_rows(_Decoder(data), rows, level)
    if any(abs(value) >= MAX_MAGNITUDE for row in rows for value in row):
        raise FormatError("an integer is over 2**30.", DAMAGED)
    return rows
