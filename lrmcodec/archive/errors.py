"""What can go wrong with an archive."""

from __future__ import annotations

from lrmcodec.formats.errors import LrmError


class ArchiveError(LrmError):
    """An archive is missing, locked, damaged, or made under other settings."""
