"""The paper's shared SIREN with its modulation vector laid out as a grid (decoder architecture 3).

    pixel p --> f_theta(p; z_t) --> gray level of frame t at p,   z_t = mean + v + B phi_t

theta (the network), mean and B belong to the pack and serve every clip; a file carries v and phi. One architecture
serves four latent structures: LRM-Functa (v and B act on the same channels), VidFuncta (on channels of their own), and
the framewise MedFuncta and COIN++ (no v at all). Paper symbols: v is `latent` (d,), mean included, B is `basis`
(d, r_max) of which rank r uses the first r columns, phi is `coeffs` (T, r), k is `rank`, z_t is the `modulation` of
frame t.

A pack's tensors, float16 or float32: those of `GridSiren`; `basis`; `mean`, `latent_std` (d,) and `coeff_std` (r_max,),
mean and standard deviations over training clips; `latent_gain` (C_v,) and `coeff_scale` (r_max,), the root of the
summed squared changes of pixels for a unit change of a latent value, and of the mean one for a coefficient; and
`encoder.*`, which only encoders need.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec.decoders.amortized import CoeffEncoder, shrink
from lrmcodec.decoders.base import Components, FittedSegment, PackLike, Progress, RestoredSegment
from lrmcodec.decoders.grid_fit import GridModel, fit_clip, normal_equations, truncate_coeffs
from lrmcodec.decoders.grid_network import GridShape, GridSiren, pixel_grid
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.latent_code import check_rank, latent_levels, read_coeffs, read_levels, to_components
from lrmcodec.decoders.steps import coeff_steps, latent_steps
from lrmcodec.decoders.weights import load_weights, pick_device, read_shape, read_tensors

LATENT_FACTOR, COEFF_FACTOR = 2.0, 2.0
"""Steps at index q are this much coarser than equal slopes with a picture at q. Frozen: files depend on it."""

ROUNDING = 0.4
"""Share of a step from which a magnitude of the latent rounds up."""

RENDER_PIXELS = 1 << 14


class GridSirenDecoder:
    """Shared grid-modulated SIREN; implements `decoders.base.Decoder`.

    Parameters
    ----------
    shape : GridShape
    tensors : mapping of str to ndarray
        The pack's tensors, shapes verified.
    device : torch.device
    """

    arch_id: int = Architecture.GRID_SIREN
    min_q = 0

    def __init__(self, shape: GridShape, tensors: Mapping[str, NDArray[np.float32]], device: torch.device) -> None:
        self.device, self.shape = device, shape
        self._net = load_weights(GridSiren(shape), tensors, "", device)
        self._mean = tensors["mean"]
        self._latent_gain = tensors["latent_gain"].astype(np.float64)
        self._coeff_scale = tensors["coeff_scale"].astype(np.float64)
        basis, mean, std, coeff_std = (torch.from_numpy(tensors[name].copy()).to(device)
                                       for name in ("basis", "mean", "latent_std", "coeff_std"))
        self._model = GridModel(self._net, basis, mean, std, coeff_std)
        encoder = CoeffEncoder(shape.max_rank, framewise=not shape.latent_channels)
        self._encoder = load_weights(encoder, tensors, "encoder.", device)

    @classmethod
    def from_pack(cls, pack: PackLike, device: str = "auto") -> GridSirenDecoder:
        """Build the decoder of a pack on 'cpu', 'cuda' or, for 'auto', the best there is.

        Raises
        ------
        PackError
            When hyper-parameters or tensors are missing or do not fit together.
        """
        shape = read_shape(pack, GridShape)
        return cls(shape, read_tensors(pack, needed_tensors(shape)), pick_device(device))

    def alternative(self, values: int) -> None:
        """None."""

    def rank_limit(self, frame_count: int, size: tuple[int, int]) -> int:
        """At most the pack's rank; where a latent takes one, one less than the frames."""
        return max(0, min(self.shape.max_rank, frame_count - (1 if self.shape.latent_channels else 0)))

    def fit(self, frames: NDArray[np.uint8], max_rank: int, seed: int, progress: Progress) -> FittedSegment:
        """Fit latent and coefficients of frames (T, H, W).

        Framewise codes start where the encoder points, which saves them two of three steps; coefficients beside a
        latent start at zero, since there the encoder's guess brought nothing (docs/training.md).
        """
        flat = torch.from_numpy(np.array(frames).reshape(len(frames), -1)).to(self.device)
        coords = pixel_grid((frames.shape[1], frames.shape[2]), self.device)
        model = self._model.to_rank(max_rank)
        start = torch.zeros(len(frames), max_rank, device=self.device)
        if not self.shape.latent_channels:
            start = self._guess(frames)[:, :max_rank]
        latent, coeffs = fit_clip(model, flat, coords, (self._model.mean, start), seed, progress)
        normal = normal_equations(model, flat, coords, latent, coeffs, seed)
        return FittedSegment(latent.cpu().numpy(), None, coeffs.cpu().double().numpy(), frames, {"normal": normal})

    @torch.no_grad()
    def _guess(self, frames: NDArray[np.uint8]) -> Tensor:
        """Coefficients (T, r_max) by the encoder."""
        parts = [shrink(torch.from_numpy(np.array(frames[start:start + 64])).to(self.device))
                 for start in range(0, len(frames), 64)]
        small = torch.cat(parts)
        out: Tensor = self._encoder(small, small.mean(0, keepdim=True).expand_as(small))
        return out

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Quantize and code the latent, adjust the coefficients to the rank, code them."""
        size = (fitted.frames.shape[1], fitted.frames.shape[2])
        levels = self._levels(fitted.latent, size, q) if self.shape.latent_channels else None
        coeffs = truncate_coeffs(fitted.extra["normal"], fitted.coeffs, rank)
        return to_components(levels, coeffs, self._coeff_steps(len(coeffs), size, rank, q), thorough=final)

    def restore(self, components: Components, frame_count: int, size: tuple[int, int],
                rank: int, q: float) -> RestoredSegment:
        """Decode latent and coefficients; see `decoders.base.Decoder`."""
        check_rank(rank, self.shape.max_rank)
        levels = read_levels(components, (self.shape.latent_channels, self.shape.node_count))
        latent = self._mean if levels is None else self._dequantize(levels, size, q)
        coeffs = read_coeffs(components, frame_count, self._coeff_steps(frame_count, size, rank, q))
        return RestoredSegment(latent, None, coeffs, size)

    def restore_coeffs(self, components: Components, frame_count: int, size: tuple[int, int],
                       rank: int, q: float) -> NDArray[np.float64]:
        """Decode the coefficients (T, r)."""
        return self.restore(components, frame_count, size, rank, q).coeffs

    @torch.inference_mode()
    def render(self, segment: RestoredSegment, coeffs: NDArray[np.float64],
               size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames (n, H, W) in [0, 1]; any `size`, since the network is a function of continuous coordinates."""
        size = size or segment.size
        coords = pixel_grid(size, self.device)
        phi = torch.from_numpy(coeffs.astype(np.float32)).to(self.device)
        latent = torch.from_numpy(segment.latent.copy()).to(self.device)
        modulations = latent + phi @ self._model.basis[:, :coeffs.shape[1]].T
        out = torch.empty(len(coeffs), len(coords))
        for row in range(len(coeffs)):
            for start in range(0, len(coords), RENDER_PIXELS):
                part = slice(start, start + RENDER_PIXELS)
                gray = self._net(coords[None, part], modulations[row:row + 1])[0]
                out[row, part] = gray.nan_to_num(0.0).clamp(0.0, 1.0)
        return out.view(-1, *size).numpy()

    def _levels(self, latent: NDArray[np.float32], size: tuple[int, int], q: float) -> NDArray[np.int32]:
        """Quantized cosine transform of v, (C_v, g * g)."""
        from scipy.fft import dctn

        grid = self.shape.grid
        planes = (latent - self._mean).astype(np.float64)[:self.shape.latent_size].reshape(-1, grid, grid)
        waves = dctn(planes, axes=(1, 2), norm="ortho").reshape(len(planes), -1)[:, frequency_order(grid)]
        return latent_levels(waves / self._latent_steps(size, q)[:, None], ROUNDING)

    def _dequantize(self, levels: NDArray[np.int32], size: tuple[int, int], q: float) -> NDArray[np.float32]:
        """Undo `_levels`: mean + v (d,)."""
        from scipy.fft import idctn

        grid = self.shape.grid
        waves = np.zeros((self.shape.latent_channels, grid * grid))
        waves[:, frequency_order(grid)] = levels * self._latent_steps(size, q)[:, None]
        planes = idctn(waves.reshape(-1, grid, grid), axes=(1, 2), norm="ortho")
        latent = self._mean.astype(np.float64)
        latent[:self.shape.latent_size] += planes.reshape(-1)
        return latent.astype(np.float32)

    def _latent_steps(self, size: tuple[int, int], q: float) -> NDArray[np.float64]:
        return latent_steps(LATENT_FACTOR, q, size, self._latent_gain)

    def _coeff_steps(self, frame_count: int, size: tuple[int, int], rank: int, q: float) -> NDArray[np.float64]:
        shared = frame_count if self.shape.latent_channels else 1
        return coeff_steps(COEFF_FACTOR, q, size, shared, self._coeff_scale[:rank])


def frequency_order(grid: int) -> NDArray[np.intp]:
    """Positions i * grid + j of a transformed plane, by i^2 + j^2 and then by themselves."""
    down, right = np.divmod(np.arange(grid * grid), grid)
    return np.argsort(down**2 + right**2, kind="stable")


def needed_tensors(shape: GridShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a pack's tensors."""
    d, r = shape.modulation_size, shape.max_rank
    encoder = CoeffEncoder(r, framewise=not shape.latent_channels).state_dict()
    return {**{key: tuple(value.shape) for key, value in GridSiren(shape).state_dict().items()},
            "basis": (d, r), "mean": (d,), "latent_std": (d,), "coeff_std": (r,),
            "latent_gain": (shape.latent_channels,), "coeff_scale": (r,),
            **{f"encoder.{key}": tuple(value.shape) for key, value in encoder.items()}}
