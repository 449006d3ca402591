"""From a picture that FFmpeg decoded to gray levels: depth, transparency, color, and which way is up."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import Frame, FrameCollector, chroma_area, luma

DEPTH_HINT = "Convert it to 8 bits with the window you need."
TRANSPARENT = "transparent pixels were shown black"
ALL_TRANSPARENT = "pictures are transparent all over: shown as if they were not"

NO_PALETTE = "pictures have no palette: their numbers were taken for gray levels"

PLANAR = re.compile(r"yuvj?4\d\dp")
"""Formats whose chroma planes are looked at as they are."""

ITU709, FULL_RANGE = 1, 2
"""FFmpeg's codes of a color space and of levels from 0 to 255."""

ONE = 1 << 16
"""1 in the fixed-point numbers of a display matrix."""

ORIENTATION_TAG = 0x0112
EXIF_ORIENTATIONS = {1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
                     5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0)}
"""What the values of Exif's orientation ask for (CIPA DC-008 section 4.6.4), as `_shown_at` gives it."""


def gray_levels(picture: av.VideoFrame, collector: FrameCollector, coded: bytes = b"") -> Frame:
    """Gray levels (H, W) of 0 to 255, right way up; color is shown to the collector.

    `coded` are the bytes that the picture was decoded from, where they hold it alone. Levels of video (16 to 235) are
    expanded to the full range. Transparent pixels are shown on black.

    Raises
    ------
    ClipError
        When samples of gray or RGB have more than 8 bits, since nothing says which levels to show; when there is color.
    """
    return upright(_gray(picture, _eight_bits(picture, collector), collector), picture, collector, coded)


def _gray(stored: av.VideoFrame, picture: av.VideoFrame, collector: FrameCollector) -> Frame:
    """Gray levels of a picture of up to 8 bits, from what was stored where that is deeper."""
    if len(picture.format.components) == 1 and not picture.format.has_palette:
        return _array(picture, "gray")
    if picture.format.name == "pal8":
        indices, palette = picture.to_ndarray()
        if not palette.any():
            collector.warn(NO_PALETTE)
            return np.asarray(indices, dtype=np.uint8)
    if picture.format.has_palette or any(part.is_alpha for part in picture.format.components):
        return on_black(_array(picture, "rgba"), collector)
    if PLANAR.fullmatch(picture.format.name):
        collector.note_color(_chroma_area(picture))
        return _array(stored, "gray")
    rgb = _array(picture, "rgb24")
    collector.check_color(rgb)
    return luma(rgb) if picture.format.is_rgb else _array(picture, "gray")


def _array(picture: av.VideoFrame, name: str) -> NDArray[np.uint8]:
    return np.asarray(picture.to_ndarray(format=name), dtype=np.uint8)


def _eight_bits(picture: av.VideoFrame, collector: FrameCollector) -> av.VideoFrame:
    """Video in YCbCr defines black and white at every depth; gray and RGB samples do not."""
    bits = max(part.bits for part in picture.format.components)
    if bits <= 8:
        return picture
    if not any(part.is_chroma for part in picture.format.components):
        raise ClipError(f"{collector.name} has more than 8 bits a sample ({picture.format.name}).", DEPTH_HINT)
    collector.warn(f"samples of {bits} bits were rounded to 8")
    name = re.sub(r"p\d\d[lb]e$", "p", picture.format.name)
    return picture.reformat(format=name if PLANAR.fullmatch(name.replace("a", "")) else "yuv444p")


def on_black(rgba: NDArray[np.uint8], collector: FrameCollector) -> Frame:
    """Show an (H, W, 4) picture on black: what is hidden stays hidden."""
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    if not alpha.any():
        collector.warn(ALL_TRANSPARENT)
    elif alpha.min() < 255:
        collector.warn(TRANSPARENT)
        rgb = ((rgb.astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)
    collector.check_color(rgb)
    return luma(rgb)


def _chroma_area(picture: av.VideoFrame) -> float:
    """Part of the pixels that are colored, from the planes as they were decoded."""
    y, u, v = (_plane(plane) for plane in picture.planes)
    step = -(-y.shape[0] // u.shape[0]), -(-y.shape[1] // u.shape[1])
    y = y[:: step[0], :: step[1]][: u.shape[0], : u.shape[1]]
    full = picture.format.name.startswith("yuvj") or picture.color_range == FULL_RANGE
    return chroma_area(y, u, v, full_range=full, hd=picture.colorspace == ITU709)


def _plane(plane: Any) -> NDArray[np.uint8]:
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def upright(gray: NDArray[Any], picture: av.VideoFrame, collector: FrameCollector, coded: bytes) -> NDArray[Any]:
    """Turn and mirror a picture as a camera or an editor noted beside it, by quarter turns."""
    a, b, c, d = _shown_at(picture, coded)
    straight, turned = abs(a) == abs(d) == 1 and b == c == 0, abs(b) == abs(c) == 1 and a == d == 0
    if not (straight or turned):
        collector.warn("the file asks for a turn that is no quarter turn: it was not made")
        return gray
    across, down = (a, d) if straight else (c, b)
    shown = gray if straight else gray.swapaxes(0, 1)
    return shown[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1]


def _shown_at(picture: av.VideoFrame, coded: bytes) -> tuple[float, ...]:
    """(a, b, c, d): pixel (x, y) is shown at (a x + c y, b x + d y), but for a shift."""
    try:
        matrix: Any = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 does not know the side data that hold Exif
        return EXIF_ORIENTATIONS.get(_exif_orientation(coded), EXIF_ORIENTATIONS[1])
    if matrix is None:
        return EXIF_ORIENTATIONS[1]
    a, b, _, c, d, *_ = (value / ONE for value in struct.unpack("=9i", bytes(matrix)))
    return a, b, c, d


def _exif_orientation(coded: bytes) -> int:
    from PIL import Image  # slow to import, and seldom needed

    with contextlib.suppress(OSError, SyntaxError, ValueError, struct.error, TypeError), Image.open(
            io.BytesIO(coded), formats=("JPEG", "PNG")) as still:
        return int(still.getexif().get(ORIENTATION_TAG, 1))
    return 1
