"""Blanking what lies outside the ultrasound sector, and warnings about what is written in the picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli.console import Console
from lrmcodec.cli.files import amount

if TYPE_CHECKING:
    from lrmcodec.formats.clip import Clip
    from lrmcodec.formats.dicom_regions import Regions


def mask_clip(console: Console, path: str, clip: Clip, *, review: str | None,
              force: bool) -> tuple[Clip, dict[str, Any]]:
    """Blank what lies outside the sector; with `review`, a person is shown a contact sheet and asked first.

    Returns
    -------
    (Clip, dict)
        The masked clip, and what was done as plain values.

    Raises
    ------
    ClipError
        When no sector can be found.
    OutputError
        When the sheet cannot be written, nobody is there to be asked, or the answer is no.
    """
    from lrmcodec.sector import choose_sector, find_marks

    regions = _regions(path, clip)
    sector = choose_sector(clip, regions.boxes(_size(clip)) if regions else ())
    marks = find_marks(clip.frames, sector)
    left = sum(mark.inside for mark in marks)
    if review is not None:
        from lrmcodec.formats.atomic import write_atomic
        from lrmcodec.sector_sheet import draw, png

        write_atomic(review, png(draw(clip.frames, sector, marks)), force=force)
        _ask(review)
    console.note(f"{path}: {sector.kept:.1%} of the picture is kept ({sector.source}), the rest is set to 0.")
    if left:
        console.warn(f"{amount(left, 'line')} of what looks like text inside the sector stay in the pixels", about=path)
    facts = {"sector": sector.source, "kept": sector.kept, "text_lines_removed": len(marks) - left,
             "text_lines_left": left}
    return sector.apply(clip), facts


def warn_of_text(console: Console, path: str, clip: Clip) -> None:
    """Warn when a DICOM header says that annotation is burned in, or something looks like text beside the fan."""
    regions = _regions(path, clip)
    if regions is None:
        return
    from lrmcodec.sector import text_warnings

    texts = text_warnings(clip, regions)
    for text in texts:
        console.warn(text, about=path)
    if texts:
        console.note("'--mask sector' blanks what lies beside the ultrasound.")


def _regions(path: str, clip: Clip) -> Regions | None:
    """What the header says; None for a clip that is not DICOM."""
    if clip.metadata.get("source") != "dicom":
        return None
    from lrmcodec.formats.dicom_regions import Regions

    return Regions.read(path)


def _size(clip: Clip) -> tuple[int, int]:
    return clip.frames.shape[1], clip.frames.shape[2]


def _ask(review: str) -> None:
    from lrmcodec.formats.errors import OutputError

    if not sys.stdin.isatty():
        raise OutputError(f"nothing is encoded yet: {review} is to be looked at first.",
                          "Look at it, then run the command again without --review.")
    question = f"Look at {review}. Is all ultrasound kept and no writing left that names anybody?"
    if not click.confirm(question, default=False, err=True):
        raise OutputError("nothing is encoded: the mask was not accepted.", "Cut or mask the clip in another program.")
