"""Train a shared SIREN with low-rank modulated latents as an auto-decoder.

The paper trains by meta-learning, differentiating through ten inner steps. Here each clip of a pool keeps its
latent and each frame its coefficients from visit to visit. A step of training

1. draws clips, frames and pixels;
2. moves their coefficients and latents by one damped Gauss-Newton step from where the last visit left them. The
   normal equations remember earlier visits, fading (recursive least squares), so that the few pixels of a
   visit correct a latent without overthrowing it; without memory, training stalled at 17.5 dB;
3. moves the network and the basis by one Adam step with latents and coefficients held fixed: near their optimum
   the loss does not change with them, so nothing is differentiated through the solve.

The paper's penalty lambda ||B^T B - I||_F is replaced by its limit: the basis is drawn back to an orthonormal one
after each step. (With lambda = 1 the gradient of the norm, which does not shrink with the deviation, drowned
that of the pixels.)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec.decoders.siren import Siren, SirenShape, pixel_grid

Frames = NDArray[np.uint8]

SETTLING_STEPS = 10
"""Solves of a new clip's latent before the network is trained on it."""

RAMP_STEPS = 200
"""Steps over which the rate rises from zero."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides its clips and its length.

    Attributes
    ----------
    clips_a_step, frames_a_clip, pixels_a_frame : int
        Size of a batch.
    ranks : tuple of int
        Ranks drawn at random, one a step, so that the first columns of the basis serve alone too. Repeat a
        rank to draw it more often.
    orthonormal : bool
        Keep the basis orthonormal ("ortho") or let it go where it will ("basic").
    network_rate, final_rate : float
        First rate of Adam, and the share of it left at the end of the cosine.
    coeff_damping, latent_damping : float
        Added to the diagonal of the normal equations.
    coeff_memory, latent_memory : float
        Share of the normal equations of earlier visits that a visit keeps.
    """

    seed: int = 0
    clips_a_step: int = 32
    frames_a_clip: int = 1
    pixels_a_frame: int = 128
    ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 32, 32)
    orthonormal: bool = True
    network_rate: float = 2e-4
    final_rate: float = 0.02
    coeff_damping: float = 10.0
    latent_damping: float = 10.0
    coeff_memory: float = 0.9
    latent_memory: float = 0.99


