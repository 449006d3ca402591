"""A sample of the pixels of large pictures, on which settings are explored in a fraction of the time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import FittedSegment

BLOCK = 64
"""Side of what is kept together: a superblock of AV1."""

STRIDES = ((1 << 20, 4), (1 << 18, 2))
"""Pixels of a picture from which one block row in so many is kept, and of it one block in so many."""


def sampled(fitted: FittedSegment) -> tuple[FittedSegment, float] | None:
    """A fitted segment of some of the pixels, and their share; None where pictures are small or none are carried."""
    height, width = fitted.frames.shape[1:]
    stride = next((stride for pixels, stride in STRIDES if height * width >= pixels), 1)
    if stride == 1 or fitted.basis is None or min(height, width) < 2 * stride * BLOCK:
        return None
    places = _places(height, width, stride)
    latent = fitted.latent.reshape(-1)[places]
    basis = fitted.basis.reshape(len(fitted.basis), -1)[:, places]
    frames = fitted.frames.reshape(len(fitted.frames), -1)[:, places]
    return FittedSegment(latent, basis, fitted.coeffs, frames, fitted.extra), places.size / (height * width)


def _places(height: int, width: int, stride: int) -> NDArray[np.intp]:
    """Where the pixels (h, w) of the sample lie among the height times width of a picture."""
    rows = np.arange(0, height // BLOCK, stride)
    count = (width // BLOCK - stride) // stride + 1
    columns = np.arange(len(rows))[:, None] % stride + stride * np.arange(count)  # blocks (rows, count)
    inside = np.arange(BLOCK)
    y = (rows[:, None] * BLOCK + inside).ravel()
    x = (columns[:, :, None] * BLOCK + inside).reshape(len(rows), -1).repeat(BLOCK, axis=0)
    return np.asarray(y[:, None] * width + x)
