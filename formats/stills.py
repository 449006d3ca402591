"""GIF, animated WebP, and TIFF with any number of pages, through Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.ending import CUT_OFF, is_cut_off
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import FrameCollector, Progress
from lrmcodec.formats.pixels import DEPTH_HINT, on_black
from lrmcodec.formats.stamps import times_from_stamps

PLAIN = ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr")
"""Modes of Pillow's with 8 bits a sample."""

MILLISECOND = Fraction(1, 1000)

_DAMAGE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, IndexError,
           AttributeError, OverflowError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files of these kinds."""


def read_stills(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read every picture of a GIF, WebP or TIFF file, as many as can be decoded; TIFF has no times.

    Raises
    ------
    ClipError
        When no picture can be decoded, samples have more than 8 bits, sizes differ, or there is color.
    """
    with path.open("rb") as file, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if is_cut_off(file, path.stat().st_size):
            collector.warn(CUT_OFF)
        file.seek(0)
        try:
            picture = Image.open(file, formats=("GIF", "WEBP", "TIFF"))
        except _DAMAGE as error:
            raise _damaged(collector, error) from error
        steps = _collect(picture, collector, progress)
    if said:
        collector.warn("Pillow reports oddities of the file's structure")
    stamps: list[int | None] = [0, *accumulate(steps[:-1])] if all(steps[:-1]) else [None] * len(steps)
    times, warning = times_from_stamps(stamps, MILLISECOND, ())
    if warning:
        collector.warn(warning)
    return Clip(collector.finish(), times, {"source": "pictures", "container": str(picture.format)}, collector.warnings)


def _damaged(collector: FrameCollector, error: Exception) -> ClipError:
    what = "damaged or cut off" if CUT_OFF in collector.warnings else "damaged"
    return ClipError(f"{collector.name} is {what} at frame {collector.count} ({type(error).__name__}).",
                     "Check that it is complete and opens in a viewer.")


def _collect(picture: Image.Image, collector: FrameCollector, progress: Progress | None) -> list[int]:
    """Gather the pictures; return how long each is shown in ms, 0 where nothing says."""
    steps: list[int] = []
    count = 1
    try:
        count = getattr(picture, "n_frames", 1)
        for page in ImageSequence.Iterator(picture):
            _add(page, collector)
            steps.append(int(page.info.get("duration", 0)))
            if progress and collector.count % 16 == 0:
                progress(collector.count / count, "reading")
    except _DAMAGE as error:
        if not steps:
            raise _damaged(collector, error) from error
        collector.warn(f"frames from {collector.count} on could not be decoded")
    if collector.count < count:
        collector.warn(f"the file promises {count} frames, {collector.count} could be decoded")
    return steps


def _add(page: Image.Image, collector: FrameCollector) -> None:
    if page.mode not in PLAIN:
        raise ClipError(f"{collector.name} has more than 8 bits a sample ({page.mode}).", DEPTH_HINT)
    upright = ImageOps.exif_transpose(page)
    if upright.mode in ("1", "L") and "transparency" not in page.info:
        collector.add(np.asarray(upright.convert("L")))
    else:
        collector.add(on_black(np.asarray(upright.convert("RGBA")), collector))