class AutoDecoder:
    """Network, basis, and the latents of a pool of clips; `step` trains them all.

    Parameters
    ----------
    shape : SirenShape
    clips : sequence of ndarray, (T, H, W) uint8
        All of one shape.
    recipe : Recipe
    """

    def __init__(self, shape: SirenShape, clips: list[Frames], recipe: Recipe) -> None:
        self.shape, self.recipe = shape, recipe
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.pool = torch.from_numpy(np.stack(clips)).flatten(2)  # (clips, T, H * W)
        self.grid = pixel_grid(clips[0].shape[1:])
        self.net = Siren(shape)
        self.net.reset(self.generator)
        start = torch.randn(shape.latent_size, shape.max_rank, generator=self.generator)
        self.basis = torch.nn.Parameter(torch.linalg.qr(start).Q.contiguous())
        self.latents = torch.zeros(len(clips), shape.latent_size)
        self.coeffs = torch.zeros(*self.pool.shape[:2], shape.max_rank)
        self.latent_memory = torch.zeros(len(clips), shape.latent_size, shape.latent_size)
        self.coeff_memory = torch.zeros(*self.pool.shape[:2], shape.max_rank, shape.max_rank)
        self.optimizer = torch.optim.Adam([*self.net.parameters(), self.basis], betas=(0.9, 0.99))
        self.step_count = 0
        self.trained_s = 0.0

    def step(self, done: float) -> float:
        """Train on one batch.

        Parameters
        ----------
        done : float
            Share of the training done, 0 to 1; sets the rate.

        Returns
        -------
        float
            Mean squared error of the batch before anything was moved.
        """
        clips, frames, pixels, rank = self._draw()
        coords, target = self._look_up(clips, frames, pixels)
        mse = self._solve(clips, frames, coords, target, rank)
        modulations = self.latents[clips] + self.coeffs[clips, frames, :rank] @ self.basis[:, :rank].T
        loss = (self.net(coords, modulations) - target).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(done)
        self.optimizer.step()
        if self.recipe.orthonormal:
            self._make_orthonormal()
        self.step_count += 1
        return mse

    def _rate(self, done: float) -> float:
        """Rate of Adam: a short ramp, then a cosine."""
        least = self.recipe.final_rate
        cosine = least + (1.0 - least) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
        return self.recipe.network_rate * cosine * min(1.0, (self.step_count + 1) / RAMP_STEPS)

    @torch.no_grad()
    def _make_orthonormal(self) -> None:
        """One Newton-Schulz step towards the nearest orthonormal basis."""
        gram = self.basis.T @ self.basis
        self.basis.copy_(1.5 * self.basis - 0.5 * self.basis @ gram)

    def _draw(self, chosen: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, int]:
        """Clip (n,), frame (n,) and pixels (n, p) of a batch, and its rank."""
        recipe = self.recipe
        if chosen is None:
            chosen = torch.randperm(len(self.pool), generator=self.generator)[:recipe.clips_a_step]
        clips = chosen.repeat_interleave(recipe.frames_a_clip)
        frames = torch.randint(self.pool.shape[1], (len(clips),), generator=self.generator)
        pixels = torch.randint(len(self.grid), (len(clips), recipe.pixels_a_frame), generator=self.generator)
        rank = recipe.ranks[int(torch.randint(len(recipe.ranks), (), generator=self.generator))]
        return clips, frames, pixels, rank

    def _look_up(self, clips: Tensor, frames: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates (n, p, 2) and gray levels (n, p) of drawn pixels."""
        return self.grid[pixels], self.pool[clips[:, None], frames[:, None], pixels].float() / 255.0

    @torch.no_grad()
    def _solve(self, clips: Tensor, frames: Tensor, coords: Tensor, target: Tensor, rank: int) -> float:
        """One damped Gauss-Newton step of coefficients, then latents; returns the mean squared error before."""
        recipe, d = self.recipe, self.shape.latent_size
        basis, coeffs = self.basis[:, :rank], self.coeffs[clips, frames, :rank]
        gray, by_latent = self.net.linearize(coords, self.latents[clips] + coeffs @ basis.T, torch.eye(d))
        residual = target - gray
        by_coeffs = by_latent @ basis
        matrix = self._remember(self.coeff_memory, (clips, frames), by_coeffs, recipe.coeff_memory)
        coeff_step = _newton_step(matrix, by_coeffs, residual, recipe.coeff_damping)
        left = residual - (by_coeffs @ coeff_step[..., None])[..., 0]
        rows = clips[::recipe.frames_a_clip]
        by_latent = by_latent.reshape(len(rows), -1, d)
        matrix = self._remember(self.latent_memory, (rows,), by_latent, recipe.latent_memory)
        latent_step = _newton_step(matrix, by_latent, left.reshape(len(rows), -1), recipe.latent_damping)
        self.coeffs[clips, frames, :rank] = coeffs + coeff_step
        self.latents[rows] = self.latents[rows] + latent_step
        return float(residual.square().mean())

    def _remember(self, memory: Tensor, index: tuple[Tensor, ...], jacobian: Tensor, share: float) -> Tensor:
        """Add J^T J of this visit to the faded sum of earlier ones; returns the first k rows and columns."""
        k = jacobian.shape[2]
        matrix = share * memory[index]
        matrix[:, :k, :k] += jacobian.transpose(1, 2) @ jacobian
        memory[index] = matrix
        return matrix[:, :k, :k]

    def replace_clip(self, index: int, clip: Frames) -> None:
        """Put a new clip (T, H, W) into the pool; its latent and coefficients start at zero and settle first."""
        self.pool[index] = torch.from_numpy(np.ascontiguousarray(clip)).flatten(1)
        self.latents[index] = 0.0
        self.coeffs[index] = 0.0
        self.latent_memory[index] = 0.0
        self.coeff_memory[index] = 0.0
        for _ in range(SETTLING_STEPS):
            clips, frames, pixels, rank = self._draw(torch.tensor([index]))
            self._solve(clips, frames, *self._look_up(clips, frames, pixels), rank)

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {"shape": asdict(self.shape), "recipe": asdict(self.recipe), "pool": self.pool,
                "net": self.net.state_dict(), "basis": self.basis.detach(), "latents": self.latents,
                "coeffs": self.coeffs, "latent_memory": self.latent_memory,
                "coeff_memory": self.coeff_memory, "optimizer": self.optimizer.state_dict(),
                "generator": self.generator.get_state(), "step_count": self.step_count,
                "trained_s": self.trained_s, "torch": str(torch.__version__)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`; shape and recipe must be the same."""
        if state["shape"] != asdict(self.shape):
            raise ValueError(f"the checkpoint holds {state['shape']}, not {asdict(self.shape)}")
        self.net.load_state_dict(state["net"])
        with torch.no_grad():
            self.basis.copy_(state["basis"])
        self.pool, self.latents, self.coeffs = state["pool"], state["latents"], state["coeffs"]
        self.latent_memory, self.coeff_memory = state["latent_memory"], state["coeff_memory"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.step_count, self.trained_s = state["step_count"], state["trained_s"]


def _newton_step(matrix: Tensor, jacobian: Tensor, residual: Tensor, damping: float) -> Tensor:
    """Solve (matrix + damping I) step = J^T residual: (n, k, k), (n, p, k), (n, p) -> (n, k)."""
    damped = matrix + damping * torch.eye(matrix.shape[1])
    right = jacobian.transpose(1, 2) @ residual[..., None]
    return torch.cholesky_solve(right, torch.linalg.cholesky(damped))[..., 0]
