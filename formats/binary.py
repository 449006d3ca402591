"""Arrays of binary decisions to bytes and back: range coding with a given integer chance for each decision.

The coder is the queue coder of `constriction` with 32-bit words, whose arithmetic SPEC.md states. The bytes end with
the shortest tail that names a number in the coder's last interval; readers supply zeros behind it.
"""

from __future__ import annotations

from typing import Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.entropy import DAMAGED
from lrmcodec.formats.errors import FormatError

CHANCE_BITS = 16
HALF = 1 << CHANCE_BITS - 1
WORD_BYTES = 4
AHEAD_WORDS = 2  # of the decoder's state, beyond the words that it is done with

Chances = NDArray[np.int64]
Bits = NDArray[np.int32]


class BinaryCoder(Protocol):
    """Decisions through the range coder: returns those given (encoder) or read (decoder)."""

    def bits(self, bits: Bits, chances: Chances) -> Bits:
        """Code `bits` (n,), 0 or 1, whose chances of being 1 are `chances` / 2**16, each from 1 to 65535."""


class BinaryEncoder:
    """Collects decisions; `finish` gives the bytes."""

    def __init__(self) -> None:
        self._range = constriction.stream.queue.RangeEncoder()
        self._model = constriction.stream.model.Bernoulli(perfect=False)

    def bits(self, bits: Bits, chances: Chances) -> Bits:
        """Append decisions; see `BinaryCoder`."""
        if bits.size:
            self._range.encode(np.ascontiguousarray(bits), self._model, chances / float(1 << CHANCE_BITS))
        return bits

    @property
    def words(self) -> int:
        """Whole words that the decisions so far take."""
        return int(self._range.pos()[0])

    def finish(self) -> bytes:
        """All bytes, big-endian words with the shortest possible end."""
        words, (lower, size) = self._range.pos()
        data: bytes = self._range.get_compressed().astype(">u4").tobytes()
        head, tail = data[:WORD_BYTES * words], data[WORD_BYTES * words:]
        return (head + _shortest(tail, lower, size)).rstrip(b"\0")


class BinaryTape:
    """Keeps decisions for an encoder that must write others first.

    Attributes
    ----------
    cost_bits : float
        What the decisions kept so far cost.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Bits, Chances]] = []
        self.cost_bits = 0.0

    def bits(self, bits: Bits, chances: Chances) -> Bits:
        """Keep decisions; see `BinaryCoder`."""
        self._kept.append((bits, chances))
        self.cost_bits += _cost_bits(bits, chances)
        return bits

    def play(self, coder: BinaryCoder) -> None:
        """Code everything that was kept."""
        for bits, chances in self._kept:
            coder.bits(bits, chances)


class BinaryDecoder:
    """Reads decisions from `data`."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % WORD_BYTES)
        self._range = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))
        self._model = constriction.stream.model.Bernoulli(perfect=False)

    def bits(self, bits: Bits, chances: Chances) -> Bits:
        """Read as many decisions as `chances` has; `bits` is not looked at.

        Raises
        ------
        FormatError
            On bytes that no encoder writes.
        """
        if not chances.size:
            return np.zeros(0, np.int32)
        try:
            read = self._range.decode(self._model, chances / float(1 << CHANCE_BITS))
        except AssertionError as error:  # what constriction raises on impossible data
            raise FormatError("range-coded decisions are not valid.", DAMAGED) from error
        return np.asarray(read, np.int32)


class CountingDecoder(BinaryDecoder):
    """A decoder that knows how far it has looked, for bytes that may be cut off.

    What was read is coded again, which takes an encoder as many words as the decoder has gone through: the decoder
    itself does not say it.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._again = BinaryEncoder()

    def bits(self, bits: Bits, chances: Chances) -> Bits:
        """Read decisions; see `BinaryDecoder`."""
        return self._again.bits(super().bits(bits, chances), chances)

    @property
    def seen_bytes(self) -> int:
        """Bytes that may have had a part in the decisions so far: those behind them can be missing."""
        return WORD_BYTES * (self._again.words + AHEAD_WORDS)


class WeighingDecoder(BinaryDecoder):
    """A decoder that adds up what the decisions cost, minus the binary logarithms of their chances.

    Attributes
    ----------
    cost_bits : float
        Of the decisions so far.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.cost_bits = 0.0

    def bits(self, bits: Bits, chances: Chances) -> Bits:
        """Read decisions; see `BinaryDecoder`."""
        read = super().bits(bits, chances)
        self.cost_bits += _cost_bits(read, chances)
        return read


def _cost_bits(bits: Bits, chances: Chances) -> float:
    """Minus the binary logarithms of the chances of what came, summed."""
    taken = np.where(bits > 0, chances, (1 << CHANCE_BITS) - chances)
    return CHANCE_BITS * len(bits) - float(np.log2(taken).sum())


def _shortest(tail: bytes, lower: int, size: int) -> bytes:
    """Fewest bytes that, with zeros behind, lie in the interval that `tail` lies in."""
    value = int.from_bytes(tail[:8].ljust(8, b"\0"), "big")
    if not lower <= value < lower + size:  # the interval wraps into the words before: leave the tail alone
        return tail
    for count in range(9):
        unit = 1 << 8 * (8 - count)
        candidate = -(-lower // unit) * unit
        if candidate < min(lower + size, 1 << 64):
            return (candidate >> 8 * (8 - count)).to_bytes(count, "big")
    return tail
