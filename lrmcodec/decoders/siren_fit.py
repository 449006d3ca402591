"""Fit a clip's latent and coefficients to its frames with a shared decoder frozen.

Everything is nonlinear least squares with few unknowns a frame, so each step solves normal equations (Gauss-Newton
with Levenberg's damping; Nocedal and Wright, Numerical Optimization, chapter 10). A pixel has one output, so a row
of the Jacobian costs one backward pass through the network; no automatic differentiation is needed.

`fit_clip` works in three parts:

1. the latent alone, on the mean frame;
2. latent and coefficients of evenly spread key frames together. Given the latent the frames do not depend on
   each other, so their coefficients are eliminated (Schur complement) and the system stays as small as the latent;
3. the coefficients of every frame, given the latent.

Weak Gaussian priors, measured on training clips, decide what the sampled pixels leave open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lrmcodec.decoders.base import Progress

KEY_FRAMES = 32
KEY_PIXELS = 1024
FRAME_PIXELS = 2048
MEAN_STEPS, KEY_STEPS, FRAME_STEPS = 8, 12, 3
"""A clip of 140 frames takes 24 s on one core; with 4096 pixels and 5 steps a frame it took 40 s for 0.04 dB."""
BLOCK_PIXELS = 1 << 14
"""Pixels linearized at once: about 100 MB of activations at width 128."""
NOISE_VARIANCE = 0.005
"""Squared gray levels that a shared network leaves unexplained; weighs pixels against the priors."""
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-5, 1e3


class Network(Protocol):
    """A frozen decoder of coordinates that can linearize itself; see `decoders.siren.Siren`."""

    def linearize(self, coords: Tensor, modulations: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Gray levels (n, p) and their derivatives (n, p, k) along directions (d, k)."""


@dataclass(frozen=True)
class Model:
    """What a pack gives to a fit, float32 on one device.

    Attributes
    ----------
    net : Network
    basis : Tensor, (d, r)
    latent_mean, latent_std : Tensor, (d,)
        Prior of the latent.
    coeff_std : Tensor, (r,)
        Prior of the coefficients, whose mean is zero.
    """

    net: Network
    basis: Tensor
    latent_mean: Tensor
    latent_std: Tensor
    coeff_std: Tensor

    def to_rank(self, rank: int) -> Model:
        """Return the same model with the first `rank` columns of the basis."""
        return Model(self.net, self.basis[:, :rank], self.latent_mean, self.latent_std, self.coeff_std[:rank])


@dataclass(frozen=True)
class Samples:
    """Pixels to fit.

    Attributes
    ----------
    coords : Tensor, (n, p, 2), or (1, p, 2) when all frames share them
    target : Tensor, (n, p)
        Gray levels 0 to 1.
    """

    coords: Tensor
    target: Tensor


@dataclass(frozen=True)
class Normal:
    """Normal equations of n frames: sums over pixels of squared errors, J^T J and J^T (target - gray)."""

    error: Tensor  # (n,)
    matrix: Tensor  # (n, k, k)
    right: Tensor  # (n, k)

    def where(self, keep: Tensor, other: Normal) -> Normal:
        """Take frames marked in `keep` (n,) from here and the rest from `other`."""
        return Normal(torch.where(keep, self.error, other.error),
                      torch.where(keep[:, None, None], self.matrix, other.matrix),
                      torch.where(keep[:, None], self.right, other.right))


@dataclass(frozen=True)
class Fit:
    """Result of `fit_clip`.

    Attributes
    ----------
    latent : Tensor, (d,)
    coeffs : Tensor, (T, r)
        Zero mean over the clip.
    normal : Normal
        Normal equations of each frame at the solution along the basis, r unknowns each.
    cross : Tensor, (T, r, d)
        Basis^T J^T J: how an error of the latent pulls on the coefficients.
    """

    latent: Tensor
    coeffs: Tensor
    normal: Normal
    cross: Tensor


