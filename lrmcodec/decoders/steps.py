"""Quantizer steps of decoders whose basis belongs to their pack.

Equal slopes (see `lrmcodec.quantize`): a unit of a value changes pixels by its gain, so that its step is the step of a
picture over that gain. An error in the latent counts in all N pixels of all T frames, one in a coefficient in the N
pixels of one frame. `factor` makes steps coarser by a constant of the architecture, since what a network cannot show
leaves far larger errors than quantization does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lrmcodec.quantize import pixel_step


def latent_steps(factor: float, q: float, size: tuple[int, int], gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps (d,) of a latent whose values have `gain` (d,), at quantizer index q for frames of `size` (H, W)."""
    return np.asarray(factor * pixel_step(q) / (math.sqrt(size[0] * size[1]) * gain))


def coeff_steps(factor: float, q: float, size: tuple[int, int], frame_count: int,
                scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps (r,) of coefficients that change a pixel by `scale` (r,) each.

    `frame_count` is T where the frames share a latent, and 1 where each stands alone.
    """
    return np.asarray(factor * pixel_step(q) * math.sqrt(frame_count / (size[0] * size[1])) / scale)
