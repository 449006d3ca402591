"""Fitting a clip to a frozen `GridSiren` by Gauss-Newton steps, those of the latent by conjugate gradients.

A value of the latent touches the few pixels around its node, so that J^T J is applied and never formed; the
coefficients of a frame are few and solved for directly. Steps are damped after Levenberg and taken only if they help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec.decoders.base import Progress
from lrmcodec.decoders.grid_network import GridSiren, Linear, look_up

KEY_FRAMES, KEY_PIXELS = 16, 1536
FRAME_PIXELS = 2048
MEAN_STEPS, ROUNDS, FRAME_STEPS = 12, 8, 2
SOLVE_STEPS = 8
"""Iterations of conjugate gradients for one step of the latent: many short steps were 0.8 dB better than few exact
ones (5 steps of 24 iterations, 3 rounds), and a weak prior 0.2 dB better than one ten times as strong."""

BLOCK_PIXELS = 1 << 14
NOISE_VARIANCE = 0.0003
"""Squared gray levels; weighs the priors against the pixels."""

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-4, 1e3


@dataclass(frozen=True)
class GridModel:
    """What a pack gives to a fit, float32 on one device.

    Attributes
    ----------
    net : GridSiren
    basis : Tensor, (d, r)
    mean, std : Tensor, (d,)
        Prior of v; where `std` is 0 (channels that hold coefficients only, all channels of framewise codes) the
        value stays at its mean.
    coeff_std : Tensor, (r,)
        Prior of the coefficients, whose mean is zero.
    """

    net: GridSiren
    basis: Tensor
    mean: Tensor
    std: Tensor
    coeff_std: Tensor

    def to_rank(self, rank: int) -> GridModel:
        """Return the same model with the first `rank` columns of the basis."""
        return replace(self, basis=self.basis[:, :rank], coeff_std=self.coeff_std[:rank])

    @property
    def has_latent(self) -> bool:
        """Whether there is a v to fit."""
        return self.net.shape.latent_channels > 0


@dataclass(frozen=True)
class Pixels:
    """Pixels to fit: coordinates (n, p, 2), or (1, p, 2) shared by all frames, and gray levels 0 to 1 (n, p)."""

    coords: Tensor
    target: Tensor


def sample_pixels(frames: Tensor, coords: Tensor, count: int, generator: torch.Generator) -> Pixels:
    """Draw the same pixels of every frame (T, H * W) uint8: what they miss is missed alike, and phi stays smooth."""
    chosen = torch.randperm(len(coords), generator=generator)[:count].sort().values.to(frames.device)
    return Pixels(coords[chosen][None], frames[:, chosen].float() / 255.0)


def squared_errors(net: GridSiren, pixels: Pixels, modulations: Tensor) -> Tensor:
    """Sum of squared errors of each frame, (n,)."""
    parts = [net(_rows(pixels.coords, rows), modulations[rows]).sub(pixels.target[rows]).square().sum(1)
             for rows in _blocks(*pixels.target.shape)]
    return torch.cat(parts)


def solve_coeffs(model: GridModel, pixels: Pixels, latent: Tensor, coeffs: Tensor, steps: int,
                 progress: Callable[[float], None] = lambda _: None) -> Tensor:
    """Fit the coefficients (n, r) of each frame with v given; the cost of a frame never rises."""
    if not coeffs.shape[1]:
        return coeffs
    parts = []
    blocks = list(_blocks(*pixels.target.shape))
    for index, rows in enumerate(blocks):
        block = Pixels(_rows(pixels.coords, rows), pixels.target[rows])
        parts.append(_solve_block(model, block, latent, coeffs[rows], steps))
        progress((index + 1) / len(blocks))
    return torch.cat(parts)


def _solve_block(model: GridModel, pixels: Pixels, latent: Tensor, coeffs: Tensor, steps: int) -> Tensor:
    penalty = NOISE_VARIANCE / model.coeff_std.square()
    damping = coeffs.new_full((len(coeffs),), FIRST_DAMPING)
    cost = _coeff_cost(model, pixels, latent, coeffs, penalty)
    for _ in range(steps):
        candidate = coeffs + _coeff_step(model, pixels, latent, coeffs, penalty, damping)
        other = _coeff_cost(model, pixels, latent, candidate, penalty)
        better = other < cost
        coeffs, cost = torch.where(better[:, None], candidate, coeffs), torch.where(better, other, cost)
        damping = torch.where(better, damping * 0.2, damping * 10.0).clamp(LEAST_DAMPING, MOST_DAMPING)
    return coeffs


def _coeff_cost(model: GridModel, pixels: Pixels, latent: Tensor, coeffs: Tensor, penalty: Tensor) -> Tensor:
    return squared_errors(model.net, pixels, latent + coeffs @ model.basis.T) + (penalty * coeffs.square()).sum(1)


def _coeff_step(model: GridModel, pixels: Pixels, latent: Tensor, coeffs: Tensor, penalty: Tensor,
                damping: Tensor) -> Tensor:
    """Levenberg's step of each frame (n, r)."""
    linear = model.net.linearize(pixels.coords, latent + coeffs @ model.basis.T)
    jacobian = coeff_jacobian(model.net, linear, model.basis)
    matrix = (jacobian @ jacobian.transpose(1, 2)).double()
    right = (jacobian @ (pixels.target - linear.gray)[..., None])[..., 0].double() - penalty * coeffs
    level = torch.diagonal(matrix, dim1=1, dim2=2).mean(1) * damping + 1e-9
    matrix = matrix + torch.diag_embed(penalty.double() + level[:, None])
    step: Tensor = torch.linalg.solve(matrix, right[..., None])[..., 0]
    return step.float()


