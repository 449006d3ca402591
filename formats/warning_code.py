"""Warnings about how a clip was read, to bytes and back: a line each, deflated with a dictionary of usual words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from lrmcodec.formats.errors import FormatError

MAX_WARNINGS_BYTES = 4096
"""Of the text before it is deflated; writers leave out what is beyond, readers refuse it."""

PHRASES = """\
pictures are missing from the numbering
has been cut off: its end is missing
was not read: it is one of several picture streams
frames are shown as far as they could be decoded
damaged packets were left out
transparent pixels were shown black
FFmpeg reports:
the file promises frames, could be decoded
color was turned gray
small colored marks (0.20% of the picture) were turned gray
frame times are missing, repeated or out of order: 30 frames a second are assumed
frame times are unknown: 25 frames a second are assumed"""
"""Preset dictionary (RFC 1950 section 2.2), frozen: usual ones last, where deflate reaches them at the least cost."""

_DAMAGED = "The file is damaged; get another copy."


def encode_warnings(warnings: Sequence[str]) -> bytes:
    """Payload of the warnings component; empty where there are none.

    Sentences are left out from the first that passes MAX_WARNINGS_BYTES on; what cannot be printed becomes a
    question mark.
    """
    lines: list[bytes] = []
    for text in warnings:
        line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split())).encode("utf-8", "replace")
        if sum(map(len, lines)) + len(lines) + len(line) > MAX_WARNINGS_BYTES:
            break
        lines.append(line)
    if not lines:
        return b""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, PHRASES.encode())
    return deflate.compress(b"\n".join(lines)) + deflate.flush()


def decode_warnings(payload: bytes) -> tuple[str, ...]:
    """Sentences of a warnings component.

    Raises
    ------
    FormatError
        When it is damaged or too long.
    """
    inflate = zlib.decompressobj(-15, PHRASES.encode())
    try:
        raw = inflate.decompress(payload, MAX_WARNINGS_BYTES + 1)
        text = raw.decode()
    except (zlib.error, ValueError) as error:
        raise FormatError("the warnings cannot be read.", _DAMAGED) from error
    lines = tuple(text.split("\n"))
    if not inflate.eof or inflate.unused_data or len(raw) > MAX_WARNINGS_BYTES or not all(map(_is_line, lines)):
        raise FormatError("the warnings are damaged or too long.", _DAMAGED)
    return lines


def _is_line(text: str) -> bool:
    return bool(text) and text.isprintable()
