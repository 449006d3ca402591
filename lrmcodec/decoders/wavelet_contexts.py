"""What is known of a wavelet coefficient before it is coded, as integer maps.

A picture's levels are coded from coarse to fine. Before the bands of a level are coded, a reader has the picture as far
as the coarser levels give it at this size, the bands one level coarser, all bands of this level in the latent (the
first picture), in the picture before this one, and the mean magnitude there in all earlier ones but the latent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.wavelet_transform import Array, Bands

Ints = NDArray[np.int64]

QUARTERS = 4  # coarse values enter in quarters of a step
UNIT = 256  # of maps and activations
LATENT_MAPS, BASIS_MAPS = 5, 17
LATENT_DIVISOR = 16  # the latent's coarse values enter once more, this much smaller


def logarithm(quarters: Ints) -> Ints:
    """log2(1 + n / 4) for n >= 0 in 256ths, linear between powers of two, rounded down."""
    shifted = quarters + QUARTERS
    exponent = np.frexp(shifted.astype(np.float64))[1].astype(np.int64) - 1
    return (shifted << 8 >> exponent) + UNIT * (exponent - 3)


def signed_logarithm(quarters: Ints) -> Ints:
    """`logarithm` of the magnitude with the sign of the value."""
    return np.sign(quarters) * logarithm(np.abs(quarters))


def cut_bands(stacked: Array, size: tuple[int, int]) -> Bands:
    """Bands of the level that makes a picture of `size` (H, W), from an array (3, h, w) of the coarse half's size."""
    low, high = stacked.shape[1:], (size[0] // 2, size[1] // 2)
    return Bands(stacked[0, :, :high[1]], stacked[1, :high[0], :low[1]], stacked[2, :high[0], :high[1]])


@dataclass
class Earlier:
    """Levels of the pictures already coded, by level, finest 0.

    Attributes
    ----------
    count : int
        Pictures seen.
    latent_coarse : dict of ndarray, (h, w)
        The latent's coarse values in quarters.
    latent, previous, total : dict of ndarray, (3, h, w)
        Symbols of the latent; magnitudes in the last basis picture, and their sum over all of them.
    """

    count: int = 0
    latent_coarse: dict[int, Ints] = field(default_factory=dict)
    latent: dict[int, Ints] = field(default_factory=dict)
    previous: dict[int, Ints] = field(default_factory=dict)
    total: dict[int, Ints] = field(default_factory=dict)

    def add(self, coarse: dict[int, Ints], symbols: dict[int, Ints]) -> None:
        """Take in a coded picture: its coarse values and symbols by level."""
        if self.count == 0:
            self.latent_coarse, self.latent = coarse, symbols
            self.previous = {level: np.zeros_like(values) for level, values in symbols.items()}
            self.total = dict(self.previous)
        else:
            self.previous = {level: np.abs(values) for level, values in symbols.items()}
            self.total = {level: self.total[level] + self.previous[level] for level in symbols}
        self.count += 1

    def maps(self, level: int, coarse: Ints, parents: Ints | None) -> Array:
        """Context maps (h, w, channels) in units of 1 / 256.

        Parameters
        ----------
        level : int
        coarse : ndarray, (h, w)
            This picture's coarse values at the level's size, quarters of a step.
        parents : ndarray, (3, h', w'), or None
            This picture's symbols one level coarser.
        """
        height, width = coarse.shape
        above = np.zeros((3, height, width), np.int64)
        if parents is not None:
            above = np.abs(parents).repeat(2, 1).repeat(2, 2)[:, :height, :width]
        if self.count == 0:
            parts = [coarse[None], coarse[None] // LATENT_DIVISOR, QUARTERS * above]
        else:
            seen = max(self.count - 1, 1)
            parts = [coarse[None], QUARTERS * above, self.latent_coarse[level][None],
                     QUARTERS * np.abs(self.latent[level]), QUARTERS * self.latent[level],
                     QUARTERS * self.previous[level], QUARTERS**2 * self.total[level] // seen]
        return signed_logarithm(np.concatenate(parts)).transpose(1, 2, 0).astype(np.float64)
