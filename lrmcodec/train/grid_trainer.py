"""Training of the shared `GridSiren` with one of the paper's latent structures.

    low-rank    z_t = v + B phi_t             LRM-Functa; B orthonormal ("ortho") or free ("basic")
    video       z_t = (v, 0) + (0, B phi_t)   VidFuncta: v and phi_t enter the network through weights of their own
    framewise   z_t = mean + B phi_t          MedFuncta and COIN++: nothing is shared by the frames of a clip

As an auto-decoder each clip of the pool keeps its v from visit to visit (DeepSDF, arXiv 1901.05103) while a small
encoder, trained along, guesses phi. By meta-learning, as the paper trains, v and phi start from zero in every step,
take a few steps downhill, and the network is derived through these (CAVIA, arXiv 1810.03642, as in Functa). The rank
is drawn anew in every step, so that the first columns of B serve alone too.

The paper's penalty ||B^T B - I||_F on the basis is replaced by its limit: the basis is drawn back to an orthonormal
one after each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lrmcodec.decoders.amortized import shrink
from lrmcodec.decoders.grid_network import GridShape, pixel_grid
from lrmcodec.decoders.ids import Architecture
from lrmcodec.train.export import Arrays, card_architecture
from lrmcodec.train.grid_export import Probe, grid_tensors
from lrmcodec.train.grid_modules import Modules
from lrmcodec.train.optimizer import Resumable, RowAdam, descend, precision, schedule
from lrmcodec.train.pool import Pool
from lrmcodec.train.recipe import Recipe

SLOW_SHARE = 0.1
PROBE_CLIPS, PROBE_PIXELS = 96, 1024


class GridTrainer(Resumable[Modules]):
    """Network, basis, encoder, and the latents of a pool of clips; `step` trains them all."""

    def __init__(self, recipe: Recipe, pool: Pool, device: str = "cpu") -> None:
        super().__init__(recipe, pool, device)
        self.modules = Modules(recipe, self.generator).to(self.device)
        self.modules.net.second_order = recipe.training.method == "meta"
        self.grid = pixel_grid(pool.size, self.device)
        self.frames = pool.frames.flatten(2).to(self.device)  # (n, T, H * W)
        self.small = torch.stack([shrink(clip.to(self.device)) for clip in pool.frames])  # (n, T, SIDE, SIDE)
        self.small_mean = self.small.mean(1)
        self.latents = RowAdam(torch.zeros(len(pool.frames), self.shape.modulation_size, device=self.device))
        self.optimizer = torch.optim.Adam(self._groups(), betas=(0.9, 0.99))

    @property
    def shape(self) -> GridShape:
        """Hyper-parameters of the network."""
        return self.modules.net.shape

    def _groups(self) -> list[dict[str, Any]]:
        """What Adam moves; displacements, whose unit is half the frame, go slower (at the full rate they diverged)."""
        slow = self.modules.net.displacement
        fast = [weight for weight in self.modules.parameters() if weight.requires_grad and weight is not slow]
        return [{"params": fast, "share": 1.0}, {"params": [slow], "share": SLOW_SHARE}]

    def step(self) -> float:
        """Train on one batch; returns its mean squared error."""
        training = self.recipe.training
        clips, frames, pixels, rank = self._draw()
        coords = self.grid[pixels]
        target = self.frames[clips.repeat_interleave(training.frames)[:, None], frames.reshape(-1, 1), pixels] / 255.0
        factor = schedule(self.step_count / training.steps, self.step_count, training.final_rate)
        with precision(self.device, training.precision):
            loss, mse, latent = self._losses(clips, frames, coords, target, rank)
        descend(self.optimizer, loss, training.network_rate * factor)
        if latent is not None and latent.grad is not None:
            rate = training.latent_rate * max(factor, 0.1 * (self.step_count > 0))
            self.latents.step(clips, latent.grad * self._latent_mask(), rate)
        self._constrain()
        self.step_count += 1
        return float(mse)

    def _losses(self, clips: Tensor, frames: Tensor, coords: Tensor, target: Tensor,
                rank: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Loss, mean squared error, and the leaf of the clips' latents, if there is one."""
        if self.recipe.training.method == "meta":
            mse = self._adapted_error(clips, coords, target, rank)
            return mse, mse.detach(), None
        coeffs = self.guess(clips, frames)[:, :rank]
        latent = self.latents.table[clips].clone()
        if self.shape.latent_channels:
            latent.requires_grad_()
        mse = (self.modules.net(coords, self._modulations(latent, coeffs, rank)) - target).square().mean()
        return mse + self.recipe.training.rate_weight * self._bits(latent), mse.detach(), latent

    def guess(self, clips: Tensor, frames: Tensor) -> Tensor:
        """Coefficients (n, r_max) of frames (k, frames) of clips (k,)."""
        small = self.small[clips[:, None], frames]
        mean = self.small_mean[clips][:, None].expand_as(small)
        out: Tensor = self.modules.encoder(small.flatten(0, 1), mean.flatten(0, 1))
        return out

    def _modulations(self, latent: Tensor, coeffs: Tensor, rank: int) -> Tensor:
        """z_t (n, d) of frames, n / k of them for each of k latents (k, d)."""
        noise = torch.rand(latent.shape, generator=self.generator).to(self.device) - 0.5
        base = latent + self.recipe.training.noise * noise * self._latent_mask() + self.modules.mean
        return base.repeat_interleave(len(coeffs) // len(latent), 0) + coeffs @ self.modules.basis_of(rank).T

    def _latent_mask(self) -> Tensor:
        """1 where a value belongs to v, else 0, (d,)."""
        return (torch.arange(self.shape.modulation_size, device=self.device) < self.shape.latent_size).float()

    def _bits(self, latent: Tensor) -> Tensor:
        """Estimated bits a value of v: half the logarithm of its power over that of the noise."""
        if not self.shape.latent_channels:
            return latent.new_zeros(())
        return 0.5 * torch.log2(1.0 + (latent / max(self.recipe.training.noise, 1e-3)).square()).mean()

    def _adapted_error(self, clips: Tensor, coords: Tensor, target: Tensor, rank: int) -> Tensor:
        """Error after the inner loop; latents and coefficients stay functions of the network."""
        training = self.recipe.training
        latent = torch.zeros(len(clips), self.shape.modulation_size, device=self.device, requires_grad=True)
        coeffs = torch.zeros(len(coords), rank, device=self.device, requires_grad=True)
        mask = self._latent_mask()
        half = coords.shape[1] // 2  # the inner loop sees one half of the pixels, the outer loss all of them
        for _ in range(training.inner_steps):
            moved = latent.repeat_interleave(training.frames, 0) + self.modules.mean
            gray = self.modules.net(coords[:, :half], moved + coeffs @ self.modules.basis_of(rank).T)
            error = (gray - target[:, :half]).square().mean(1).sum()
            slopes = torch.autograd.grad(error, (latent, coeffs), create_graph=True, allow_unused=True)
            latent = latent - training.inner_rate * mask * _or_zero(slopes[0], latent)
            coeffs = coeffs - training.inner_rate * _or_zero(slopes[1], coeffs)
        moved = latent.repeat_interleave(training.frames, 0) + self.modules.mean
        gray = self.modules.net(coords, moved + coeffs @ self.modules.basis_of(rank).T)
        mse: Tensor = (gray - target).square().mean()
        return mse

    @torch.no_grad()
    def _constrain(self) -> None:
        """Keep the basis where its structure allows it to be."""
        basis = self.modules.basis
        if self.recipe.structure == "low-rank" and self.recipe.training.orthonormal:
            basis.copy_(1.5 * basis - 0.5 * basis @ (basis.T @ basis))  # one Newton-Schulz step
        elif self.recipe.structure == "video":
            basis[:self.shape.latent_size] = 0.0

    def _draw(self) -> tuple[Tensor, Tensor, Tensor, int]:
        """Clips (k,), frames (k, f) and pixels (k * f, p) of a batch, and its rank."""
        training = self.recipe.training
        clips = self.pool.draw(training.clips, self.generator)
        frames = torch.randint(self.frames.shape[1], (len(clips), training.frames), generator=self.generator)
        pixels = torch.randint(len(self.grid), (frames.numel(), training.pixels), generator=self.generator)
        rank = training.ranks[int(torch.randint(len(training.ranks), (), generator=self.generator))]
        return clips.to(self.device), frames.to(self.device), pixels.to(self.device), rank

    def architecture(self) -> dict[str, Any]:
        """The card's `architecture` object."""
        return card_architecture(Architecture.GRID_SIREN, self.shape.to_card())

    def tensors(self) -> Arrays:
        """Tensors of a pack, float16."""
        return grid_tensors(self.modules, self.latents.table, self.coeff_std(), self._probes())

    @torch.no_grad()
    def _probes(self) -> Iterator[Probe]:
        """Some pixels of one frame of some clips."""
        generator = torch.Generator().manual_seed(self.recipe.training.seed)
        count = len(self.frames)
        for clip in torch.linspace(0, count - 1, min(count, PROBE_CLIPS)).long().tolist():
            frame = torch.randint(self.frames.shape[1], (1,), generator=generator).to(self.device)
            pixels = torch.randint(len(self.grid), (PROBE_PIXELS,), generator=generator).to(self.device)
            coeffs = self.guess(torch.tensor([clip], device=self.device), frame[None])
            yield Probe(clip, self.grid[pixels][None], coeffs)

    @torch.no_grad()
    def coeff_std(self) -> Tensor:
        """Root mean square (r_max,) of the guessed coefficients, around a clip's mean where v takes that."""
        every = torch.arange(self.frames.shape[1], device=self.device)
        centered = self.shape.latent_channels == self.shape.channels
        total = torch.zeros(self.shape.max_rank, device=self.device)
        for clip in range(len(self.frames)):
            coeffs = self.guess(torch.tensor([clip], device=self.device), every[None])
            total += coeffs.var(0, correction=0) if centered else coeffs.square().mean(0)
        return (total / len(self.frames)).sqrt()

    def state(self) -> dict[str, Any]:
        """See `Resumable`."""
        return {**super().state(), "latents": self.latents.state()}

    def load(self, state: dict[str, Any]) -> None:
        """See `Resumable`."""
        super().load(state)
        self.latents.load(state["latents"])


def _or_zero(slope: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if slope is None else slope
