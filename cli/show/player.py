"""Frames packed into a few WebP sheets, which a page plays with a scrub bar and no network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

MAX_SHOWN = 1200  # frames; of longer clips every second, third ... is shown
MAX_VALUES = 40_000_000  # pixels of one screen
SHEET_SIDE = 4096  # pixels; browsers draw slowly from larger pictures
WEBP_QUALITY = 90
ERROR_GAIN = 4


@dataclass(frozen=True)
class Layout:
    """Which frames are shown, how large, and where they lie on sheets.

    Attributes
    ----------
    frames : ndarray, (n,) int
        Frame numbers shown.
    width, height : int
        Size in pixels of a frame as shown.
    columns, per_sheet : int
        Frames side by side on a sheet, and on a whole sheet.
    """

    frames: NDArray[np.intp]
    width: int
    height: int
    columns: int
    per_sheet: int


def plan(count: int, size: tuple[int, int]) -> Layout:
    """Layout for `count` frames of (H, W): as large as they are, unless that is more than a page should hold."""
    frames = np.arange(0, count, -(-count // MAX_SHOWN))
    scale = min(1.0, float(np.sqrt(MAX_VALUES / (len(frames) * size[0] * size[1]))))
    height, width = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    columns, rows = SHEET_SIDE // width, SHEET_SIDE // height
    return Layout(frames, width, height, columns, columns * rows)


def sheets(frames: NDArray[np.uint8], layout: Layout) -> list[str]:
    """Sheets of the frames (n, H, W) shown, as data URIs."""
    out = []
    for start in range(0, len(frames), layout.per_sheet):
        part = frames[start:start + layout.per_sheet]
        columns, rows = min(layout.columns, len(part)), -(-len(part) // layout.columns)
        sheet = np.zeros((rows * layout.height, columns * layout.width), np.uint8)
        for index, frame in enumerate(part):
            top, left = index // layout.columns * layout.height, index % layout.columns * layout.width
            sheet[top:top + layout.height, left:left + layout.width] = _fitted(frame, layout)
        out.append(webp(sheet))
    return out


def error_frames(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decoded minus original, enlarged, around middle gray."""
    difference = decoded.astype(np.int16) - original
    return (128 + ERROR_GAIN * difference).clip(0, 255).astype(np.uint8)


def webp(picture: NDArray[np.uint8]) -> str:
    """Data URI of a gray picture (H, W)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=WEBP_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _fitted(frame: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    from PIL import Image

    if frame.shape == (layout.height, layout.width):
        return frame
    picture: Image.Image = Image.fromarray(frame)
    return np.asarray(picture.resize((layout.width, layout.height), Image.Resampling.BOX))
