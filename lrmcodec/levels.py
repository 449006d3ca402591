"""Gray levels of rendered frames, and how many frames are rendered at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import Decoder, RestoredSegment

BLOCK_VALUES = 1 << 24  # pixels rendered at a time


def frames_at_a_time(size: tuple[int, int]) -> int:
    """How many frames of (H, W) pixels are rendered at a time."""
    return max(1, BLOCK_VALUES // (size[0] * size[1]))


def to_uint8(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Gray levels of [0, 1] to 0..255, rounded."""
    return (frames * np.float32(255) + np.float32(0.5)).clip(0, 255).astype(np.uint8)


def resized(pictures: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Pictures (n, h, w) at another size (H, W), by cubic interpolation, smoothed first where they shrink."""
    if pictures.shape[1:] == size:
        return pictures
    from skimage.transform import resize

    out = resize(pictures, (len(pictures), *size), order=3, mode="edge",  # type: ignore[no-untyped-call]
                 anti_aliasing=True)
    return np.asarray(out, dtype=np.float32)


def rendered(decoder: Decoder, segment: RestoredSegment, rows: NDArray[np.float64],
             size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield frames (n, H, W) of coefficients (T, r) in blocks of bounded size."""
    step = frames_at_a_time(size)
    for start in range(0, len(rows), step):
        yield to_uint8(decoder.render(segment, rows[start:start + step], size))
