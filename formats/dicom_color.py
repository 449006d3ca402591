"""Color spaces of DICOM pictures: which one it is, whatever the label says, and whether a picture is gray in it.

YCbCr stays as it is: chroma is looked at for color and luma is the gray picture, so that nothing is lost to a
conversion (PS3.3 C.7.6.3.1.2; ITU-T T.871).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.frames import Frame, chroma_area, color_area

GRAY_SPREAD = 8
"""Levels by which a pixel's samples may differ while it still counts as gray when color spaces are told apart."""

MOST = 0.5
"""Part of a picture that is gray in the right color space: ultrasound is mostly background, also in color."""

BLACK, WHITE = 16, 235
"""Luma of black and white in YCbCr of partial range."""

OUTSIDE = 0.001
"""Part of a picture whose luma may lie outside BLACK to WHITE by noise and overshoot."""


def gray_share(samples: NDArray[Any], space: str) -> float:
    """Part (0 to 1) of the pixels of (H, W, 3) uint8 that are gray in 'RGB' or 'YBR'; one in four is looked at."""
    some = samples[::2, ::2].astype(np.int16)
    if space == "RGB":
        spread = some.max(axis=2) - some.min(axis=2)
    else:
        spread = np.abs(some[..., 1:] - 128).max(axis=2) * 2
    return float(np.count_nonzero(spread <= GRAY_SPREAD) / spread.size)


def settle_space(samples: NDArray[np.uint8], declared: str) -> tuple[str, bool]:
    """Tell 'RGB' from 'YBR' by the picture, where it is mostly gray in the one and not in the other.

    Parameters
    ----------
    samples : ndarray, (H, W, 3) uint8
        A picture as decoded, without any conversion of color.
    declared : str
        'RGB' or 'YBR', as the file says.

    Returns
    -------
    space : str
        'RGB' or 'YBR'.
    sure : bool
        Whether most of the picture is gray in it, so that the label is no doubt right.
    """
    share = gray_share(samples, declared)
    if share >= MOST:
        return declared, True
    other = "YBR" if declared == "RGB" else "RGB"
    other_share = gray_share(samples, other)
    return (other, True) if other_share > max(MOST, 2 * share) else (declared, False)


def colored_area(samples: NDArray[np.uint8], space: str) -> float:
    """Part (0 to 1) of the pixels of (H, W, 3) that are colored in 'RGB' or 'YBR'; one in four is looked at."""
    if space == "RGB":
        return color_area(samples)
    return chroma_area(*np.moveaxis(samples[::2, ::2], 2, 0), full_range=True, hd=False)


def is_partial(y: Frame) -> bool:
    """Whether luma keeps to the range of 16 to 235."""
    return bool(np.count_nonzero((y < BLACK) | (y > WHITE)) <= OUTSIDE * y.size)


def widened(y: Frame) -> Frame:
    """Luma of 16 to 235 as levels of 0 to 255 (ITU-R BT.601)."""
    table = np.clip(np.rint((np.arange(256) - BLACK) * 255 / (WHITE - BLACK)), 0, 255).astype(np.uint8)
    return np.asarray(table[y])
