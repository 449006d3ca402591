"""Tables of a wavelet pack: chances of logits, and what coefficients are restored to."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.wavelet_coder import BINS, PictureModel, Writer, bin_of, code_picture
from lrmcodec.decoders.wavelet_contexts import Earlier, Ints
from lrmcodec.decoders.wavelet_model import LOGIT_LIMIT, LOGIT_UNIT
from lrmcodec.decoders.wavelet_transform import Array
from lrmcodec.formats.binary import CHANCE_BITS, HALF, BinaryEncoder
from lrmcodec.quantize import pixel_step

LEAST_EVIDENCE = np.array([[3.0], [30.0], [30.0]])  # what stands for no offset, against the coefficients seen
LARGEST_OFFSET = 0.5
DIGITS = 30


def chance_table() -> NDArray[np.int32]:
    """Logistic function of every logit in 2**-16, from 1 to 65535, rounded from decimals of 30 digits."""
    with localcontext() as context:
        context.prec = DIGITS
        exact = [(1 << CHANCE_BITS) / (1 + (-Decimal(logit) / LOGIT_UNIT).exp())
                 for logit in range(-LOGIT_LIMIT, LOGIT_LIMIT + 1)]
    return np.clip([int(value.to_integral_value()) for value in exact], 1, (1 << CHANCE_BITS) - 1).astype(np.int32)


class _Observer(Writer):
    """Writes pictures and collects how their coefficients lie beside the integers chosen for them."""

    def __init__(self, picture: Array, model: PictureModel, weight: float, sums: Array) -> None:
        super().__init__(BinaryEncoder(), picture, model, weight)
        self._sums = sums

    def step(self, level: int, band: int, at: tuple[slice, slice], logits: Ints) -> Ints:
        """See `Writer`."""
        chosen = super().step(level, band, at, logits)
        values, bins = self.levels[level][band][at].reshape(-1), bin_of(logits)
        lean = 1 - self._model.chances_of(logits[:, -1]) / HALF  # from 1, surely positive, to -1
        magnitudes = np.abs(chosen)
        beyond = np.abs(values) - magnitudes
        for row, (which, offset, weight) in enumerate((
                (magnitudes == 0, values * lean, lean**2), (magnitudes == 1, beyond, np.ones_like(values)),
                (magnitudes > 1, beyond, np.ones_like(values)))):
            self._sums[row, :, 0] += np.bincount(bins[which], offset[which], BINS)
            self._sums[row, :, 1] += np.bincount(bins[which], weight[which], BINS)
        return chosen


def fit_offsets(model: PictureModel, pages: Iterable[tuple[Array, float]], weight: float) -> NDArray[np.float32]:
    """Offsets (3, BINS) that restore the coefficients of pages best.

    Parameters
    ----------
    model : PictureModel
        Its own offsets take part in the choice of integers.
    pages : iterable of (ndarray (n, H, W), float)
        Pictures in gray levels of [0, 1], and quantizer indices.
    weight : float
        Of a bit; see `wavelet_values.cheapest`.
    """
    sums = np.zeros((3, BINS, 2))
    for page, q in pages:
        earlier = Earlier()
        for picture in page / pixel_step(q):
            code_picture(_Observer(picture, model, weight, sums), picture.shape, q, model, earlier)
    offsets = sums[:, :, 0] / (sums[:, :, 1] + LEAST_EVIDENCE)
    return np.asarray(np.clip(offsets, -LARGEST_OFFSET, LARGEST_OFFSET), np.float32)
