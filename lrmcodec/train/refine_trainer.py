"""Training of the network that refines wavelet pictures (decoder architecture 7), the entropy model frozen.

A step draws cuts of coded pictures with what they were decoded beside, and moves the network towards what they lack.
Errors count relative to those of the picture as decoded, since a percent is worth the same at every quality. From a
share of the steps on the network is trained in the whole numbers of the decoder. A running mean becomes the pack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec.decoders.refine_net import SEEN, context_maps, picture_planes
from lrmcodec.train.coded_pages import CodedPage, load_coded
from lrmcodec.train.export import Arrays
from lrmcodec.train.optimizer import Averaged
from lrmcodec.train.recipe import Recipe
from lrmcodec.train.refine_net import RefineNet

SIDE = 64  # of a cut
LATENT_SHARE = 0.12
LEAST_ERROR = 1e-3  # squared steps of a picture, below which it counts less
MEAN_MEMORY = 0.995  # of the running mean of the weights
ROUNDED_FROM = 0.6  # of the steps

Sample = tuple[NDArray[np.float64], NDArray[np.float32], float]
"""Maps (h, w, INPUTS), missing planes (h, w, 4), and the mean square of what the whole picture lacks."""


class RefineTrainer(Averaged[RefineNet]):
    """The network, its optimizer and the coded pages that it learns from.

    Parameters
    ----------
    recipe : Recipe
        `network.width` features, `network.depth` layers, `training.clips` cuts a step.
    files : list of (Path, float)
        Coded pages with their quantizer indices.
    device : str
    """

    def __init__(self, recipe: Recipe, files: list[tuple[Path, float]], device: str = "cpu") -> None:
        self.recipe, self.files, self.device = recipe, files, torch.device(device)
        generator = torch.Generator().manual_seed(recipe.training.seed)
        net = RefineNet(recipe.network.width, recipe.network.depth, generator)
        super().__init__(net.to(self.device), MEAN_MEMORY)

    def step(self) -> float:
        """One step; returns the error left, relative to that of the pictures as decoded."""
        training = self.recipe.training
        rng = np.random.default_rng([training.seed, self.step_count])
        maps, missing, errors = zip(*(self._draw(rng) for _ in range(training.clips)), strict=True)
        wanted = _batch(missing).to(self.device)
        weights = 1 / (torch.tensor(errors, dtype=torch.float32, device=self.device) + LEAST_ERROR)
        found = self.net(_batch(maps).to(self.device), self.step_count >= ROUNDED_FROM * training.steps)
        loss = (weights * (found - wanted).square().mean((1, 2, 3))).mean()
        self.descend(loss, training)
        before = (weights * wanted.square().mean((1, 2, 3))).mean()
        return float(loss.detach() / before.clamp_min(1e-6))

    def _draw(self, rng: np.random.Generator) -> Sample:
        path, q = self.files[rng.integers(len(self.files))]
        page = load_coded(path, q)
        index = 0 if rng.random() < LATENT_SHARE else int(rng.integers(1, len(page.decoded)))
        sides = [min(SIDE, side - side % 2) for side in page.decoded.shape[1:]]
        top, left = (2 * int(rng.integers((whole - side) // 2 + 1))
                     for whole, side in zip(page.decoded.shape[1:], sides, strict=True))
        return sample(page, index, (slice(top, top + sides[0]), slice(left, left + sides[1])),
                      mirrored=bool(rng.random() < 0.5), turned=bool(rng.random() < 0.5))

    def averaged(self) -> RefineNet:
        """The network with the running mean of the weights, on the CPU."""
        kept = RefineNet(self.recipe.network.width, self.recipe.network.depth, torch.Generator())
        kept.load_state_dict({name: value.cpu() for name, value in self.mean.items()})
        return kept

    def tensors(self) -> Arrays:
        """Tensors `refine.*` of a pack."""
        return self.averaged().tensors()


def sample(page: CodedPage, index: int, at: tuple[slice, slice], *, mirrored: bool = False,
           turned: bool = False) -> Sample:
    """A cut of picture `index` of a coded page with what it was decoded beside.

    `mirrored` from left to right; `turned` changes the sign of a basis picture, which is any.
    """
    step = -1 if mirrored else 1
    sign = -1 if turned and index else 1
    order = [0, index, *(other for other in (index - 1, index - 2) if other > 0)] if index else [0]
    seen = [picture_planes(np.asarray((sign if other == index else 1) * page.decoded[other][at][:, ::step], np.float64))
            for other in order][:SEEN]
    lacking = np.asarray(page.missing[index], np.float32)
    cut = sign * lacking[at][:, ::step]
    planes = np.stack([cut[row::2, column::2] for row in (0, 1) for column in (0, 1)], 2)
    return context_maps(seen, page.q, index), planes, float((lacking**2).mean())


def _batch(items: tuple[NDArray[Any], ...]) -> Tensor:
    """Planes (h, w, channels) of several cuts as (n, channels, h, w), zeros beside those of pages below SIDE."""
    sides = [max(item.shape[axis] for item in items) for axis in (0, 1)]
    batch = np.zeros((len(items), items[0].shape[2], *sides), np.float32)
    for place, item in zip(batch, items, strict=True):
        place[:, :item.shape[0], :item.shape[1]] = item.transpose(2, 0, 1)
    return torch.from_numpy(batch)
