"""Lookup tables of DICOM: modality, VOI and palettes, in every way their entries are stored.

pydicom's functions for them take 16-bit entries in the byte order of the machine, and trust the number of bits in the
descriptor; both are wrong in files that exist, hence these.

References are to DICOM PS3.3, 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.multival import MultiValue

from lrmcodec.formats.dicom_header import Header
from lrmcodec.formats.errors import ClipError

MAX_ENTRIES = 1 << 16


@dataclass(frozen=True)
class Lut:
    """A table of values from `first` on; what lies outside takes the nearest entry (C.11.1.1 and C.7.6.3.1.5).

    Attributes
    ----------
    first : int
        The value that the first entry stands for.
    entries : ndarray, (n,) int64
        At least one.
    bits : int
        Bits of an entry, 8 to 16: they go from 0 to 2 ** bits - 1.
    """

    first: int
    entries: NDArray[np.int64]
    bits: int

    def __call__(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Entries for values of any shape."""
        top = len(self.entries) - 1
        places = np.clip(np.floor(np.nan_to_num(values)) - self.first if values.dtype.kind == "f"
                         else values.astype(np.int64) - self.first, 0, top)
        return np.asarray(self.entries[places.astype(np.int64)])

    def brightness(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Entries as 0 black to 1 white."""
        return self(values) / float((1 << self.bits) - 1)

    def levels(self) -> NDArray[np.uint8]:
        """All entries as levels, (n,): the upper 8 bits, as viewers show palettes."""
        return (self.entries >> (self.bits - 8)).astype(np.uint8)


def read_lut(header: Header, descriptor: str, data: str, name: str, little_endian: bool, signed: bool) -> Lut:
    """Read the table whose elements are called `descriptor` and `data`, or, in segments, "Segmented" + `data`.

    Parameters
    ----------
    signed : bool
        Whether the values that go in are signed.

    Raises
    ------
    ClipError
        When the table is missing, empty or makes no sense.
    """
    described = [int(number) for number in header.numbers(descriptor)]
    if len(described) != 3 or not 8 <= described[2] <= 16:
        raise ClipError(f"{name}: the lookup table has no usable {descriptor}.", "Get another copy of the file.")
    count, first, bits = described[0] % MAX_ENTRIES or MAX_ENTRIES, described[1], described[2]
    if signed and first >= 1 << 15:
        first -= 1 << 16
    segmented = not header.has(data) and header.has(f"Segmented{data}")
    source = f"Segmented{data}" if segmented else data
    words = _words(header.value(source), header.vr(source), count, bits if segmented else 0, little_endian)
    entries = _expanded(words, bits) if segmented else words[:count]
    if not len(entries):
        raise ClipError(f"{name}: the lookup table {data} is empty or damaged.", "Get another copy of the file.")
    return Lut(first, entries, _true_bits(entries, bits))


def _true_bits(entries: NDArray[np.int64], bits: int) -> int:
    """Bits that entries really have: writers put 8-bit entries into 16-bit words and count either."""
    top = int(entries.max())
    if top < 1 << 8:
        return 8
    return bits if top < 1 << bits else 16


def _words(value: Any, vr: str, count: int, bits: int, little_endian: bool) -> NDArray[np.int64]:
    """Entries as stored: 8-bit ones where there are no more bytes than entries, else 16-bit words.

    `bits` is that of the words of segmented tables, and 0 for others, whose length tells.
    """
    if isinstance(value, (MultiValue, list, tuple, int)):
        words = np.array([value] if isinstance(value, int) else list(value), np.int64) & 0xFFFF
        if bits != 8 and (bits or len(words) >= count):
            return words
        value, little_endian, vr = words.astype("<u2").tobytes(), True, "OB"
    if not isinstance(value, bytes):
        return np.zeros(0, np.int64)
    swapped = not little_endian and vr == "OW"
    if bits == 8 or (not bits and len(value) < 2 * count):
        pairs = np.frombuffer(value[: len(value) // 2 * 2], ">u2" if swapped else "<u2")
        tail = value[len(pairs) * 2 :]
        return np.frombuffer(pairs.astype("<u2").tobytes() + tail, np.uint8).astype(np.int64)
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little_endian else ">u2").astype(np.int64)


def _expanded(words: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Entries of a segmented table: runs, straight lines, and repetitions of earlier segments (C.7.9.2)."""
    table: list[int] = []
    _expand(words.tolist(), 0, len(words), 1 if bits == 8 else 2, table, repeats=True)
    return np.array(table[:MAX_ENTRIES], np.int64)


def _expand(words: list[int], position: int, segments: int, size: int, table: list[int], repeats: bool) -> None:
    """Append up to `segments` segments from `position` on to `table`; stops where the data end."""
    while position + 2 < len(words) + 1 and segments > 0 and len(table) <= MAX_ENTRIES:
        code, length = words[position : position + 2]
        rest = words[position + 2 :]
        segments -= 1
        if code == 0:
            table += rest[:length]
            position += 2 + length
        elif code == 1 and rest and table and length:
            steps = np.rint(table[-1] + (rest[0] - table[-1]) * np.arange(1, length + 1) / length)
            table += steps.astype(int).tolist()
            position += 3
        elif code == 2 and repeats and len(rest) >= 4 // size:
            parts = rest[: 4 // size]
            offset = sum(part << (8 * size * i) for i, part in enumerate(parts))
            _expand(words, offset // size, length, size, table, repeats=False)
            position += 2 + 4 // size
        else:
            return