def coeff_jacobian(net: GridSiren, linear: Linear, basis: Tensor) -> Tensor:
    """Derivatives (n, r, p) of the gray levels by the coefficients."""
    shape, (count, pixels), rank = net.shape, linear.gray.shape, basis.shape[1]
    planes = basis.T.reshape(rank, shape.channels, shape.grid, shape.grid).transpose(0, 1)  # (C, r, g, g)
    total = linear.gray.new_zeros(count, rank, pixels)
    for points, slope in ((linear.pixels, linear.at_pixel), (linear.sources, linear.at_source)):
        flat = points.reshape(1, -1, 2).expand(shape.channels, -1, -1)
        local = look_up(planes, flat).view(shape.channels, rank, len(points), pixels)
        for channel in range(shape.channels):
            total.addcmul_(local[channel].transpose(0, 1), slope[:, None, :, channel])
    return total


def solve_latent(model: GridModel, pixels: Pixels, latent: Tensor, coeffs: Tensor, steps: int,
                 progress: Callable[[float], None] = lambda _: None) -> Tensor:
    """Fit v with the coefficients (n, r) of all frames given; the cost never rises."""
    damping = FIRST_DAMPING
    free = (model.std > 0).to(latent.dtype)
    penalty = NOISE_VARIANCE * free / model.std.clamp_min(1e-12).square()
    offsets = coeffs @ model.basis.T

    def cost_of(at: Tensor) -> float:
        return float(squared_errors(model.net, pixels, at + offsets).sum()
                     + (penalty * (at - model.mean).square()).sum())

    cost = cost_of(latent)
    for index in range(steps):
        candidate = latent + _latent_step(model, pixels, latent, offsets, penalty, free, damping)
        other = cost_of(candidate)
        if other < cost:
            latent, cost, damping = candidate, other, max(0.2 * damping, LEAST_DAMPING)
        else:
            damping = min(10.0 * damping, MOST_DAMPING)
        progress((index + 1) / steps)
    return latent


def _latent_step(model: GridModel, pixels: Pixels, latent: Tensor, offsets: Tensor, penalty: Tensor, free: Tensor,
                 damping: float) -> Tensor:
    """Levenberg's step (d,) by preconditioned conjugate gradients on the normal equations."""
    operators = []
    right = -penalty * (latent - model.mean)
    for rows in _blocks(*pixels.target.shape):
        linear = model.net.linearize(_rows(pixels.coords, rows), latent + offsets[rows])
        operators.append(_Operator(model.net, linear))
        right = right + operators[-1].back(pixels.target[rows] - linear.gray)
    level = sum(operator.power() for operator in operators) / len(right)
    extra = penalty + damping * level + 1e-9

    def apply(x: Tensor) -> Tensor:
        return sum((operator.back(operator.ahead(x)) for operator in operators), start=extra * x)

    return _conjugate_gradients(apply, right * free, free / (level + extra), SOLVE_STEPS)


