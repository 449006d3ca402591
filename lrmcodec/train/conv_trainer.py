"""Training of the convolutional autoencoder with orthonormal directions of motion (`decoders.autoencoder`)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lrmcodec.decoders.autoencoder import ConvDecoder, ConvEncoder, ConvShape, to_side
from lrmcodec.decoders.ids import Architecture
from lrmcodec.train.export import Arrays, card_architecture, to_half
from lrmcodec.train.optimizer import Resumable, descend, precision, schedule
from lrmcodec.train.pool import Pool
from lrmcodec.train.recipe import Recipe

GAIN_CLIPS, GAIN_BLOCK, GAIN_STEP = 4, 32, 0.25
LEAST_GAIN = 1e-5


class ConvModules(nn.Module):
    """All that is trained: encoder, decoder, directions."""

    def __init__(self, shape: ConvShape, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder, self.decoder = ConvEncoder(shape), ConvDecoder(shape)
        self.basis = nn.Parameter(torch.linalg.qr(torch.randn(shape.latent_size, shape.max_rank,
                                                              generator=generator)).Q.contiguous())
        for net in (self.encoder, self.decoder):
            for weight in net.parameters():
                bound = math.sqrt(3.0 / weight[0].numel()) if weight.ndim > 1 else 0.0
                nn.init.uniform_(weight, -bound, bound, generator=generator)


class ConvTrainer(Resumable[ConvModules]):
    """Autoencoder trained on frames of a pool of clips; `step` trains it."""

    def __init__(self, recipe: Recipe, pool: Pool, device: str = "cpu") -> None:
        super().__init__(recipe, pool, device)
        network = recipe.network
        self.shape = ConvShape(network.width, network.latent_size, network.max_rank)
        self.modules = ConvModules(self.shape, self.generator).to(self.device)
        self.optimizer = torch.optim.Adam(self.modules.parameters(), betas=(0.9, 0.99))

    def step(self) -> float:
        """Train on one batch; returns its mean squared error."""
        training = self.recipe.training
        clips = self.pool.draw(training.clips, self.generator)
        frames = torch.randint(self.pool.frames.shape[1], (len(clips), training.frames), generator=self.generator)
        rank = training.ranks[int(torch.randint(len(training.ranks), (), generator=self.generator))]
        target = to_side(self.pool.frames[clips[:, None], frames].flatten(0, 1).to(self.device))
        with precision(self.device, training.precision):
            loss = (self._reconstruct(target, len(clips), rank) - target).square().mean()
        factor = schedule(self.step_count / training.steps, self.step_count, training.final_rate)
        descend(self.optimizer, loss, training.network_rate * factor)
        self._make_orthonormal()
        self.step_count += 1
        return float(loss.detach())

    def _reconstruct(self, frames: Tensor, clip_count: int, rank: int) -> Tensor:
        codes = self.modules.encoder(frames).view(clip_count, -1, self.shape.latent_size)
        latent = codes.mean(1, keepdim=True)
        basis = self.modules.basis[:, :rank]
        noise = torch.rand(latent.shape, generator=self.generator).to(self.device) - 0.5
        motion = (codes - latent) @ basis @ basis.T
        out: Tensor = self.modules.decoder((latent + self.recipe.training.noise * noise + motion).flatten(0, 1))
        return out

    @torch.no_grad()
    def _make_orthonormal(self) -> None:
        """QR, signs kept, so that directions stay in their order."""
        q, r = torch.linalg.qr(self.modules.basis)
        self.modules.basis.copy_(q * torch.sign(torch.diagonal(r)))

    def architecture(self) -> dict[str, Any]:
        """The card's `architecture` object."""
        return card_architecture(Architecture.AUTOENCODER, self.shape.to_card())

    @torch.no_grad()
    def tensors(self) -> Arrays:
        """Tensors of a pack, float16, latents turned so that those of the training clips are uncorrelated."""
        codes = torch.stack([self.modules.encoder(to_side(clip.to(self.device))) for clip in self.pool.frames])
        latents = codes.mean(1)
        centered = (latents - latents.mean(0)).double()
        turn = torch.linalg.eigh(centered.T @ centered).eigenvectors.flip(1).float()  # (d, d)
        weights = {f"{name}.{key}": value.clone() for name in ("encoder", "decoder")
                   for key, value in getattr(self.modules, name).state_dict().items()}
        last = max(key for key in weights if key.startswith("encoder.body") and weights[key].ndim == 2)
        weights[last] = turn.T @ weights[last]
        bias = last.replace("weight", "bias")
        weights[bias] = turn.T @ weights[bias]
        weights["decoder.first.weight"] = weights["decoder.first.weight"] @ turn
        latent_gain, coeff_scale = self._gains(latents, turn)
        return {name: to_half(tensor) for name, tensor in {
            **weights, "basis": turn.T @ self.modules.basis, "mean": latents.mean(0) @ turn,
            "latent_gain": latent_gain, "coeff_scale": coeff_scale}.items()}

    def _gains(self, latents: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Root mean square change of a pixel for a unit change of each turned latent value and each coefficient."""
        directions = torch.cat([turn, self.modules.basis], 1).T  # (d + r, d)
        chosen = latents[torch.linspace(0, len(latents) - 1, min(len(latents), GAIN_CLIPS)).long()]
        squares = torch.zeros(len(directions), device=self.device)
        for latent in chosen:
            still = self.modules.decoder(latent[None])
            for start in range(0, len(directions), GAIN_BLOCK):
                part = slice(start, start + GAIN_BLOCK)
                moved = self.modules.decoder(latent + GAIN_STEP * directions[part])
                squares[part] += (moved - still).square().mean((1, 2)) / GAIN_STEP**2
        gains = (squares / len(chosen)).sqrt().clamp_min(LEAST_GAIN)
        return gains[:self.shape.latent_size], gains[self.shape.latent_size:]
