"""Pipes into temporary files: readers go back and forth in what they read."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lrmcodec.formats.errors import ClipError


@contextlib.contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """Give `path` itself where it is a file or a folder, and a temporary copy of what comes through a pipe.

    Raises
    ------
    ClipError
        For devices and sockets, and when no temporary space is left.
    """
    if path.is_file() or path.is_dir() or not path.exists():
        yield path
    elif path.is_fifo():
        with tempfile.TemporaryDirectory(prefix="lrmcodec-") as folder:
            copy = Path(folder) / f"pipe{path.suffix}"
            _copy(path, copy)
            yield copy
    else:
        raise ClipError(f"{path} is a device or a socket, not a file.", "Name a file, a folder or a pipe.")


def _copy(path: Path, copy: Path) -> None:
    with path.open("rb") as source, copy.open("wb") as target:
        try:
            shutil.copyfileobj(source, target, 1 << 20)
        except OSError as error:
            what = f"{path} needs more temporary space than {tempfile.gettempdir()} has: {error.strerror}."
            raise ClipError(what, "Set TMPDIR to a larger disk, or save it as a file first.") from error
