"""What a run asks of the trainer of any structure that learns from frames of clips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from lrmcodec.train.conv_trainer import ConvTrainer
from lrmcodec.train.export import Arrays
from lrmcodec.train.gated_trainer import GatedTrainer
from lrmcodec.train.grid_trainer import GridTrainer
from lrmcodec.train.loop import Learner
from lrmcodec.train.pool import Pool
from lrmcodec.train.recipe import Recipe


class Trainer(Learner, Protocol):
    """Trains one network on a pool of clips; `step` returns a mean squared error."""

    recipe: Recipe
    pool: Pool
    device: torch.device

    def architecture(self) -> dict[str, Any]:
        """The card's `architecture` object."""

    def tensors(self) -> Arrays:
        """Tensors of the pack as it stands now."""


def make_trainer(recipe: Recipe, pool: Pool, device: str = "cpu") -> Trainer:
    """Trainer of a recipe's structure."""
    kinds: dict[bool, Callable[[Recipe, Pool, str], Trainer]] = {True: GatedTrainer, False: GridTrainer}
    kind = ConvTrainer if recipe.structure == "autoencoder" else kinds[recipe.network.gates > 0]
    return kind(recipe, pool, device)
