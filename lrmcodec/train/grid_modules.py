"""What is trained of the shared `GridSiren`, by the latent structure of the recipe; see `grid_trainer`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lrmcodec.decoders.amortized import CoeffEncoder
from lrmcodec.decoders.grid_network import GridShape, GridSiren
from lrmcodec.train.recipe import Recipe

BASIC_SPREAD = 1 / 50
"""LRM-basic draws its basis from U(-a, a) with a = sqrt(6 / d) times this."""


def grid_shape(recipe: Recipe) -> GridShape:
    """Shape of the network for a recipe's latent structure."""
    network = recipe.network
    extra = network.motion_channels if recipe.structure == "video" else 0
    latent = 0 if recipe.structure == "framewise" else network.channels
    return GridShape(network.width, network.depth, network.channels + extra, network.grid, latent, network.max_rank,
                     network.w0_first, network.w0_last)


class Modules(nn.Module):
    """All that Adam moves: the network, the basis, the mean of framewise codes, the encoder of the coefficients.

    Parameters
    ----------
    recipe : Recipe
    generator : torch.Generator
        Of the first weights.
    """

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        super().__init__()
        shape = grid_shape(recipe)
        self.net = GridSiren(shape)
        self.net.reset(generator)
        self.basis = nn.Parameter(_first_basis(recipe, shape, generator))
        framewise = recipe.structure == "framewise"
        self.mean = nn.Parameter(torch.zeros(shape.modulation_size), requires_grad=framewise)
        self.encoder = CoeffEncoder(shape.max_rank, framewise)
        for weight in self.encoder.parameters():
            bound = 1.0 / math.sqrt(max(weight[0].numel(), 1)) if weight.ndim > 1 else 0.0
            nn.init.uniform_(weight, -bound, bound, generator=generator)

    def basis_of(self, rank: int) -> Tensor:
        """First columns of the basis, (d, rank)."""
        return self.basis[:, :rank]


def _first_basis(recipe: Recipe, shape: GridShape, generator: torch.Generator) -> Tensor:
    size, rank = shape.modulation_size, shape.max_rank
    free = size - shape.latent_size if recipe.structure == "video" else size  # the last values, of motion channels
    if recipe.training.orthonormal or recipe.structure != "low-rank":
        start = torch.linalg.qr(torch.randn(free, rank, generator=generator)).Q
    else:
        bound = math.sqrt(6.0 / size) * BASIC_SPREAD
        start = torch.empty(free, rank).uniform_(-bound, bound, generator=generator)
    return torch.cat([torch.zeros(size - free, rank), start]).contiguous()
