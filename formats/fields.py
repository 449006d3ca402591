"""Fields of headers: one table of them drives writing, reading and the check against SPEC.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.varint import read_varint, write_varint

MAX_FILE_BYTES = (1 << 32) - 1
DAMAGED = "The file is damaged; get another copy."
CUT_OR_DAMAGED = ("The file is damaged or cut off; get another copy. 'lrmcodec decode --partial' shows what there is "
                  "of one that was cut off.")


@dataclass(frozen=True)
class Field:
    """One header field: its name in SPEC.md, its type, the largest and the least value allowed."""

    name: str
    kind: str  # "raw N" bytes, "u8", "u32" (little-endian) or "varint"
    limit: int = 0
    least: int = 0


def write_fields(fields: Sequence[Field], **values: Any) -> bytes:
    """Bytes of the fields, in order; FormatError over a limit, ValueError when raw bytes have another length."""
    return b"".join(_write_field(field, values[field.name]) for field in fields)


def read_fields(fields: Sequence[Field], data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Values by name and the offset behind them; FormatError when the bytes end or a value is out of its limits."""
    values: dict[str, Any] = {}
    for field in fields:
        values[field.name], at = _read_field(field, data, at)
    return values, at


def _write_field(field: Field, value: Any) -> bytes:
    if field.kind.startswith("raw"):
        if len(value) != _fixed_bytes(field.kind):
            raise ValueError(f"{field.name} has {len(value)} bytes, not {_fixed_bytes(field.kind)}")
        return bytes(value)
    if not field.least <= value <= field.limit:
        raise FormatError(f"{field.name} is {value}, allowed are {field.least} to {field.limit}.")
    if field.kind == "varint":
        return write_varint(value)
    return int(value).to_bytes(1 if field.kind == "u8" else 4, "little")


def _read_field(field: Field, data: bytes, at: int) -> tuple[Any, int]:
    value: Any
    if field.kind == "varint":
        value, end = read_varint(data, at, limit=MAX_FILE_BYTES)
    else:
        end = at + _fixed_bytes(field.kind)
        if end > len(data):
            raise FormatError(f"the file ends inside {field.name} at byte {at}.", DAMAGED)
        if field.kind.startswith("raw"):
            return data[at:end], end
        value = int.from_bytes(data[at:end], "little")
    if not field.least <= value <= field.limit:
        raise FormatError(f"{field.name} at byte {at} is {value}, allowed are {field.least} to {field.limit}.", DAMAGED)
    return value, end


def _fixed_bytes(kind: str) -> int:
    return int(kind.split()[1]) if kind.startswith("raw") else {"u8": 1, "u32": 4}[kind]
