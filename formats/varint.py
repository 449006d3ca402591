"""Unsigned integers in seven-bit groups, least significant first (LEB128)."""

from __future__ import annotations

from lrmcodec.formats.errors import FormatError

MAX_BYTES = 9


def write_varint(value: int) -> bytes:
    """LEB128 bytes of an integer >= 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, offset: int, *, limit: int) -> tuple[int, int]:
    """Value at `offset` and the offset behind it.

    Raises
    ------
    FormatError
        When the bytes end inside the number or it exceeds `limit`.
    """
    value = 0
    for index in range(MAX_BYTES):
        if offset + index >= len(data):
            break
        byte = data[offset + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value > limit:
                raise FormatError(f"a number at byte {offset} is {value}, over the limit of {limit}.",
                                  "The file is damaged or was not written by lrmcodec.")
            return value, offset + index + 1
    raise FormatError(f"a number at byte {offset} does not end.", "The file is damaged; get another copy.")
