"""Gray levels of rendered frames, and how many frames are rendered at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_VALUES = 1 << 22  # pixels rendered at a time


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
