"""PSNR, SSIM3D and ratio: the only definitions.

Both qualities compare uint8 clips on the data range 0..255, which equals range 1 on frames in [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_PSNR_DB = 120.0
"""Given for equal frames, whose error is zero."""

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
SSIM_BLOCK_FRAMES = 64


def frame_mse(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared error of every frame, (T,), in units of the full range squared."""
    out = np.empty(len(original))
    for index, (a, b) in enumerate(zip(original, decoded, strict=True)):
        difference = (a.astype(np.float32) - b.astype(np.float32)) / np.float32(255)
        out[index] = np.mean(difference * difference, dtype=np.float64)
    return out


def psnr_of_mse(mse: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """PSNR in dB of mean squared errors in units of the full range squared; at most 120 dB."""
    return np.asarray(-10 * np.log10(np.maximum(mse, 10 ** (-MAX_PSNR_DB / 10))))


def frame_psnr_db(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.float64]:
    """PSNR of every frame in dB, (T,), of clips (T, H, W); equal frames count as 120 dB."""
    return psnr_of_mse(frame_mse(original, decoded))


def psnr_db(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Mean over frames of the frame's PSNR in dB, of clips (T, H, W); equal frames count as 120 dB."""
    return float(np.mean(frame_psnr_db(original, decoded)))


def pooled_psnr_db(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """PSNR in dB of the mean squared error over all frames of clips (T, H, W); equal clips count as 120 dB."""
    return float(psnr_of_mse(frame_mse(original, decoded).mean()))


def ssim3d(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Mean of the three-dimensional SSIM map of clips (T, H, W).

    Wang et al. 2004 (10.1109/TIP.2003.819861) with an 11x11x11 Gaussian window of sigma 1.5 over time, height and
    width, C1 = 0.01^2, C2 = 0.03^2, population moments; beyond the borders the window sees zeros, as in the
    anchors. Long clips are measured in overlapping blocks with the same result.
    """
    total = 0.0
    for start in range(0, len(original), SSIM_BLOCK_FRAMES):
        stop = min(start + SSIM_BLOCK_FRAMES, len(original))
        outer = slice(max(start - SSIM_RADIUS, 0), min(stop + SSIM_RADIUS, len(original)))
        first = start - outer.start
        total += float(_ssim_map(original[outer], decoded[outer])[first:first + stop - start].sum(dtype=np.float64))
    return total / original.size


def _ssim_map(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    a, b = (clip.astype(np.float32) / np.float32(255) for clip in (original, decoded))
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return np.asarray(luminance * (2 * covariance + c2) / (var_a + var_b + c2))


def _blur(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(volume, SSIM_SIGMA, mode="constant", radius=SSIM_RADIUS))


def ratio(raw_bytes: int, file_bytes: int) -> float:
    """Compression ratio: one byte a pixel of the coded frames over all bytes of the file."""
    return raw_bytes / file_bytes


def mean_picture(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The clip's mean picture in every frame, (T, H, W): what any codec of clips must beat."""
    return np.broadcast_to(np.rint(frames.mean(axis=0)).astype(np.uint8), frames.shape)
