"""A contact sheet for a person's yes: what a mask keeps and what it takes away."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lrmcodec.sector import Mark, Sector

PANEL = 420
"""Longer side of a picture in pixels."""
GAP, LINE = 12, 24
PICTURES = 3
WARNING = "Not a de-identification: look for writing that is left, and for ultrasound that is cut off."
BACKGROUND, INK, KEPT, TEXT = (24, 24, 28), (235, 235, 235), (255, 70, 70), (255, 220, 0)


def draw(frames: NDArray[np.uint8], sector: Sector, marks: Sequence[Mark]) -> Image.Image:
    """Sheet of a clip, (T, H, W) uint8, before and after its mask.

    Upper row before, lower row after. First the brightest of each pixel over all frames, where every text shows that
    stood there at any time, then single frames. Dark levels are raised, so that faint writing can be seen.
    """
    picked = frames[np.unique(np.linspace(0, len(frames) - 1, PICTURES).astype(int))]
    before = [_brightest(frames), *picked]
    columns = len(before)
    height, width = (round(side * PANEL / max(sector.mask.shape)) for side in sector.mask.shape)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, 2 * (height + LINE) + 3 * LINE + GAP), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    after = [np.where(sector.mask, picture, np.uint8(0)) for picture in before]
    for row, (name, pictures) in enumerate((("before", before), ("after", after))):
        top = LINE * (3 + row) + row * height
        for column, picture in enumerate(pictures):
            left = GAP + column * (width + GAP)
            what = "brightest over time" if column == 0 else f"frame {column} of {columns - 1}"
            pen.text((left, top - 4), f"{name}: {what}", INK, _font(), anchor="ls")
            sheet.paste(_panel(picture, sector, marks, row == 0).resize((width, height)), (left, top))
    head = (f"kept: {sector.kept:.1%} of the picture ({sector.source}), inside the red line. "
            f"Yellow: what looks like text, {sum(not m.inside for m in marks)} lines taken away, "
            f"{sum(m.inside for m in marks)} left.")
    pen.text((GAP, 6), head, INK, _font())
    pen.text((GAP, 6 + LINE), WARNING, TEXT, _font())
    return sheet


def png(sheet: Image.Image) -> bytes:
    """Bytes of a PNG file."""
    buffer = io.BytesIO()
    sheet.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _brightest(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Highest level of each pixel over time, a block of frames at a time."""
    return np.asarray(np.max([frames[i:i + 64].max(axis=0) for i in range(0, len(frames), 64)], axis=0), np.uint8)


def _panel(picture: NDArray[np.uint8], sector: Sector, marks: Sequence[Mark], lines: bool) -> Image.Image:
    raised = np.rint(255 * np.sqrt(picture / 255)).astype(np.uint8)
    colored = np.repeat(raised[..., None], 3, axis=2)
    if lines:
        width = max(1, round(max(picture.shape) / PANEL))
        colored[ndimage.binary_dilation(sector.mask, iterations=width) & ~sector.mask] = KEPT
    panel = Image.fromarray(colored)
    pen = ImageDraw.Draw(panel)
    for mark in marks:
        if lines or mark.inside:
            top, left, bottom, right = mark.box
            pen.rectangle((left - 2, top - 2, right + 1, bottom + 1), None, TEXT)
    return panel


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(14)
