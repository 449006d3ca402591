"""The frozen entropy model: chances of every wavelet coefficient from its contexts, in integers.

A level's places fall into four phases, places of even and odd row and column; the phases are coded one after another
and within each the three bands, so that a level takes twelve steps, however large it is. In each step a small network
looks at the context maps (two convolutions, shared by all steps) and at the neighbors already coded in this level.

Weights are multiples of 2**-12 and activations multiples of 2**-8. All sums stay far below 2**53, so that float64
products of matrices are exact in any order: every machine gets the same chances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lrmcodec.decoders.convolution import convolved, tap_rows
from lrmcodec.decoders.wavelet_contexts import QUARTERS, UNIT, Ints, logarithm, signed_logarithm
from lrmcodec.decoders.wavelet_transform import Array
from lrmcodec.decoders.wavelet_values import MODELED_CLASSES

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
NEAR_INPUTS = 3 * 25 + 3 * 9  # magnitudes in 5 x 5 places, signed values in 3 x 3, of three bands
OUTPUTS = MODELED_CLASSES + 1  # the last one is the sign's
LEVELS = 9  # biases there are; coarser levels share the last ones
WEIGHT_UNIT = 4096
ACTIVATION_LIMIT = float((1 << 16) - 1)
LOGIT_LIMIT, LOGIT_UNIT = 768, 64


@dataclass(frozen=True)
class BandNet:
    """Entropy network of the latent or of the basis pictures.

    Attributes
    ----------
    first, first_bias, second, second_bias : ndarray
        The convolutions (9 channels, C), tap by tap, and their biases; `first_bias` (LEVELS, C) by level.
    first_side, head_side : ndarray, (2, C) and (2, 3 * hidden)
        Weights of step and picture number.
    near : ndarray, (4, 3, hidden, NEAR_INPUTS + C)
        First layer of the heads by phase and band: magnitudes around, signed values around, features.
    near_bias : ndarray, (4, LEVELS, 3, hidden)
    middle, middle_bias, last, last_bias : ndarray
        (4, 3, hidden, hidden), (4, 3, hidden), (4, 3, OUTPUTS, hidden), (4, LEVELS, 3, OUTPUTS).
    """

    first: Array
    first_bias: Array
    first_side: Array
    second: Array
    second_bias: Array
    near: Array
    near_bias: Array
    head_side: Array
    middle: Array
    middle_bias: Array
    last: Array
    last_bias: Array

    @staticmethod
    def from_tensors(tensors: Mapping[str, NDArray[Any]], prefix: str) -> BandNet:
        """Network from the pack's integer tensors named `prefix` and the attribute."""
        found = {name: tensors[f"{prefix}{name}"].astype(np.float64) for name in BandNet.__dataclass_fields__}
        return BandNet(**found | {name: tap_rows(found[name]) for name in ("first", "second")})

    def features(self, maps: Array, level: int, side: Array) -> Array:
        """Features (h, w, C) of context maps (h, w, channels)."""
        bias = self.first_bias[min(level, LEVELS - 1)] * UNIT + side @ self.first_side
        hidden = _convolve(maps, self.first, bias)
        return _convolve(hidden, self.second, self.second_bias * UNIT)

    def logits(self, features: Array, near: Neighbors, step: tuple[int, int], level: int, side: Array) -> Ints:
        """Logits (n, OUTPUTS) in 64ths of the places of one step (phase, band), row by row."""
        phase, band = step
        row, column = PHASES[phase]
        own = features[row::2, column::2].reshape(-1, features.shape[2])
        inputs = np.concatenate([near.around(phase), own], 1)
        at = min(level, LEVELS - 1)
        hidden_count = self.near.shape[2]
        part = slice(band * hidden_count, (band + 1) * hidden_count)
        bias = self.near_bias[phase, at, band] * UNIT + (side @ self.head_side)[part]
        hidden = _activate(inputs @ self.near[phase, band].T + bias)
        hidden = _activate(hidden @ self.middle[phase, band].T + self.middle_bias[phase, band] * UNIT)
        out = hidden @ self.last[phase, band].T + self.last_bias[phase, at, band] * UNIT
        scale = WEIGHT_UNIT * UNIT // LOGIT_UNIT
        return np.asarray(np.clip(np.floor((out + scale // 2) / scale), -LOGIT_LIMIT, LOGIT_LIMIT), np.int64)


class Neighbors:
    """Symbols (3, h, w) of one level as far as they are coded, zeros elsewhere, and what the networks see of them."""

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.symbols = np.zeros((3, height, width), np.int64)
        self._magnitudes = np.zeros((3, height + 4, width + 4))
        self._signed = np.zeros((3, height + 2, width + 2))
        self._wide = sliding_window_view(self._magnitudes, (5, 5), (1, 2))  # these follow what is written there
        self._close = sliding_window_view(self._signed, (3, 3), (1, 2))

    def update(self, phase: int, band: int) -> None:
        """Take notice of the symbols of one step."""
        (row, column), (height, width) = PHASES[phase], self.symbols.shape[1:]
        values = signed_logarithm(QUARTERS * self.symbols[band, row::2, column::2])
        self._magnitudes[band, 2 + row:2 + height:2, 2 + column:2 + width:2] = np.abs(values)
        self._signed[band, 1 + row:1 + height:2, 1 + column:1 + width:2] = values

    def around(self, phase: int) -> Array:
        """Neighborhoods (n, NEAR_INPUTS) of the places of a phase."""
        row, column = PHASES[phase]
        wide, close = (views[:, row::2, column::2] for views in (self._wide, self._close))
        count = wide.shape[1] * wide.shape[2]
        return np.concatenate([wide.transpose(1, 2, 0, 3, 4).reshape(count, 75),
                               close.transpose(1, 2, 0, 3, 4).reshape(count, 27)], 1)


def side_inputs(q: float, index: int) -> Array:
    """Step and number of a picture as two inputs, in 256ths: log2(step / 10), about, and about log2(number) - 2."""
    step = round(16 * q) * UNIT // (16 * 45) - 520
    number = int(logarithm(np.array([4 * max(index - 1, 0)]))[0]) - 2 * UNIT
    return np.array([step, number], np.float64)


def _activate(sums: Array) -> Array:
    """Sums in 2**-20 to activations in 2**-8, rounded, from 0 to the limit; in place."""
    sums += WEIGHT_UNIT // 2
    sums /= WEIGHT_UNIT
    np.floor(sums, out=sums)
    return np.clip(sums, 0, ACTIVATION_LIMIT, out=sums)


def _convolve(maps: Array, weights: Array, bias: Array) -> Array:
    """3 x 3 convolution of (h, w, channels), zeros beyond the border, and activation."""
    out = np.empty((*maps.shape[:2], weights.shape[1]))
    for rows, sums in convolved(maps, weights):
        part = out[rows].reshape(sums.shape)
        np.add(sums, bias, out=part)
        _activate(part)
    return out
