"""Warnings about how a clip was read, to bytes and back: a line each, deflated with a dictionary of usual words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from lrmcodec.formats.errors import FormatError

MAX_WARNINGS_BYTES = 4096
"""Of the text before it is deflated; writers leave out what is beyond, readers refuse it."""

PHRASES = """\
the file asks for a turn that is no quarter turn: it was not made
numbers of pictures stand more than once in their names
pictures of other kinds in the folder were not read: 1
pictures are missing from the numbering: 1 (7)
PhotometricInterpretation says RGB, pictures are gray
NumberOfFrames is missing or makes no sense; 20 frames are stored
the file holds 20 coded pictures, 19 could be decoded
the file promises 1.600 s, its pictures end at 0.960 s
picture stream 1 of 2 was not read: h264, 480 x 640 pixels, 20 packets
samples of 10 bits were rounded to 8
frames from 19 on could not be decoded
FFmpeg reports: a checksum does not fit: pictures are damaged (ffv1)
FFmpeg reports: the data end too early (mov)
FFmpeg reports: the data of pictures are damaged (h264)
frames damaged in part: 1
damaged packets left out: 1
the file is cut off: its end is missing
the file promises 20 frames, 21 were found and read
the file promises 20 frames, 19 could be decoded
transparent pixels were shown black
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
