"""Writing files and folders whole or not at all.

Everything is written under a hidden name beside the target, flushed to the disk, and renamed. A failure, a
full disk or Ctrl-C therefore never leaves a partial output under the final name, nor harms an older one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from lrmcodec.formats.errors import OutputError

_HINTS = {
    errno.ENOSPC: "Free some space or choose another disk.",
    errno.EDQUOT: "Free some space or choose another disk.",
    errno.EACCES: "Choose a folder in which you may write.",
    errno.EPERM: "Choose a folder in which you may write.",
    errno.EROFS: "Choose a folder in which you may write.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def check_writable(path: str | os.PathLike[str], force: bool = False) -> Path:
    """Refuse now what `atomic_path` would refuse after a long computation.

    Parameters
    ----------
    path : path
        The file or folder to be written.
    force : bool
        Whether an existing output may be replaced.

    Returns
    -------
    Path
        The target with symbolic links resolved, so that a link is kept and what it points to is replaced.

    Raises
    ------
    OutputError
        When the target exists and `force` is false, is neither a file nor a folder of frames, or when its
        folder is missing or not writable.
    """
    with _explained(path):
        return _checked_target(path, force)


def _checked_target(path: str | os.PathLike[str], force: bool) -> Path:
    target = Path(os.path.realpath(path))
    parent = target.parent
    if not parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {parent}.", "Create it first.")
    if not os.access(parent, os.W_OK | os.X_OK):
        what = f"{path} cannot be written: no permission to write in {parent}."
        raise OutputError(what, _HINTS[errno.EACCES])
    if target.exists():
        _check_replaceable(target, path, force)
    return target


def _check_replaceable(target: Path, path: str | os.PathLike[str], force: bool) -> None:
    if not (target.is_file() or target.is_dir()):
        raise OutputError(f"{path} is not a regular file.", "Choose another output.")
    if target.is_dir():
        names = [entry.name for entry in target.iterdir()]
        if any(not name.endswith(".png") and name != "clip.json" for name in names):
            # A wrong path with --force must never delete somebody's folder.
            what = f"{path} is a folder that holds other files than frames."
            raise OutputError(what, "Choose another output.")
        if not names:
            return  # nothing is lost
    if not force:
        raise OutputError(f"{path} exists.", "Pass --force to replace it.")


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path} cannot be written: {reason}.", _HINTS.get(error.errno or 0, "")) from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write, and rename it when the block ends well.

    Parameters
    ----------
    path : path
        The final name.
    force : bool
        Whether an existing output may be replaced.

    Yields
    ------
    Path
        A name of the same suffix in the same folder that does not exist yet; the block creates a file or a
        folder there. It is removed when the block raises anything, KeyboardInterrupt included.

    Raises
    ------
    OutputError
        As `check_writable`, and for every OSError inside the block (no space, no permission).
    """
    target = check_writable(path, force)
    # The stem is cut so that a name near the limit of the file system stays below it.
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(6)}{target.suffix}")
    try:
        with _explained(path):
            yield temporary
            _flush(temporary)
            check_writable(path, force)  # somebody else may have written it meanwhile
            _rename(temporary, target, force)
    finally:
        _remove(temporary)


def write_atomic(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises
    ------
    OutputError
        As `atomic_path`.
    """
    with atomic_path(path, force) as temporary:
        temporary.write_bytes(data)


def _flush(path: Path) -> None:
    """Have the system put a file, or a folder and its files, on the disk; disk-full may show only here."""
    if path.is_dir():
        for entry in path.iterdir():
            _flush(entry)
    _sync(path)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(temporary: Path, target: Path, force: bool) -> None:
    """Put `temporary` in the place of `target`; a folder to be replaced is moved aside first."""
    if not target.is_dir():
        if force or temporary.is_dir() or not _linked(temporary, target):
            temporary.replace(target)
    else:
        aside = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.old")
        target.rename(aside)
        try:
            temporary.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        _remove(aside)
    with contextlib.suppress(OSError):  # some file systems refuse to sync folders; the file itself is safe
        _sync(target.parent)  # so that the new name survives a power cut


def _linked(temporary: Path, target: Path) -> bool:
    """Give the file its name only if nobody has it, of two processes to one; false where the disk cannot do that.

    Raises
    ------
    OutputError
        When the target has come to exist.
    """
    try:
        os.link(temporary, target)
    except FileExistsError as error:
        raise OutputError(f"{target} exists.", "Pass --force to replace it.") from error
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    """Remove a file or a folder, as far as that is possible: what matters has been done or has failed before."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
