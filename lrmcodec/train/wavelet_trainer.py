"""Training of the entropy model of wavelet pictures (decoder architecture 5).

A step draws a page and a quantizer index, quantizes the page's wavelet coefficients about as an encoder's choice of the
cheapest integers would, and moves the networks towards fewer bits. Bits of a page count relative to themselves, since a
percent is worth the same at every quality. The transform is fixed and quantization leaves nothing to be learned through
it, so the integers themselves are trained on, without noise in their place. A running mean of the weights becomes the
pack.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor

from lrmcodec.decoders.wavelet_contexts import QUARTERS, UNIT, Earlier
from lrmcodec.decoders.wavelet_model import side_inputs
from lrmcodec.decoders.wavelet_transform import Bands, analyze, merge_level
from lrmcodec.quantize import pixel_step
from lrmcodec.train.optimizer import Averaged
from lrmcodec.train.pages import draw_page
from lrmcodec.train.recipe import Recipe
from lrmcodec.train.wavelet_net import BandNet, EntropyNet, bits_of

Q_RANGE = (25.0, 235.0)
WEIGHT_RANGE = (0.07, 0.15)  # of a bit, in squared steps; see `quantize`
BASIS_PICTURES = 6  # a step looks at; the finest level of FINEST_PICTURES of them stands for all
FINEST_PICTURES = 2
LATENT_SHARE = 0.4  # of the loss, beside 1 for the basis pictures
SOFT_BITS = 200.0  # pages of fewer bits count less
MEAN_MEMORY = 0.99  # of the running mean of the weights

LevelData = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Coarse values in quarters (n, h, w), symbols (n, 3, h, w) and which places there are, (3, h, w)."""


