"""Latent motion profiling: a convolutional autoencoder with orthonormal directions of motion (architecture 4).

    frame t --encoder--> z --v = mean over t, phi_t = E^T (z - v)--> file --decoder(v + E phi_t)--> frame t

Nothing is fitted: the encoder of the pack says it all (arXiv 2507.05154, there with two directions; here with any
number up to `max_rank`, the first serving alone). Frames are seen and shown at SIDE x SIDE pixels, whatever their size.
Paper symbols: z_s is `latent` (d,), E is `basis` (d, r_max), a_t is `coeffs` (T, r).

A pack's tensors, float16 or float32: `encoder.*`, `decoder.*`, `basis`; `mean` (d,), `latent_gain` (d,) and
`coeff_scale` (r_max,), the root mean square change of a pixel for a unit change of a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrmcodec.decoders.base import Components, FittedSegment, PackLike, Progress, RestoredSegment
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.latent_code import check_rank, latent_levels, read_coeffs, read_levels, to_components
from lrmcodec.decoders.steps import coeff_steps, latent_steps
from lrmcodec.decoders.weights import load_weights, pick_device, read_shape, read_tensors

SIDE = 112
CORE = 7
"""Pixels along a side of what stands between the convolutions and the latent vector."""

STEP_FACTOR = 2.0
"""Steps at index q are this much coarser than equal slopes with a picture at q. Frozen: files depend on it."""

ROUNDING = 0.5  # share of a step from which a magnitude of the latent rounds up
BLOCK_FRAMES = 16


@dataclass(frozen=True)
class ConvShape:
    """Hyper-parameters as they stand in a pack's card: units of the widest layers, length of the latent, r_max."""

    width: int
    latent_size: int
    max_rank: int

    def to_card(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)


