"""What a run asks of the trainer of any structure that learns from frames of clips."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from lrmcodec.train.conv_trainer import ConvTrainer
from lrmcodec.train.export import Arrays
from lrmcodec.train.grid_trainer import GridTrainer
from lrmcodec.train.pool import Pool
from lrmcodec.train.recipe import Recipe


class Trainer(Protocol):
    """Trains one network on a pool of clips; `state` holds all that a resumed run needs besides recipe and pool."""

    recipe: Recipe
    pool: Pool
    device: torch.device
    step_count: int

    def step(self) -> float:
        """Train on one batch; returns its mean squared error."""

    def architecture(self) -> dict[str, Any]:
        """The card's `architecture` object."""

    def tensors(self) -> Arrays:
        """Tensors of the pack as it stands now."""

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state` of the same recipe and pool."""


def make_trainer(recipe: Recipe, pool: Pool, device: str = "cpu") -> Trainer:
    """Trainer of a recipe's structure."""
    return ConvTrainer(recipe, pool, device) if recipe.structure == "autoencoder" else GridTrainer(recipe, pool, device)
