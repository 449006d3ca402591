"""Fitting a clip to a frozen `GatedSiren`: pictures pixel by pixel and coefficients frame by frame, by turns.

With the coefficients given, the K + 1 values of v at a pixel depend on no other pixel; with v given, the coefficients
of a frame depend on no other frame. Each is a small least-squares problem, solved by damped Gauss-Newton steps
(Levenberg 1944) that are kept where they help. Both begin at the clip's own principal components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lrmcodec.decoders.base import Progress
from lrmcodec.decoders.gated_network import GatedSiren, gate_patterns, gates_of

KEY_FRAMES, ROUNDS = 32, 3
LAST_FRAMES = 128
"""Frames that pictures are fitted to: in the rounds, and at last."""

FRAME_PIXELS, PIXELS_A_COEFF = 4096, 8
"""Pixels of a frame that its coefficients are fitted to: at least the first, and so many a coefficient."""

MANY_COEFFS = 64
"""Above so many coefficients a frame takes one step, which then costs most of all."""

BLOCK_VALUES = 1 << 20
"""Pixels, over frames, that are looked at together."""

NOISE_VARIANCE = 0.0003
"""Squared gray levels; weighs the priors against the pixels."""

DAMPING = 1e-3


@dataclass(frozen=True)
class GatedModel:
    """What a pack gives to a fit, float32 on one device.

    Attributes
    ----------
    net : GatedSiren
    basis : Tensor, (K g^2, r)
    coeff_std : Tensor, (r,)
        Prior of the coefficients, whose mean is zero, and where they start.
    picture_std : Tensor, (K + 1,)
        Prior of the pictures' values around where they start.
    """

    net: GatedSiren
    basis: Tensor
    coeff_std: Tensor
    picture_std: Tensor

    def to_rank(self, rank: int) -> GatedModel:
        """Return the same model with the first `rank` columns of the basis."""
        return replace(self, basis=self.basis[:, :rank], coeff_std=self.coeff_std[:rank])

    @property
    def rank(self) -> int:
        """Columns of the basis."""
        return self.basis.shape[1]

    @property
    def free_pictures(self) -> int:
        """Pictures of v that are not zero at this rank."""
        return self.net.shape.pictures(self.rank)


@torch.no_grad()
def fit_clip(model: GatedModel, frames: Tensor, coords: Tensor, seed: int, progress: Progress,
             rounds: int = ROUNDS) -> tuple[Tensor, Tensor]:
    """Fit v (p, K + 1) and the coefficients (T, r) of a whole clip.

    Parameters
    ----------
    model : GatedModel
    frames : Tensor, (T, p) uint8
    coords : Tensor, (p, 2)
        Pixel centers in [-1, 1].
    seed : int
        Chooses the sampled pixels.
    progress : callable
        Called with the fraction done and a label.
    rounds : int
        Turns of pictures and coefficients.
    """
    keys = _spread(len(frames), KEY_FRAMES).to(frames.device)
    target = frames[keys].float() / 255.0
    pictures, of_keys = principal(model, target)
    first = min(model.rank, 2 * model.net.shape.gates)  # the others are small, and cost most
    few = model.to_rank(first)
    for index in range(rounds if model.rank else 0):
        pictures = solve_pictures(few, target, coords, pictures, of_keys[:, :first])
        of_keys = of_keys.clone()
        of_keys[:, :first] = solve_coeffs(few, target, coords, pictures, of_keys[:, :first], 1, seed)
        progress(0.7 * (index + 1) / rounds, "fitting key frames")
    nearest = (torch.arange(len(frames), device=frames.device)[:, None] - keys).abs().argmin(1)
    steps = 2 if model.rank <= MANY_COEFFS else 1
    coeffs = solve_coeffs(model, frames, coords, pictures, of_keys[nearest], steps, seed)
    if model.rank:
        last = _spread(len(frames), LAST_FRAMES).to(frames.device)
        pictures = solve_pictures(model, frames[last].float() / 255.0, coords, pictures, coeffs[last])
    progress(1.0, "fitting frames")
    return pictures, coeffs


def _spread(count: int, most: int) -> Tensor:
    """Indices of at most `most` of `count` frames, evenly spread."""
    return torch.linspace(0, count - 1, min(count, most)).round().long()


def principal(model: GatedModel, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and principal pictures (p, K + 1), and their time courses in the first coefficients (n, r)."""
    count, gates = len(target), model.net.shape.gates
    mean = target.mean(0)
    centered = target - mean
    vectors = torch.linalg.eigh((centered @ centered.T).double().cpu()).eigenvectors.flip(1)
    kept = min(model.rank, gates, count - 1)
    courses = vectors[:, :kept].to(target) * count**0.5  # of root mean square 1
    pictures = target.new_zeros(target.shape[1], gates + 1)
    pictures[:, 0] = mean
    pictures[:, 1:1 + kept] = centered.T @ courses / count
    coeffs = target.new_zeros(count, model.rank)
    coeffs[:, :kept] = courses * model.coeff_std[:kept]
    return pictures, coeffs


