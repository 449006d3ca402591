"""What FFmpeg says while it works: collected instead of muted, and put into plain words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import av
import av.logging

MAX_KINDS = 5
"""Different messages that are handed on; damage in one place makes FFmpeg say many things."""

MAX_LETTERS = 120

HARMLESS = re.compile(
    r"deprecated pixel format|detected only with low score|Estimating duration|Could not find codec parameters"
    r"|skipping unsupported chunk|Consider increasing|no timestamps|timestamps are unset|sample aspect ratio"
    r"|stts|whitelist|Last message repeated|mmco|number of reference frames|Multiple|max_analyze_duration"
    r"|If you want to help, upload"
    r"|st: \d+ edit list|Increasing reorder buffer|bogus|DTS .* out of order|pic->f|side data|Too many|no frame!"
)
"""Remarks that change no picture and no time, or stand beside a count of ours."""

IN_WORDS = (
    (r"CRC mismatch|checksum", "a checksum does not fit: pictures are damaged"),
    (r"concealing", "parts of pictures are damaged and were made up from their surroundings"),
    (r"ended prematurely|partial file|truncated|EOI missing|overread|Packet corrupt", "the data end too early"),
    (r"reference|co located|Missing key frame|first_mb_in_slice|unref short",
     "pictures that others build on are missing"),
    (r"LZW|VLC|vlc|bitstream|invalid|Invalid|error while decoding|Error|error|damaged|corrupt|bad|failed|illegal"
     r"|missing|broken|overflow|out of range|buffer size", "the data of pictures are damaged"),
    (r"is not implemented|Video codec \(", "something in the file is of a kind that it does not know"),
)
"""What messages mean, most telling ones first."""


def reason(error: Exception) -> str:
    """Short cause of an error of PyAV's."""
    return str(getattr(error, "strerror", "") or type(error).__name__).split(":")[0]


class FfmpegLog:
    """Counts of messages by kind, without what may name a file or a person."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._raw: list[tuple[int, str, str]] = []

    def drain(self) -> None:
        """Take over what was said since the last call, so that a flood of messages takes no memory."""
        for _, module, message in self._raw:
            kind = in_words(module, message)
            if kind and (kind in self._kinds or len(self._kinds) < MAX_KINDS):
                self._kinds[kind] += 1
        self._raw.clear()

    @property
    def sentences(self) -> list[str]:
        """A sentence for each kind of message."""
        return [f"FFmpeg reports: {kind}" for kind in self._kinds]


@contextmanager
def ffmpeg_log() -> Iterator[FfmpegLog]:
    """Collect FFmpeg's warnings and errors of this thread; decoders must run in it, without threads of their own."""
    log, level = FfmpegLog(), av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as log._raw:
            yield log
            log.drain()
    finally:
        av.logging.set_level(level)


def in_words(module: str, message: str) -> str:
    """Plain words for one message; empty where it is of no concern.

    A message that is not known is handed on with its numbers and whatever stands in quotes left out: file names and
    texts of the file are there.
    """
    if HARMLESS.search(message):
        return ""
    for pattern, words in IN_WORDS:
        if re.search(pattern, message):
            return f"{words} ({module.split(',')[0]})"
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|\S*[/\\]\S*|0x[0-9a-fA-F]+|\d+", "...", message)
    return f"{' '.join(plain.split())[:MAX_LETTERS]} ({module.split(',')[0]})"
