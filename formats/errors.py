"""Errors a user can act on: what happened, where, and what to do next."""

from __future__ import annotations


class LrmError(Exception):
    """Base of every expected failure; the command line prints it and exits with 1.

    Parameters
    ----------
    what : str
        What went wrong and where (file, field, byte offset), in one sentence.
    hint : str
        What the reader can do about it; may be empty.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what} {hint}".rstrip())


class ClipError(LrmError):
    """An input clip is missing, damaged, empty or of a kind that is refused."""


class FormatError(LrmError):
    """Bytes are not a valid .lrm file (wrong magic, newer version, truncated, damaged, over a limit)."""


class PackError(LrmError):
    """A decoder pack is missing, damaged or not the one that a file names."""


class TargetError(LrmError):
    """A requested rate, quality, rank, size or time cannot be met; the hint says what can."""


class OutputError(LrmError):
    """An output cannot be written (exists, no space, no permission, unknown type)."""


class DeviceError(LrmError):
    """A device to compute on is asked for that does not exist or is not here."""