def solve_pictures(model: GatedModel, target: Tensor, coords: Tensor, pictures: Tensor, coeffs: Tensor) -> Tensor:
    """One step of the pictures (p, K + 1), each pixel by itself; none gets worse. `target` is (n, p), 0 to 1."""
    step = max(1, BLOCK_VALUES // max(len(target), 1))
    parts = [_picture_step(model, target[:, start:start + step], coords[start:start + step],
                           pictures[start:start + step], coeffs) for start in range(0, len(coords), step)]
    return torch.cat(parts)


def _picture_step(model: GatedModel, target: Tensor, coords: Tensor, pictures: Tensor, coeffs: Tensor) -> Tensor:
    free = model.free_pictures
    gates = gates_of(gate_patterns(model.net.shape, model.basis, coords), coeffs)
    slopes = model.net.slopes(coords, pictures, gates)
    jacobian = slopes.pictures[..., :free].transpose(0, 1)  # (p, n, free)
    penalty = NOISE_VARIANCE / model.picture_std[:free].square()
    matrix = jacobian.transpose(1, 2) @ jacobian
    level = DAMPING * torch.diagonal(matrix, dim1=1, dim2=2).mean(1)
    matrix = matrix + torch.diag_embed(penalty + level[:, None] + 1e-9)
    left = (target - slopes.gray).T[..., None]  # (p, n, 1)
    candidate = pictures.clone()
    candidate[:, :free] += torch.linalg.solve(matrix, jacobian.transpose(1, 2) @ left)[..., 0]
    better = (model.net(coords, candidate, gates) - target).square().sum(0) < left[..., 0].square().sum(1)
    return torch.where(better[:, None], candidate, pictures)


def solve_coeffs(model: GatedModel, frames: Tensor, coords: Tensor, pictures: Tensor, coeffs: Tensor, steps: int,
                 seed: int) -> Tensor:
    """Fit the coefficients (n, r) of frames (n, p), uint8 or 0 to 1, with v given; no frame's cost rises."""
    if not model.rank:
        return coeffs
    count = min(len(coords), max(FRAME_PIXELS, PIXELS_A_COEFF * model.rank))
    chosen = torch.randperm(len(coords), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    chosen = chosen.to(coords.device)
    patterns = gate_patterns(model.net.shape, model.basis, coords[chosen])
    step = max(1, (4 * BLOCK_VALUES) // (count * model.rank))
    parts = []
    for start in range(0, len(frames), step):
        target = frames[start:start + step][:, chosen]
        target = target.float() / 255.0 if target.dtype == torch.uint8 else target
        parts.append(_solve_frames(model, target, (coords[chosen], pictures[chosen], patterns),
                                   coeffs[start:start + step], steps))
    return torch.cat(parts)


def _solve_frames(model: GatedModel, target: Tensor, at: tuple[Tensor, Tensor, Tensor], coeffs: Tensor,
                  steps: int) -> Tensor:
    """`steps` steps of Levenberg for a block of frames; `at` are coordinates, pictures and patterns of its pixels."""
    coords, pictures, patterns = at
    penalty = NOISE_VARIANCE / model.coeff_std.square()
    cost = _cost(model, target, at, coeffs, penalty)
    for _ in range(steps):
        slopes = model.net.slopes(coords, pictures, gates_of(patterns, coeffs))
        jacobian = torch.einsum("npk,kpr->nrp", slopes.gates, patterns)
        matrix = jacobian @ jacobian.transpose(1, 2)
        level = DAMPING * torch.diagonal(matrix, dim1=1, dim2=2).mean(1)
        right = (jacobian @ (target - slopes.gray)[..., None])[..., 0] - penalty * coeffs
        moved = torch.linalg.solve(matrix + torch.diag_embed(penalty + level[:, None] + 1e-9), right[..., None])[..., 0]
        candidate = coeffs + moved
        other = _cost(model, target, at, candidate, penalty)
        coeffs = torch.where((other < cost)[:, None], candidate, coeffs)
        cost = torch.minimum(other, cost)
    return coeffs


def _cost(model: GatedModel, target: Tensor, at: tuple[Tensor, Tensor, Tensor], coeffs: Tensor,
          penalty: Tensor) -> Tensor:
    coords, pictures, patterns = at
    gray = model.net(coords, pictures, gates_of(patterns, coeffs))
    cost: Tensor = (gray - target).square().sum(1) + (penalty * coeffs.square()).sum(1)
    return cost