class _Operator:
    """J of a block of frames, applied to modulation vectors (d,) that all frames share."""

    def __init__(self, net: GridSiren, linear: Linear) -> None:
        self._shape = (1, net.shape.channels, net.shape.grid, net.shape.grid)
        self._parts = []
        for points, slope in ((linear.pixels, linear.at_pixel), (linear.sources, linear.at_source)):
            with torch.enable_grad():
                planes = torch.zeros(self._shape, device=points.device, requires_grad=True)
                values = look_up(planes, points.reshape(1, -1, 2))  # (1, C, points)
            self._parts.append((points, slope.permute(2, 0, 1), planes, values))  # slopes (C, n, p)

    def ahead(self, x: Tensor) -> Tensor:
        """J x: changes (n, p) of the gray levels."""
        planes = x.view(self._shape)
        parts = []
        for points, slope, _, _ in self._parts:
            values = look_up(planes, points.reshape(1, -1, 2))
            parts.append((values.view(len(slope), *points.shape[:2]) * slope).sum(0))
        return torch.stack(parts).sum(0)

    def back(self, residual: Tensor) -> Tensor:
        """J^T y: pixels (n, p) to a modulation vector (d,)."""
        total = torch.zeros(self._shape, device=residual.device)
        for points, slope, planes, values in self._parts:
            weighted = slope * residual  # (C, n, p)
            weighted = weighted.sum(1) if len(points) == 1 else weighted.flatten(1)
            total = total + torch.autograd.grad(values, planes, weighted[None], retain_graph=True)[0]
        return total.flatten()

    def power(self) -> Tensor:
        """Sum over pixels and channels of the squared derivatives, about the trace of J^T J."""
        return (self._parts[0][1] + self._parts[1][1]).square().sum()


def _conjugate_gradients(apply: Callable[[Tensor], Tensor], right: Tensor, preconditioner: Tensor,
                         steps: int) -> Tensor:
    """Solve apply(x) = right approximately (Hestenes and Stiefel 1952); entries preconditioned with 0 stay 0."""
    x = torch.zeros_like(right)
    residual = right
    scaled = preconditioner * residual
    direction, product = scaled, torch.dot(residual, scaled)
    for _ in range(steps):
        image = apply(direction)
        length = product / torch.dot(direction, image).clamp_min(1e-30)
        x, residual = x + length * direction, residual - length * image
        scaled = preconditioner * residual
        following = torch.dot(residual, scaled)
        direction = scaled + following / product.clamp_min(1e-30) * direction
        product = following
    return x


@torch.no_grad()
def fit_clip(model: GridModel, frames: Tensor, coords: Tensor, start: tuple[Tensor, Tensor], seed: int,
             progress: Progress) -> tuple[Tensor, Tensor]:
    """Fit v (d,) and the coefficients (T, r) of a whole clip.

    Parameters
    ----------
    model : GridModel
    frames : Tensor, (T, H * W) uint8
    coords : Tensor, (H * W, 2)
        Pixel centers in [-1, 1].
    start : Tensor (d,), Tensor (T, r)
        First guess: the pack's mean and zeros, or what an encoder says.
    seed : int
        Chooses the sampled pixels.
    progress : callable
        Called with the fraction done and a label.
    """
    generator = torch.Generator().manual_seed(seed)
    latent, coeffs = start
    if model.has_latent:
        latent, coeffs = _fit_keys(model, frames, coords, latent, coeffs, generator, progress)
    pixels = sample_pixels(frames, coords, FRAME_PIXELS, generator)
    coeffs = solve_coeffs(model, pixels, latent, coeffs, FRAME_STEPS,
                          lambda x: progress(0.4 + 0.6 * x, "fitting frames"))
    return _centered(model, latent, coeffs)


