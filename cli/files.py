"""Opening what the user names, with the remarks that go with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli.console import Console

if TYPE_CHECKING:
    from lrmcodec.codec import LrmFile
    from lrmcodec.formats.clip import Clip

STREAM = "-"
"""Name that stands for stdin or stdout."""

DICOM_NOTE = ("lrmcodec does not de-identify: text burned into the pixels of a DICOM clip, such as a patient's name, "
              "stays in the pixels.")


def read_input(console: Console, path: str, *, gray: bool = False, size: tuple[int, int] | None = None,
               fps: float | None = None, start: float | None = None, duration: float | None = None,
               strict: bool = False) -> Clip:
    """Read a clip and cut it; the reader's warnings go to stderr and, with --json, to stdout.

    Raises
    ------
    ClipError
        As `read_clip`, and for any warning where `strict`.
    """
    from lrmcodec.formats.video import read_clip

    if path == STREAM:
        raise click.UsageError("a clip cannot be read from stdin; give the name of a file.")
    with console.progress() as progress:
        clip = read_clip(path, gray=gray, size=size, fps=fps, progress=progress)
    tell_warnings(console, path, clip.warnings, strict)
    if clip.metadata.get("source") == "dicom":
        console.note(DICOM_NOTE)
    return clip if start is None and duration is None else clip.cut(start, duration)


def tell_warnings(console: Console, path: str, warnings: Sequence[str], strict: bool = False) -> None:
    """Hand on what a reader warned of; with `strict` it is an error.

    Raises
    ------
    ClipError
    """
    from lrmcodec.formats.errors import ClipError

    if strict and warnings:
        raise ClipError(f"{path}: {'; '.join(warnings)}.", "Mend the input, or leave --strict out.")
    for text in warnings:
        console.warn(text, about=path)


def read_study(console: Console, path: str, clip: Clip, masked: bool = False) -> bytes:
    """Patient and study of the DICOM file that a clip was read from, as `codec.encode` stores them.

    `masked` says that only the ultrasound sector is left of the pixels.

    Raises
    ------
    ClipError
        When the file is not DICOM.
    """
    from lrmcodec.formats.errors import ClipError

    if clip.metadata.get("source") != "dicom":
        raise ClipError(f"{path} is no DICOM file, so it has no study to keep.", "Leave --keep-study out.")
    from lrmcodec.formats.dicom_study import StudyTags

    tags = StudyTags.read(path)
    if tags.left_out:
        console.warn(f"elements too long or malformed to be kept: {', '.join(tags.left_out)}", about=path)
    return (tags.masked() if masked else tags).to_bytes()


def open_lrm(path: str, **how: Any) -> LrmFile:
    """Open a .lrm file by name, or from stdin when the name is '-'; keyword arguments as of `reader.open`."""
    from lrmcodec import reader

    return reader.open(sys.stdin.buffer.read() if path == STREAM else path, **how)


def beside(source: str, ending: str) -> str:
    """Name of an output that stands beside the input: its name with `ending` in the place of its suffix.

    Only suffixes of clips are taken off: what follows the last dot of a UID, as archives call their files, stays.

    Raises
    ------
    OutputError
        When the input has no name, as the root of a disk.
    """
    from lrmcodec.formats.errors import OutputError
    from lrmcodec.formats.kinds import CLIP_SUFFIXES

    path = Path(source)
    if source and path.name in ("", ".."):  # a folder named by where it lies
        path = path.resolve()
    if not path.name:
        raise OutputError(f"{source!r} has no name to call the output by.", "Give -o OUT.")
    name = path.stem if path.suffix.lower() in CLIP_SUFFIXES else path.name
    return str(path.with_name(f"{name}{ending}"))


def refuse_same(output: str, *sources: str | None) -> None:
    """Refuse to write over what is read, which --force would allow.

    Raises
    ------
    OutputError
        When the output and one of the sources are the same file, by whatever names.
    """
    from lrmcodec.formats.errors import OutputError

    for source in sources:
        if source is not None and _is_same(source, output):
            raise OutputError(f"{output} is the input itself.", "Choose another output.")


def _is_same(a: str, b: str) -> bool:
    if Path(a).exists() and Path(b).exists():
        return Path(a).samefile(b)
    return os.path.realpath(a) == os.path.realpath(b)


def check_suffix(output: str, suffixes: Sequence[str]) -> None:
    """Refuse an output whose name does not end in one of `suffixes`, whatever its case.

    Raises
    ------
    OutputError
    """
    from lrmcodec.formats.errors import OutputError

    if Path(output).suffix.lower() not in suffixes:
        raise OutputError(f"{output} cannot be written: its name does not end in {' or '.join(suffixes)}.",
                          "Choose another output.")


def source_bytes(path: str) -> int | None:
    """Bytes of the input on disk; None for a folder of pictures."""
    return Path(path).stat().st_size if Path(path).is_file() else None


def amount(count: int, word: str) -> str:
    """Count and noun, for example '1 segment' or '1,024 frames'."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def shape(frames: int, height: int, width: int) -> str:
    """Frames and their size in words."""
    return f"{amount(frames, 'frame')} of {height} x {width} pixels"
