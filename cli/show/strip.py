"""A picture of what the codec did: original, reconstruction, error, and the coefficients over time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PANEL = 270
"""Side of a panel in pixels; frames are enlarged or reduced to fit."""

GAP = 10
HEADING = 26
CAPTION = 24
FOOT = 20
ERROR_GAIN = 4
CURVES = 3
FINE = 4
"""Curves are drawn this much larger and then reduced, which smooths them."""

BACKGROUND, INK, FAINT = (255, 255, 255), (30, 30, 30), (200, 200, 200)
COLORS = ((31, 119, 180), (214, 96, 20), (44, 140, 44))


@dataclass(frozen=True)
class Row:
    """One clip: a caption, a frame before and after, and coefficients (T, r) at times (T,) in seconds."""

    caption: str
    original: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    coeffs: NDArray[np.float64]
    now_s: float


def draw(rows: Sequence[Row]) -> Image.Image:
    """Picture of all rows under one heading."""
    height = HEADING + len(rows) * (PANEL + CAPTION + GAP)
    page = Image.new("RGB", (4 * PANEL + 5 * GAP, height), BACKGROUND)
    pen = ImageDraw.Draw(page)
    headings = ("original", "reconstruction", f"error, {ERROR_GAIN} times enlarged", "leading coefficients over time")
    for column, text in enumerate(headings):
        pen.text((_left(column) + PANEL / 2, HEADING / 2), text, INK, _font(14), anchor="mm")
    for index, row in enumerate(rows):
        top = HEADING + index * (PANEL + CAPTION + GAP)
        for column, panel in enumerate((_gray(row.original), _gray(row.decoded), _error(row), _curves(row))):
            page.paste(panel, (_left(column), top))
        pen.text((GAP, top + PANEL + CAPTION / 2), row.caption, INK, _font(14), anchor="lm")
    return page


def png(picture: Image.Image) -> bytes:
    """Bytes of a PNG file of 256 colors, a third of one of all colors."""
    buffer = io.BytesIO()
    picture.quantize(256).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _left(column: int) -> int:
    return GAP + column * (PANEL + GAP)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _gray(frame: NDArray[np.uint8]) -> Image.Image:
    """Fit a frame into a black panel, keeping its shape."""
    scale = PANEL / max(frame.shape)
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    panel = Image.new("RGB", (PANEL, PANEL))
    fitted = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)
    panel.paste(fitted, ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    return panel


def _error(row: Row) -> Image.Image:
    """Signed error around middle gray."""
    difference = row.decoded.astype(np.int32) - row.original
    return _gray((128 + ERROR_GAIN * difference).clip(0, 255).astype(np.uint8))


def _curves(row: Row) -> Image.Image:
    """Leading coefficients, one band each, and a line at the time of the frame shown."""
    side, bands = PANEL * FINE, (PANEL - FOOT) * FINE
    panel = Image.new("RGB", (side, side), BACKGROUND)
    pen = ImageDraw.Draw(panel)
    count = min(CURVES, row.coeffs.shape[1])
    span = max(float(row.times_s[-1]), 1e-9)
    now = row.now_s / span * (side - 1)
    pen.line([(now, 0), (now, side)], FAINT, FINE)
    for index in range(count):
        y = _band(row.coeffs[:, index], bands / count) + index * bands / count
        points = list(zip((row.times_s / span * (side - 1)).tolist(), y.tolist(), strict=True))
        pen.line(points, COLORS[index], 2 * FINE, joint="curve")
    pen.rectangle((0, 0, side - 1, side - 1), None, FAINT, FINE)
    small = panel.resize((PANEL, PANEL), Image.Resampling.BOX)
    pen = ImageDraw.Draw(small)
    pen.text((6, PANEL - 6), "0 s", INK, _font(12), anchor="ls")
    pen.text((PANEL - 6, PANEL - 6), f"{span:.1f} s", INK, _font(12), anchor="rs")
    return small


def _band(values: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """Curve scaled into a band, upwards positive, with a margin of a tenth."""
    low, high = float(values.min()), float(values.max())
    return np.asarray(height * (0.9 - 0.8 * (values - low) / max(high - low, 1e-9)))
