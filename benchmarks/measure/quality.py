"""Qualities of a decoded clip, as rows carry them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics


def qualities(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> dict[str, float]:
    """Mean and pooled PSNR in dB and SSIM3D of clips (T, H, W)."""
    return {"psnr_db": metrics.psnr_db(original, decoded), "psnr_pooled_db": metrics.pooled_psnr_db(original, decoded),
            "ssim3d": metrics.ssim3d(original, decoded)}
