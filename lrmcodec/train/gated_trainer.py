"""Training of the shared `GatedSiren` (`decoders.gated_siren`).

    low-rank    B of few columns: LRM-Functa, orthonormal ("ortho") or free ("basic")
    video       B of as many columns as the gates have values: VidFuncta, phi_t not restricted

A step fits pictures and coefficients of some clips as an encoder does, with network and basis as they stand, and moves
these downhill where the fit has come to. There the error does not change with what was fitted, to first order, so that
its derivative by the network needs no way back through the fit (Danskin's theorem; variable projection, Golub and
Pereyra 1973). That takes the place of the paper's second-order inner loop, and nothing is kept for a clip. The rank is
drawn anew in every step, so that the first columns of B serve alone too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lrmcodec.decoders.gated_fit import GatedModel, principal, solve_coeffs, solve_pictures
from lrmcodec.decoders.gated_network import GatedShape, GatedSiren, gate_patterns, gates_of
from lrmcodec.decoders.grid_network import pixel_grid
from lrmcodec.decoders.ids import Architecture
from lrmcodec.train.export import Arrays, card_architecture, to_half
from lrmcodec.train.optimizer import Resumable, descend, precision, schedule
from lrmcodec.train.pool import Pool
from lrmcodec.train.recipe import Recipe

PICTURE_STD = 0.1
PROBE_CLIPS, PROBE_FRAMES = 24, 4
LEAST_STD = 1e-3


class GatedModules(nn.Module):
    """All that Adam moves: the network and the basis."""

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        super().__init__()
        network = recipe.network
        self.shape = GatedShape(network.width, network.depth, network.gates, network.gate_grid, network.max_rank,
                                network.w0_first, network.w0_last)
        self.net = GatedSiren(self.shape)
        self.net.reset(generator)
        free = recipe.structure == "low-rank" and not recipe.training.orthonormal
        self.basis = nn.Parameter(random_basis(self.shape, generator) if free else smooth_basis(self.shape))


def random_basis(shape: GatedShape, generator: torch.Generator) -> Tensor:
    """First basis (K g^2, r) of LRM-basic, U(-a, a) with a = sqrt(6 / (K g^2))."""
    bound = math.sqrt(6.0 / shape.gate_size)
    return torch.empty(shape.gate_size, shape.max_rank).uniform_(-bound, bound, generator=generator)


def smooth_basis(shape: GatedShape) -> Tensor:
    """Orthonormal first basis (K g^2, r): cosines over each gate's grid, flat ones first."""
    from scipy.fft import idctn

    grid = shape.gate_grid
    order = sorted((i * i + j * j, i, j) for i in range(grid) for j in range(grid))
    basis = np.zeros((shape.gates, grid * grid, shape.max_rank), np.float32)
    for column in range(shape.max_rank):
        _, i, j = order[column // shape.gates]
        spectrum = np.zeros((grid, grid))
        spectrum[i, j] = 1.0
        basis[column % shape.gates, :, column] = idctn(spectrum, norm="ortho").ravel()
    return torch.from_numpy(basis.reshape(shape.gate_size, -1))


class GatedTrainer(Resumable[GatedModules]):
    """Network and basis, trained on a pool of clips; `step` trains them."""

    def __init__(self, recipe: Recipe, pool: Pool, device: str = "cpu") -> None:
        super().__init__(recipe, pool, device)
        self.modules = GatedModules(recipe, self.generator).to(self.device)
        self.grid = pixel_grid(pool.size, self.device)
        self.optimizer = torch.optim.Adam(self.modules.parameters(), betas=(0.9, 0.99))

    @property
    def shape(self) -> GatedShape:
        """Hyper-parameters of the network."""
        return self.modules.shape

    def step(self) -> float:
        """Train on one batch; returns its mean squared error."""
        training = self.recipe.training
        clips = self.pool.draw(training.clips, self.generator)
        rank = training.ranks[int(torch.randint(len(training.ranks), (), generator=self.generator))]
        errors = [self._error(int(clip), rank) for clip in clips]
        loss = torch.stack(errors).mean()
        factor = schedule(self.step_count / training.steps, self.step_count, training.final_rate)
        with precision(self.device, training.precision):
            descend(self.optimizer, loss, training.network_rate * factor)
        self._constrain()
        self.step_count += 1
        return float(loss.detach())

    def _error(self, clip: int, rank: int) -> Tensor:
        """Mean squared error of some pixels of a clip after its fit, a function of network and basis."""
        training = self.recipe.training
        chosen = torch.randperm(len(self.grid), generator=self.generator)[:training.pixels].sort().values
        target = self.pool.frames[clip].flatten(1)[:, chosen].float().to(self.device) / 255.0
        coords = self.grid[chosen.to(self.device)]
        pictures, coeffs = self._fit(target, coords, rank)
        noise = torch.rand(pictures.shape, generator=self.generator).to(self.device) - 0.5
        patterns = gate_patterns(self.shape, self.modules.basis[:, :rank], coords)
        gray = self.modules.net(coords, pictures + training.noise * noise, gates_of(patterns, coeffs))
        error: Tensor = (gray - target).square().mean()
        return error

    @torch.no_grad()
    def _fit(self, target: Tensor, coords: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        """Pictures (p, K + 1) and coefficients (T, rank) of gray levels (T, p) under the network as it stands."""
        model = self._model(rank)
        pictures, coeffs = principal(model, target)
        for _ in range(self.recipe.training.inner_steps):
            pictures = solve_pictures(model, target, coords, pictures, coeffs)
            coeffs = solve_coeffs(model, target, coords, pictures, coeffs, 1, 0)
        return solve_pictures(model, target, coords, pictures, coeffs), coeffs

    def _model(self, rank: int) -> GatedModel:
        shape = self.shape
        std = torch.full((shape.max_rank,), float(shape.gate_grid), device=self.device)  # a gate about 1 for phi's std
        picture_std = torch.full((shape.gates + 1,), PICTURE_STD, device=self.device)
        return GatedModel(self.modules.net, self.modules.basis.detach(), std, picture_std).to_rank(rank)

    @torch.no_grad()
    def _constrain(self) -> None:
        """Draw an orthonormal basis back to one, by a Newton-Schulz step."""
        if self.recipe.training.orthonormal and self.recipe.structure == "low-rank":
            basis = self.modules.basis
            basis.copy_(1.5 * basis - 0.5 * basis @ (basis.T @ basis))

    def architecture(self) -> dict[str, Any]:
        """The card's `architecture` object."""
        return card_architecture(Architecture.GATED_SIREN, self.shape.to_card())

    @torch.no_grad()
    def tensors(self) -> Arrays:
        """Tensors of a pack, float16."""
        generator = torch.Generator().manual_seed(self.recipe.training.seed)
        rank, count = self.shape.max_rank, len(self.pool.frames)
        powers, changes = torch.zeros(rank, device=self.device), torch.zeros(rank, device=self.device)
        clips = torch.linspace(0, count - 1, min(count, PROBE_CLIPS)).long().tolist()
        for clip in clips:
            chosen = torch.randperm(len(self.grid), generator=generator)[:max(2 * rank, 2048)]
            target = self.pool.frames[clip].flatten(1)[:, chosen].float().to(self.device) / 255.0
            coords = self.grid[chosen.to(self.device)]
            pictures, coeffs = self._fit(target, coords, rank)
            powers += coeffs.square().mean(0) / len(clips)
            patterns = gate_patterns(self.shape, self.modules.basis, coords)
            for row in torch.linspace(0, len(coeffs) - 1, PROBE_FRAMES).long().tolist():
                slopes = self.modules.net.slopes(coords, pictures, gates_of(patterns, coeffs[row:row + 1]))
                change = torch.einsum("pk,kpr->pr", slopes.gates[0], patterns)
                changes += change.square().mean(0) / (len(clips) * PROBE_FRAMES)
        model = self._model(rank)
        return {name: to_half(tensor) for name, tensor in {
            **self.modules.net.state_dict(), "basis": self.modules.basis, "picture_std": model.picture_std,
            "coeff_std": powers.sqrt().clamp_min(LEAST_STD), "coeff_scale": changes.sqrt().clamp_min(1e-5)}.items()}
