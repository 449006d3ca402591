"""Qualities of a decoded clip, as rows carry them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics


def qualities(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> dict[str, float]:
    """Mean and pooled PSNR in dB and SSIM3D of clips (T, H, W)."""
    return {"psnr_db": metrics.psnr_db(original, decoded), "psnr_pooled_db": psnr_pooled_db(original, decoded),
            "ssim3d": metrics.ssim3d(original, decoded)}


def psnr_pooled_db(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """PSNR in dB of the mean squared error over all frames of clips (T, H, W); equal clips count as 120 dB."""
    mse = max(float(metrics.frame_mse(original, decoded).mean()), 10 ** (-metrics.MAX_PSNR_DB / 10))
    return float(-10 * np.log10(mse))