class WaveletTrainer(Averaged[EntropyNet]):
    """Networks, their optimizer and the pages they learn from.

    Parameters
    ----------
    recipe : Recipe
        `network.channels` features, `network.width` hidden units.
    files : dict of list of Path
        Pages by source.
    device : str
    """

    def __init__(self, recipe: Recipe, files: dict[str, list[Path]], device: str = "cpu") -> None:
        self.recipe, self.files, self.device = recipe, files, torch.device(device)
        net = EntropyNet(recipe.network.channels, recipe.network.width)
        generator = torch.Generator().manual_seed(recipe.training.seed)
        net.latent.reset(generator)
        net.basis.reset(generator)
        super().__init__(net.to(self.device), MEAN_MEMORY)

    def step(self) -> float:
        """One step; returns bits a coefficient of the pictures looked at."""
        training = self.recipe.training
        rng = np.random.default_rng([training.seed, self.step_count])
        page, q = draw_page(self.files, rng), _draw_q(rng)
        levels = quantize(page, q, float(rng.uniform(*WEIGHT_RANGE)))
        picked = np.sort(rng.choice(np.arange(1, len(page)), min(BASIS_PICTURES, len(page) - 1), replace=False))
        latent = self.bits(levels, [0], q, None).sum()
        basis = self.bits(levels, picked.tolist(), q, rng).sum()
        loss = LATENT_SHARE * latent / (latent.detach() + SOFT_BITS) + basis / (basis.detach() + SOFT_BITS)
        self.descend(loss, training)
        return float((latent + basis).detach()) / float((len(picked) + 1) * page[0].size)

    def bits(self, levels: dict[int, LevelData], pictures: list[int], q: float,
             rng: np.random.Generator | None) -> Tensor:
        """Bits (n,) of some pictures of a quantized page: the latent, [0], or basis pictures.

        With `rng`, the finest level is looked at in some of them only, which stand for the others.
        """
        net = self.net.basis if pictures[0] else self.net.latent
        side = torch.tensor(np.array([side_inputs(q, index) for index in pictures]) / UNIT, dtype=torch.float32)
        total = torch.zeros(len(pictures), device=self.device)
        for level, (_, symbols, valid) in levels.items():
            at = np.arange(len(pictures))
            if rng is not None and level == 0 and len(at) > FINEST_PICTURES:
                at = np.sort(rng.choice(at, FINEST_PICTURES, replace=False))
            maps = np.stack([context_maps(levels, pictures[index], level) for index in at])
            found = self._level_bits(net, maps, symbols[[pictures[index] for index in at]], valid, level, side[at])
            total = total + found.sum() / len(at) if len(at) < len(pictures) else total + found
        return total

    def _level_bits(self, net: BandNet, maps: NDArray[np.float32], symbols: NDArray[np.int64],
                    valid: NDArray[np.float32], level: int, side: Tensor) -> Tensor:
        values = torch.from_numpy(symbols.astype(np.float32)).to(self.device)
        logits = net(torch.from_numpy(maps).to(self.device), values, level, side.to(self.device))
        return bits_of(logits, values, torch.from_numpy(valid).to(self.device))

    def tensors(self) -> dict[str, NDArray[np.int16]]:
        """Integer weights of the running mean."""
        kept = EntropyNet(self.recipe.network.channels, self.recipe.network.width)
        kept.load_state_dict(self.mean)
        return {name: value.numpy() for name, value in kept.tensors().items()}

    def take(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Start from the weights of a pack."""
        self.net.take({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
        self.forget()


def _draw_q(rng: np.random.Generator) -> float:
    return float(np.round(16 * rng.uniform(*Q_RANGE)) / 16)


def quantize(page: NDArray[np.float32], q: float, weight: float) -> dict[int, LevelData]:
    """Levels of a page (n, H, W) in gray levels, coarsest first, with coefficients quantized at index q.

    `weight` is the worth of a bit in squared steps; see `choose`.
    """
    top, details = analyze(np.asarray(page / (255 * pixel_step(q)), np.float64))
    values = np.round(top)
    levels: dict[int, LevelData] = {}
    for level in range(len(details) - 1, -1, -1):
        bands = Bands(*(choose(band, weight) for band in details[level]))
        symbols, valid = (np.zeros((*lead, 3, *values.shape[1:])) for lead in ((len(page),), ()))
        for index, band in enumerate(bands):
            symbols[:, index, :band.shape[1], :band.shape[2]] = band
            valid[index, :band.shape[1], :band.shape[2]] = 1
        coarse = np.floor(QUARTERS * values + 0.5).astype(np.int64)
        levels[level] = coarse, symbols.astype(np.int64), valid.astype(np.float32)
        values = merge_level(values, bands)
    return levels


def choose(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Integers near (n, h, w) coefficients, about those with the least squared error plus `weight` times their bits.

    A Laplace law with the mean magnitude around tells what not being 0 costs more than being 0; further up,
    magnitudes cost about 1.3 bits each.
    """
    if not values.size:
        return values
    magnitudes = np.abs(values)
    around = uniform_filter(magnitudes, (1, 5, 5), mode="nearest") + 0.04
    nonzero = np.exp(-0.65 / around)
    more_bits = np.log2((1 - nonzero) / nonzero) + 1.3
    chosen = np.floor(magnitudes + 0.5 - 0.65 * weight)
    chosen[magnitudes < 0.5 + weight / 2 * more_bits] = 0
    return np.asarray(np.sign(values) * chosen)


def context_maps(levels: dict[int, LevelData], picture: int, level: int) -> NDArray[np.float32]:
    """Context maps (channels, h, w) of a picture's level as a reader has them."""
    coarse, symbols, _ = levels[level]
    earlier = Earlier()
    for index in (0, *range(1, picture)) if picture else ():
        earlier.add({level: coarse[index]}, {level: symbols[index]})
    parents = levels[level + 1][1][picture] if level + 1 in levels else None
    maps = earlier.maps(level, coarse[picture], parents) / UNIT
    return np.ascontiguousarray(maps.transpose(2, 0, 1), np.float32)