def normal_equations(net: Network, samples: Samples, modulations: Tensor, directions: Tensor) -> Normal:
    """Sum normal equations over the pixels of each frame, in blocks of bounded memory.

    Parameters
    ----------
    net : Network
    samples : Samples
        n frames.
    modulations : Tensor, (n, d)
    directions : Tensor, (d, k)
    """
    count, pixels = samples.target.shape
    frames_a_block = max(1, BLOCK_PIXELS // pixels)
    parts = []
    for start in range(0, count, frames_a_block):
        rows = slice(start, start + frames_a_block)
        coords = samples.coords if len(samples.coords) == 1 else samples.coords[rows]
        parts.append(_block_equations(net, coords, samples.target[rows], modulations[rows], directions))
    return Normal(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _block_equations(net: Network, coords: Tensor, target: Tensor, modulations: Tensor,
                     directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Error (n,), J^T J (n, k, k) and J^T residual (n, k) of a few frames, pixels in blocks."""
    count, k = len(target), directions.shape[1]
    error = target.new_zeros(count)
    matrix, right = target.new_zeros(count, k, k), target.new_zeros(count, k)
    for start in range(0, target.shape[1], BLOCK_PIXELS):
        part = slice(start, start + BLOCK_PIXELS)
        gray, jacobian = net.linearize(coords[:, part], modulations, directions)
        residual = target[:, part] - gray
        error += residual.square().sum(1)
        matrix += jacobian.transpose(1, 2) @ jacobian
        right += (residual[:, None, :] @ jacobian)[:, 0]
    return error, matrix, right


def solve_coeffs(model: Model, samples: Samples, latent: Tensor, coeffs: Tensor, steps: int,
                 progress: Callable[[float], None] = lambda _: None) -> tuple[Tensor, Normal]:
    """Fit the coefficients of each frame with the latent given.

    A step that makes a frame worse is not taken: the cost of each frame never rises.

    Parameters
    ----------
    model : Model
        Of rank r.
    samples : Samples
        n frames.
    latent : Tensor, (d,)
    coeffs : Tensor, (n, r)
        Where to start.
    steps : int
    progress : callable
        Called with the fraction done.

    Returns
    -------
    coeffs : Tensor, (n, r)
    normal : Normal
        At these coefficients, without the prior.
    """
    penalty = NOISE_VARIANCE / model.coeff_std.square()  # (r,)
    damping = coeffs.new_full((len(coeffs),), FIRST_DAMPING)

    def evaluate(at: Tensor) -> tuple[Normal, Tensor]:
        normal = normal_equations(model.net, samples, latent + at @ model.basis.T, model.basis)
        return normal, normal.error + (penalty * at.square()).sum(1)

    normal, cost = evaluate(coeffs)
    for index in range(steps):
        candidate = coeffs + _damped_step(normal, penalty, coeffs, damping)
        other, other_cost = evaluate(candidate)
        better = other_cost < cost
        coeffs = torch.where(better[:, None], candidate, coeffs)
        cost, normal = torch.where(better, other_cost, cost), other.where(better, normal)
        damping = _adapt(damping, better)
        progress((index + 1) / steps)
    return coeffs, normal


def _damped_step(normal: Normal, penalty: Tensor, coeffs: Tensor, damping: Tensor) -> Tensor:
    """Levenberg's step of each frame (n, r); damping is relative to the mean of the diagonal."""
    matrix = normal.matrix.double()
    level = torch.diagonal(matrix, dim1=1, dim2=2).mean(1) * damping + 1e-9
    matrix = matrix + torch.diag_embed(penalty.double() + level[:, None])
    right = normal.right.double() - penalty * coeffs
    step: Tensor = torch.linalg.solve(matrix, right[..., None])[..., 0]
    return step.float()


def _adapt(damping: Tensor, better: Tensor) -> Tensor:
    """Trust the linear model more after a good step, less after a bad one."""
    return torch.clamp(torch.where(better, damping * 0.2, damping * 10.0), LEAST_DAMPING, MOST_DAMPING)


def solve_jointly(model: Model, samples: Samples, latent: Tensor, coeffs: Tensor, steps: int,
                  progress: Callable[[float], None] = lambda _: None) -> tuple[Tensor, Tensor]:
    """Fit the latent and the coefficients of n frames together; the cost never rises.

    Parameters and results as in `solve_coeffs`, with the latent among the unknowns. Rank 0 fits the latent
    alone.
    """
    identity = torch.eye(len(latent), device=latent.device)
    latent_penalty = NOISE_VARIANCE / model.latent_std.square()
    coeff_penalty = NOISE_VARIANCE / model.coeff_std.square()
    damping = FIRST_DAMPING

    def evaluate(v: Tensor, phi: Tensor) -> tuple[Normal, float]:
        normal = normal_equations(model.net, samples, v + phi @ model.basis.T, identity)
        prior = (latent_penalty * (v - model.latent_mean).square()).sum() + (coeff_penalty * phi.square()).sum()
        return normal, float(normal.error.sum() + prior)

    normal, cost = evaluate(latent, coeffs)
    for index in range(steps):
        latent_step, coeff_step = _joint_step(model, normal, latent, coeffs, damping)
        other, other_cost = evaluate(latent + latent_step, coeffs + coeff_step)
        if other_cost < cost:
            latent, coeffs, normal, cost = latent + latent_step, coeffs + coeff_step, other, other_cost
            damping = max(0.2 * damping, LEAST_DAMPING)
        else:
            damping = min(10.0 * damping, MOST_DAMPING)
        progress((index + 1) / steps)
    return latent, coeffs


def _joint_step(model: Model, normal: Normal, latent: Tensor, coeffs: Tensor,
                damping: float) -> tuple[Tensor, Tensor]:
    """Levenberg's step of latent (d,) and coefficients (n, r); the coefficients are eliminated first."""
    basis, gram = model.basis.double(), normal.matrix.double()
    latent_penalty = NOISE_VARIANCE / model.latent_std.double().square()
    coeff_penalty = NOISE_VARIANCE / model.coeff_std.double().square()
    mixed = gram @ basis  # (n, d, r)
    inner = basis.T @ mixed + torch.diag_embed(coeff_penalty)
    inner = inner + _level(inner, damping)
    inner_right = normal.right.double() @ basis - coeff_penalty * coeffs  # (n, r)
    eliminate = torch.linalg.solve(inner, mixed.transpose(1, 2))  # (n, r, d)
    outer = (gram - mixed @ eliminate).sum(0) + torch.diag(latent_penalty)
    outer = outer + _level(gram.sum(0), damping)
    outer_right = normal.right.double().sum(0) - latent_penalty * (latent - model.latent_mean)
    outer_right = outer_right - torch.einsum("nrd,nr->d", eliminate, inner_right)
    latent_step = torch.linalg.solve(outer, outer_right)
    own = torch.linalg.solve(inner, inner_right[..., None])[..., 0]
    return latent_step.float(), (own - eliminate @ latent_step).float()


def _level(matrix: Tensor, damping: float) -> Tensor:
    """Multiple of the identity: `damping` times the mean of the diagonal."""
    mean = torch.diagonal(matrix, dim1=-2, dim2=-1).mean(-1) if matrix.shape[-1] else matrix.sum((-2, -1))
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return (damping * mean[..., None, None] + 1e-9) * eye


def fit_clip(model: Model, frames: Tensor, coords: Tensor, seed: int, progress: Progress) -> Fit:
    """Fit latent and coefficients of a whole clip.

    Parameters
    ----------
    model : Model
    frames : Tensor, (T, H * W) uint8
    coords : Tensor, (H * W, 2)
        Pixel centers in [-1, 1].
    seed : int
        Chooses the sampled pixels.
    progress : callable
        Called with the fraction done and a label.
    """
    generator = torch.Generator().manual_seed(seed)
    latent = _fit_mean(model, frames, coords, generator, lambda x: progress(0.05 * x, "mean frame"))
    keys, key_coeffs, latent = _fit_keys(model, frames, coords, latent, generator,
                                         lambda x: progress(0.05 + 0.4 * x, "key frames"))
    nearest = (torch.arange(len(frames), device=frames.device)[:, None] - keys).abs().argmin(1)
    samples = shared_samples(frames, coords, generator)
    coeffs, _ = solve_coeffs(model, samples, latent, key_coeffs[nearest], FRAME_STEPS,
                             lambda x: progress(0.45 + 0.45 * x, "frames"))
    mean = coeffs.mean(0)
    latent, coeffs = latent + model.basis @ mean, coeffs - mean
    normal, cross = coeff_equations(model, samples, latent, coeffs)
    progress(1.0, "frames")
    return Fit(latent, coeffs, normal, cross)


def shared_samples(frames: Tensor, coords: Tensor, generator: torch.Generator) -> Samples:
    """Draw the same pixels of every frame: what they miss is missed alike, so coefficients stay smooth in time."""
    chosen = torch.randperm(len(coords), generator=generator)[:FRAME_PIXELS].sort().values.to(frames.device)
    return Samples(coords[chosen][None], frames[:, chosen].float() / 255.0)


def coeff_equations(model: Model, samples: Samples, latent: Tensor, coeffs: Tensor) -> tuple[Normal, Tensor]:
    """Normal equations along the basis (r unknowns a frame), and basis^T J^T J (n, r, d)."""
    identity = torch.eye(len(latent), device=latent.device)
    parts, crosses = [], []
    frames_a_block = max(1, BLOCK_PIXELS // samples.target.shape[1])
    for start in range(0, len(coeffs), frames_a_block):
        rows = slice(start, start + frames_a_block)
        block = Samples(samples.coords, samples.target[rows])
        full = normal_equations(model.net, block, latent + coeffs[rows] @ model.basis.T, identity)
        cross = model.basis.T @ full.matrix
        parts.append((full.error, cross @ model.basis, full.right @ model.basis))
        crosses.append(cross)
    joined = [torch.cat(part) for part in zip(*parts, strict=True)]
    return Normal(joined[0], joined[1], joined[2]), torch.cat(crosses)


def refit_coeffs(fit: Fit, coeff_std: Tensor, latent: Tensor, rank: int) -> Tensor:
    """Coefficients (T, rank) for another latent nearby and the first `rank` columns, to first order.

    The linear model around the solution of `fit_clip` is solved anew, without touching a pixel.
    """
    penalty = NOISE_VARIANCE / coeff_std[:rank].double().square()
    rows = fit.normal.matrix[:, :rank].double()  # (T, rank, r)
    right = fit.normal.right[:, :rank].double() + (rows @ fit.coeffs.double()[..., None])[..., 0]
    right = right - fit.cross[:, :rank].double() @ (latent - fit.latent).double()
    matrix = rows[:, :, :rank] + torch.diag(penalty)
    coeffs: Tensor = torch.linalg.solve(matrix, right[..., None])[..., 0]
    return coeffs.float()


def _fit_mean(model: Model, frames: Tensor, coords: Tensor, generator: torch.Generator,
              progress: Callable[[float], None]) -> Tensor:
    """Latent of the mean over up to 64 frames, from the prior's mean."""
    spread = _spread(len(frames), 64).to(frames.device)
    chosen = torch.randperm(len(coords), generator=generator)[:BLOCK_PIXELS].to(frames.device)
    samples = Samples(coords[chosen][None], frames[spread][:, chosen].float().mean(0, keepdim=True) / 255.0)
    start = model.latent_mean.new_zeros(1, 0)
    latent, _ = solve_jointly(model.to_rank(0), samples, model.latent_mean, start, MEAN_STEPS, progress)
    return latent


def _fit_keys(model: Model, frames: Tensor, coords: Tensor, latent: Tensor, generator: torch.Generator,
              progress: Callable[[float], None]) -> tuple[Tensor, Tensor, Tensor]:
    """Key frames (n,), their coefficients (n, r), and the latent that suits them all."""
    keys = _spread(len(frames), KEY_FRAMES).to(frames.device)
    pixels = torch.randint(len(coords), (len(keys), KEY_PIXELS), generator=generator).to(frames.device)
    samples = Samples(coords[pixels], frames[keys[:, None], pixels].float() / 255.0)
    start = latent.new_zeros(len(keys), model.basis.shape[1])
    latent, coeffs = solve_jointly(model, samples, latent, start, KEY_STEPS, progress)
    return keys, coeffs, latent


def _spread(count: int, most: int) -> Tensor:
    """Up to `most` different frame numbers spread evenly over `count` frames."""
    return torch.linspace(0, count - 1, min(count, most)).round().long()