class ConvEncoder(nn.Module):
    """Frames (n, SIDE, SIDE) of gray levels 0 to 1 to latent vectors (n, d)."""

    def __init__(self, shape: ConvShape) -> None:
        super().__init__()
        width = shape.width
        self.body = nn.Sequential(
            nn.Conv2d(1, width // 3, 5, 2, 2), nn.GELU(),
            nn.Conv2d(width // 3, width // 2, 3, 2, 1), nn.GELU(),
            nn.Conv2d(width // 2, width, 3, 2, 1), nn.GELU(),
            nn.Conv2d(width, width, 3, 2, 1), nn.GELU(),
            nn.Conv2d(width, width // 2, 1), nn.Flatten(1),
            nn.Linear(width // 2 * CORE**2, shape.latent_size))

    def forward(self, frames: Tensor) -> Tensor:
        """Latent vectors (n, d)."""
        out: Tensor = self.body(frames[:, None] - 0.25)
        return out


class ConvDecoder(nn.Module):
    """Latent vectors (n, d) to frames (n, SIDE, SIDE) of gray levels, about 0 to 1, not clipped."""

    def __init__(self, shape: ConvShape) -> None:
        super().__init__()
        width = shape.width
        self.first = nn.Linear(shape.latent_size, width // 2 * CORE**2)
        self.body = nn.Sequential(
            nn.Conv2d(width // 2, width, 1), nn.GELU(),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width, width, 3, 1, 1), nn.GELU(),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width, width // 2, 3, 1, 1), nn.GELU(),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width // 2, width // 3, 3, 1, 1), nn.GELU(),
            nn.Conv2d(width // 3, 4, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, latents: Tensor) -> Tensor:
        """Frames (n, SIDE, SIDE)."""
        core = self.first(latents).view(len(latents), -1, CORE, CORE)
        out: Tensor = self.body(core)[:, 0] + 0.25
        return out


def needed_tensors(shape: ConvShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a pack's tensors."""
    d, r = shape.latent_size, shape.max_rank
    nets = {"encoder": ConvEncoder(shape), "decoder": ConvDecoder(shape)}
    weights = {f"{name}.{key}": tuple(value.shape) for name, net in nets.items()
               for key, value in net.state_dict().items()}
    return {**weights, "basis": (d, r), "mean": (d,), "latent_gain": (d,), "coeff_scale": (r,)}


class AutoencoderDecoder:
    """Convolutional autoencoder; implements `decoders.base.Decoder`.

    Parameters
    ----------
    shape : ConvShape
    tensors : mapping of str to ndarray
        The pack's tensors, shapes verified.
    device : torch.device
    """

    arch_id: int = Architecture.AUTOENCODER
    min_q = 0

    def __init__(self, shape: ConvShape, tensors: Mapping[str, NDArray[np.float32]], device: torch.device) -> None:
        self.shape, self.device = shape, device
        self._encoder = load_weights(ConvEncoder(shape), tensors, "encoder.", device)
        self._decoder = load_weights(ConvDecoder(shape), tensors, "decoder.", device)
        self._basis = tensors["basis"]
        self._mean = tensors["mean"]
        self._latent_gain = tensors["latent_gain"].astype(np.float64)
        self._coeff_scale = tensors["coeff_scale"].astype(np.float64)

    @classmethod
    def from_pack(cls, pack: PackLike, device: str = "auto") -> AutoencoderDecoder:
        """Build the decoder of a pack on 'cpu', 'cuda' or, for 'auto', the best there is.

        Raises
        ------
        PackError
            When hyper-parameters or tensors are missing or do not fit together.
        """
        shape = read_shape(pack, ConvShape)
        return cls(shape, read_tensors(pack, needed_tensors(shape)), pick_device(device))

    def alternative(self, values: int) -> None:
        """None."""

    def rank_limit(self, frame_count: int, size: tuple[int, int]) -> int:
        """At most the pack's rank, and one less than the frames (the latent takes one)."""
        return max(0, min(self.shape.max_rank, frame_count - 1))

    @torch.no_grad()
    def fit(self, frames: NDArray[np.uint8], max_rank: int, seed: int, progress: Progress) -> FittedSegment:
        """Encode frames (T, H, W); the latent is their mean, the coefficients what E sees of the rest."""
        parts = []
        for start in range(0, len(frames), BLOCK_FRAMES):
            part = torch.from_numpy(np.array(frames[start:start + BLOCK_FRAMES])).to(self.device)
            parts.append(self._encoder(to_side(part)).cpu().double().numpy())
            progress(min(start + BLOCK_FRAMES, len(frames)) / len(frames), "encoding frames")
        codes = np.concatenate(parts)
        latent = codes.mean(0)
        coeffs = (codes - latent) @ self._basis[:, :max_rank].astype(np.float64)
        return FittedSegment(latent.astype(np.float32), None, coeffs, frames, {})

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Quantize and code the latent and the first `rank` coefficients, which orthonormal directions leave alone."""
        size = (fitted.frames.shape[1], fitted.frames.shape[2])
        levels = latent_levels((fitted.latent - self._mean) / self._latent_steps(size, q), ROUNDING)
        steps = self._coeff_steps(len(fitted.coeffs), size, rank, q)
        return to_components(levels[None], fitted.coeffs[:, :rank], steps, thorough=final)

    def restore(self, components: Components, frame_count: int, size: tuple[int, int],
                rank: int, q: float) -> RestoredSegment:
        """Decode latent and coefficients; see `decoders.base.Decoder`."""
        check_rank(rank, self.shape.max_rank)
        levels = read_levels(components, (1, self.shape.latent_size))
        assert levels is not None
        latent = (self._mean + levels[0] * self._latent_steps(size, q)).astype(np.float32)
        coeffs = read_coeffs(components, frame_count, self._coeff_steps(frame_count, size, rank, q))
        return RestoredSegment(latent, None, coeffs, size)

    def restore_coeffs(self, components: Components, frame_count: int, size: tuple[int, int],
                       rank: int, q: float) -> NDArray[np.float64]:
        """Decode the coefficients (T, r)."""
        return self.restore(components, frame_count, size, rank, q).coeffs

    @torch.inference_mode()
    def render(self, segment: RestoredSegment, coeffs: NDArray[np.float64],
               size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames (n, H, W) in [0, 1]; other sizes than SIDE x SIDE by bilinear interpolation."""
        height, width = size or segment.size
        out = np.empty((len(coeffs), height, width), np.float32)
        codes = segment.latent + coeffs.astype(np.float32) @ self._basis[:, :coeffs.shape[1]].T
        for start in range(0, len(coeffs), BLOCK_FRAMES):
            frames = self._decoder(torch.from_numpy(codes[start:start + BLOCK_FRAMES]).to(self.device))
            if (height, width) != (SIDE, SIDE):
                frames = nn.functional.interpolate(frames[:, None], (height, width), mode="bilinear")[:, 0]
            out[start:start + BLOCK_FRAMES] = frames.nan_to_num(0.0).clamp(0.0, 1.0).cpu().numpy()
        return out

    def _latent_steps(self, size: tuple[int, int], q: float) -> NDArray[np.float64]:
        return latent_steps(STEP_FACTOR, q, size, self._latent_gain)

    def _coeff_steps(self, frame_count: int, size: tuple[int, int], rank: int, q: float) -> NDArray[np.float64]:
        return coeff_steps(STEP_FACTOR, q, size, frame_count, self._coeff_scale[:rank])


def to_side(frames: Tensor) -> Tensor:
    """Frames (n, H, W) uint8 as gray levels 0 to 1 of (n, SIDE, SIDE), each the mean of the area that it covers."""
    gray = frames[:, None].float() / 255.0
    if frames.shape[1:] != (SIDE, SIDE):
        gray = nn.functional.adaptive_avg_pool2d(gray, (SIDE, SIDE))
    return gray[:, 0]
