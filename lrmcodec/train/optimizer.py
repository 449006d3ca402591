"""What trainers share: rates, steps downhill, a running mean, precision, state of a run; Adam for rows of a table."""

from __future__ import annotations

import contextlib
import math
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from lrmcodec.train.pool import Pool
from lrmcodec.train.recipe import Recipe, Training

ModulesT = TypeVar("ModulesT", bound=nn.Module)

RAMP_STEPS = 50
CLIP_GRADIENT = 1.0
AVERAGED_SECOND_MEMORY = 0.99  # of Adam; its usual one reaches back too far for a thousand steps
AVERAGED_CLIP_GRADIENT = 0.5
FIRST_MEMORY, SECOND_MEMORY = 0.8, 0.98
"""Shorter than Adam's usual ones, since a row is visited some hundred times in all."""


def schedule(done: float, step: int, least: float) -> float:
    """Factor on a rate: a short ramp, then a cosine down to `least` at `done` = 1."""
    cosine = least + (1.0 - least) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    return cosine * min(1.0, (step + 1) / RAMP_STEPS)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """Move all weights of the optimizer downhill, gradients cut to CLIP_GRADIENT; a group's `share` scales its rate."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    weights = [weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
    torch.nn.utils.clip_grad_norm_(weights, CLIP_GRADIENT)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    optimizer.step()


def precision(device: torch.device, name: str) -> AbstractContextManager[Any]:
    """Where the recipe asks for it: bf16 by autocast; TF32 is set once for the process by `run`."""
    return torch.autocast(device.type, torch.bfloat16) if name == "bf16" else contextlib.nullcontext()


class Resumable(Generic[ModulesT]):
    """A trainer of `modules` by one optimizer on a pool of clips, with random numbers of its own.

    Parameters
    ----------
    recipe : Recipe
    pool : Pool
    device : str
        "cpu" or "cuda".
    """

    modules: ModulesT
    optimizer: torch.optim.Optimizer

    def __init__(self, recipe: Recipe, pool: Pool, device: str = "cpu") -> None:
        self.recipe, self.pool, self.device = recipe, pool, torch.device(device)
        self.generator = torch.Generator().manual_seed(recipe.training.seed)
        self.step_count = 0

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs besides recipe and pool."""
        return {"modules": self.modules.state_dict(), "optimizer": self.optimizer.state_dict(),
                "generator": self.generator.get_state(), "step_count": self.step_count}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state` of the same recipe and pool."""
        self.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.step_count = int(state["step_count"])


class Averaged(Generic[ModulesT]):
    """A network trained by Adam, with a running mean of its weights, which becomes the pack.

    Parameters
    ----------
    net : nn.Module
    memory : float
        Of the running mean, from 0 to 1; shorter in the first steps.
    """

    def __init__(self, net: ModulesT, memory: float) -> None:
        self.net, self.memory = net, memory
        self.optimizer = torch.optim.Adam(net.parameters(), betas=(0.9, AVERAGED_SECOND_MEMORY))
        self.step_count = 0
        self.forget()

    def forget(self) -> None:
        """Let the running mean begin anew with the weights as they are."""
        self.mean = {name: value.detach().clone() for name, value in self.net.named_parameters()}

    def descend(self, loss: Tensor, training: Training) -> None:
        """Move the weights downhill at the rate of this step of a recipe, and the mean after them."""
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), AVERAGED_CLIP_GRADIENT)
        rate = training.network_rate * schedule(self.step_count / training.steps, self.step_count, training.final_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self._remember()
        self.step_count += 1

    @torch.no_grad()
    def _remember(self) -> None:
        memory = min(self.memory, (self.step_count + 1) / (self.step_count + 10))
        for name, value in self.net.named_parameters():
            self.mean[name].lerp_(value, 1 - memory)

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs besides recipe and pages."""
        return {"net": self.net.state_dict(), "mean": self.mean, "optimizer": self.optimizer.state_dict(),
                "step_count": self.step_count}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state` of the same recipe and pages."""
        self.net.load_state_dict(state["net"])
        self.mean = {name: value.to(self.mean[name].device) for name, value in state["mean"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_count = int(state["step_count"])


class RowAdam:
    """Adam (Kingma and Ba 2015) whose moments of a row stand still while the row is not visited.

    Parameters
    ----------
    table : Tensor, (n, d)
        Changed in place by `step`.
    """

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.first, self.second = torch.zeros_like(table), torch.zeros_like(table)
        self.visits = torch.zeros(len(table), 1, device=table.device)

    def step(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Move `rows` (k,) of the table against `gradient` (k, d)."""
        self.visits[rows] += 1.0
        self.first[rows] = torch.lerp(gradient, self.first[rows], FIRST_MEMORY)
        self.second[rows] = torch.lerp(gradient.square(), self.second[rows], SECOND_MEMORY)
        first = self.first[rows] / (1.0 - FIRST_MEMORY ** self.visits[rows])
        second = self.second[rows] / (1.0 - SECOND_MEMORY ** self.visits[rows])
        self.table[rows] -= rate * first / (second.sqrt() + 1e-10)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, the table included."""
        return {"table": self.table, "first": self.first, "second": self.second, "visits": self.visits}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