def _centered(model: GridModel, latent: Tensor, coeffs: Tensor) -> tuple[Tensor, Tensor]:
    """The same with the coefficients' mean in the latent, where it costs less, if the latent has all channels."""
    if model.net.shape.latent_channels < model.net.shape.channels:
        return latent, coeffs
    mean = coeffs.mean(0)
    return latent + model.basis @ mean, coeffs - mean


@dataclass(frozen=True)
class Normal:
    """Normal equations of each frame at a solution: J^T J (T, r, r), J^T times what is left (T, r), and the prior."""

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    penalty: NDArray[np.float64]


@torch.no_grad()
def normal_equations(model: GridModel, frames: Tensor, coords: Tensor, latent: Tensor, coeffs: Tensor,
                     seed: int) -> Normal:
    """Normal equations along the basis at a solution of `fit_clip`, from as many pixels as that uses."""
    pixels = sample_pixels(frames, coords, FRAME_PIXELS, torch.Generator().manual_seed(seed))
    matrices, rights = [], []
    for rows in _blocks(*pixels.target.shape) if coeffs.shape[1] else []:
        linear = model.net.linearize(pixels.coords, latent + coeffs[rows] @ model.basis.T)
        jacobian = coeff_jacobian(model.net, linear, model.basis)
        matrices.append((jacobian @ jacobian.transpose(1, 2)).cpu().double().numpy())
        rights.append((jacobian @ (pixels.target[rows] - linear.gray)[..., None])[..., 0].cpu().double().numpy())
    count, rank = coeffs.shape
    return Normal(np.concatenate(matrices) if rank else np.zeros((count, 0, 0)),
                  np.concatenate(rights) if rank else np.zeros((count, 0)),
                  (NOISE_VARIANCE / model.coeff_std.square()).cpu().double().numpy())


def truncate_coeffs(normal: Normal, coeffs: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """Coefficients (T, rank) that serve best, to first order, without the basis's other columns."""
    if rank == coeffs.shape[1] or not rank:
        return coeffs[:, :rank]
    rows = normal.matrix[:, :rank]
    right = normal.right[:, :rank] + (rows @ coeffs[..., None])[..., 0]
    matrix = rows[:, :, :rank] + np.diag(normal.penalty[:rank] + 1e-9)
    return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0])


def _fit_keys(model: GridModel, frames: Tensor, coords: Tensor, latent: Tensor, coeffs: Tensor,
              generator: torch.Generator, progress: Progress) -> tuple[Tensor, Tensor]:
    """Latent for the mean of the clip, then for key frames in turn with their coefficients; the others' are shifted."""
    keys = torch.linspace(0, len(frames) - 1, min(len(frames), KEY_FRAMES)).round().long().to(frames.device)
    mean = sample_pixels(frames[keys], coords, BLOCK_PIXELS, generator)
    mean = Pixels(mean.coords, mean.target.mean(0, keepdim=True))
    latent = solve_latent(model, mean, latent, coeffs.new_zeros(1, coeffs.shape[1]), MEAN_STEPS,
                          lambda x: progress(0.15 * x, "fitting the mean"))
    of_keys = coeffs[keys]
    for index in range(ROUNDS if coeffs.shape[1] else 0):
        chosen = torch.randint(len(coords), (len(keys), KEY_PIXELS), generator=generator).to(frames.device)
        pixels = Pixels(coords[chosen], frames[keys[:, None], chosen].float() / 255.0)
        of_keys = solve_coeffs(model, pixels, latent, of_keys, 1)
        latent = solve_latent(model, pixels, latent, of_keys, 1)
        progress(0.15 + 0.25 * (index + 1) / ROUNDS, "fitting key frames")
    nearest = (torch.arange(len(frames), device=frames.device)[:, None] - keys).abs().argmin(1)
    return latent, of_keys[nearest]


def _blocks(count: int, pixels: int) -> list[slice]:
    """Ranges of frames of about BLOCK_PIXELS pixels."""
    step = max(1, BLOCK_PIXELS // max(pixels, 1))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _rows(coords: Tensor, rows: slice) -> Tensor:
    return coords if len(coords) == 1 else coords[rows]
