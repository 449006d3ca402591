"""The paper's shared SIREN with shift modulation and low-rank latents (decoder architecture 1).

    pixel p --> f_theta(p; v + B phi_t) --> gray level of frame t at p

theta (the network) and B belong to the pack and serve every clip; a file carries v and phi. Paper symbols: v is
`latent` (d,), B is `basis` (d, r_max) of which rank r uses the first r columns, phi is `coeffs` (T, r), k is
`rank`, and v + B phi_t the `modulation` of frame t (LRM-Functa, section 2.2).

A pack's tensors, all float32: those of `Siren`; `basis`; `latent_mean`, `latent_scale` (d,) and `coeff_std`
(r_max,), mean and standard deviations over training clips; `latent_gain` (d,) and `coeff_scale` (r_max,), the
root mean square change of a pixel for a unit change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrmcodec.decoders.base import Components, FittedSegment, Progress, RestoredSegment
from lrmcodec.decoders.sine_layers import SineLayers
from lrmcodec.decoders.siren_fit import Fit, Model, fit_clip, refit_coeffs
from lrmcodec.decoders.weights import PackLike, pick_device, read_shape, read_tensors
from lrmcodec.formats.container import Component
from lrmcodec.formats.entropy import decode_ints, encode_ints
from lrmcodec.formats.errors import FormatError
from lrmcodec.quantize import code_coeffs, pixel_step, restore_coeffs

STEP_FACTOR = 4.0
"""Steps at index q are this much coarser than equal slopes with a picture quantized at q: what the network cannot
show leaves far larger errors than quantization does. Frozen: files depend on it."""

MAX_LEVEL = 1 << 20
RENDER_PIXELS = 1 << 15
"""Pixels rendered at once: about 16 MB for each layer of width 128."""


@dataclass(frozen=True)
class SirenShape(SineLayers):
    """Hyper-parameters of the network, as they stand in a pack's card.

    Attributes
    ----------
    width : int
        Units of each sine layer.
    depth : int
        All layers: the first sine layer, depth - 2 modulated sine layers, and the linear output layer.
    latent_size : int
        d, length of the modulation vector.
    max_rank : int
        r_max, columns of the pack's basis.
    w0_first, w0_last : float
        Frequency factor of the first and of the last sine layer; it rises linearly in between.
    """

    width: int
    depth: int
    latent_size: int
    max_rank: int
    w0_first: float
    w0_last: float

    @property
    def macs_per_pixel(self) -> int:
        """Multiply-accumulates for one pixel, sines not counted."""
        return 2 * self.width + self.hidden_count * self.width**2 + self.width


class Siren(nn.Module):
    """Coordinates and a modulation vector in, gray level out.

    ::

        p (2,) --sin--> h --[ sin(w0_i (W_i h + b_i + M_i z)) ] x hidden_count--> h --linear, + 0.5--> gray

    Shift modulation as in Functa (arXiv 2201.12204) and sine layers as in SIREN (arXiv 2006.09661).

    Parameters
    ----------
    shape : SirenShape
    """

    def __init__(self, shape: SirenShape) -> None:
        super().__init__()
        self.shape = shape
        width, layers = shape.width, shape.hidden_count
        self.w0 = shape.w0()
        self.first_weight = nn.Parameter(torch.empty(width, 2))
        self.first_bias = nn.Parameter(torch.empty(width))
        self.hidden_weight = nn.Parameter(torch.empty(layers, width, width))
        self.hidden_bias = nn.Parameter(torch.zeros(layers, width))
        self.modulation = nn.Parameter(torch.empty(layers, width, shape.latent_size))
        self.last_weight = nn.Parameter(torch.empty(width))
        self.last_bias = nn.Parameter(torch.zeros(()))

    def reset(self, generator: torch.Generator) -> None:
        """Draw SIREN's initial weights; a unit latent first shifts a sine's phase by about 0.5 radian."""
        width, d = self.shape.width, self.shape.latent_size
        with torch.no_grad():
            self.first_weight.uniform_(-0.5, 0.5, generator=generator)
            self.first_bias.uniform_(-0.5, 0.5, generator=generator)
            for i, w0 in enumerate(self.w0[1:]):
                bound = math.sqrt(6.0 / width) / w0
                self.hidden_weight[i].uniform_(-bound, bound, generator=generator)
                self.modulation[i].normal_(0.0, 0.5 / (w0 * math.sqrt(d)), generator=generator)
            bound = math.sqrt(6.0 / width) / self.w0[-1]
            self.last_weight.uniform_(-bound, bound, generator=generator)

    def shifts(self, modulations: Tensor) -> Tensor:
        """M_i z of each layer: modulations (n, d) -> (layers, n, width)."""
        return torch.einsum("lwd,nd->lnw", self.modulation, modulations)

    def forward(self, coords: Tensor, modulations: Tensor) -> Tensor:
        """Gray levels of n frames at p pixels each.

        Parameters
        ----------
        coords : Tensor, (n, p, 2) or (1, p, 2)
            Pixel centers in [-1, 1]: down, then right.
        modulations : Tensor, (n, d)

        Returns
        -------
        Tensor, (n, p)
            About 0 (black) to 1 (white), not clipped.
        """
        *_, (h, _) = self._layers(coords, modulations)
        return h @ self.last_weight + self.last_bias + 0.5

    def _layers(self, coords: Tensor, modulations: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Output and phase (n, p, width) of the first and then of each modulated layer."""
        count = len(modulations)
        phase = coords @ (self.w0[0] * self.first_weight).T + self.w0[0] * self.first_bias
        h = torch.sin(phase).expand(count, -1, -1)
        yield h, phase
        shifts = self.shifts(modulations) + self.hidden_bias[:, None, :]
        for i, w0 in enumerate(self.w0[1:]):
            phase = torch.matmul(h, (w0 * self.hidden_weight[i]).T) + (w0 * shifts[i])[:, None, :]
            h = torch.sin(phase)
            yield h, phase

    @torch.no_grad()
    def linearize(self, coords: Tensor, modulations: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Gray levels and their derivatives along directions of the modulation space.

        One forward and one hand-written backward pass; a pixel has one output, so that reverse mode gives a
        row of the Jacobian for every pixel at once.

        Parameters
        ----------
        coords, modulations : Tensor
            As in `forward`.
        directions : Tensor, (d, k)
            Columns to derive along: the basis for coefficients, the identity for the latent.

        Returns
        -------
        gray : Tensor, (n, p)
        jacobian : Tensor, (n, p, k)
            d gray / d coefficient.
        """
        passes = list(self._layers(coords, modulations))
        gray = passes[-1][0] @ self.last_weight + self.last_bias + 0.5
        jacobian = gray.new_zeros(*gray.shape, directions.shape[1])
        flat = jacobian.view(gray.numel(), directions.shape[1])
        slope = self.last_weight.expand(*gray.shape, -1)  # d gray / d h, (n, p, width)
        for i in reversed(range(self.shape.hidden_count)):
            slope = slope * torch.cos(passes[i + 1][1])  # d gray / d phase
            flat.addmm_(slope.view(-1, self.shape.width), self.w0[i + 1] * self.modulation[i] @ directions)
            if i:
                slope = torch.matmul(slope, self.w0[i + 1] * self.hidden_weight[i])
        return gray, jacobian


def pixel_grid(size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Pixel centers of an (H, W) picture in [-1, 1]^2, row by row: (H * W, 2), down then right."""
    axes = [(torch.arange(n, dtype=torch.float32, device=device) + 0.5) * (2.0 / n) - 1.0 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2)


class SirenDecoder:
    """Shared SIREN with low-rank modulated latents; implements `decoders.base.Decoder`.

    Parameters
    ----------
    net : Siren
        Frozen.
    tensors : mapping of str to ndarray, float32
        The pack's tensors besides the network's.
    device : torch.device
    """

    arch_id = 1
    min_q = 0

    def __init__(self, net: Siren, tensors: Mapping[str, NDArray[np.float32]], device: torch.device) -> None:
        self.device = device
        self._net = net.to(device).requires_grad_(False)
        self._latent_mean = tensors["latent_mean"]
        self._latent_gain = tensors["latent_gain"].astype(np.float64)
        self._coeff_scale = tensors["coeff_scale"].astype(np.float64)
        on_device = {name: torch.from_numpy(tensors[name].copy()).to(device)
                     for name in ("basis", "latent_mean", "latent_scale", "coeff_std")}
        self._model = Model(self._net, on_device["basis"], on_device["latent_mean"], on_device["latent_scale"],
                            on_device["coeff_std"])

    @classmethod
    def from_pack(cls, pack: PackLike, device: str = "auto") -> SirenDecoder:
        """Build the decoder of a pack on 'cpu', 'cuda' or, for 'auto', the best there is.

        Raises
        ------
        PackError
            When hyper-parameters or tensors are missing or do not fit together.
        """
        shape = read_shape(pack, SirenShape)
        net, tensors = Siren(shape), read_tensors(pack, needed_tensors(shape))
        net.load_state_dict({name: torch.from_numpy(tensors[name].copy()) for name in net.state_dict()})
        return cls(net, tensors, pick_device(device))

    @property
    def shape(self) -> SirenShape:
        """Hyper-parameters of the network."""
        return self._net.shape

    def rank_limit(self, frame_count: int, size: tuple[int, int]) -> int:
        """At most the pack's rank, and one less than the frames (the latent takes one)."""
        return max(0, min(self.shape.max_rank, frame_count - 1))

    def fit(self, frames: NDArray[np.uint8], max_rank: int, seed: int, progress: Progress) -> FittedSegment:
        """Fit latent and coefficients of frames (T, H, W) jointly; see `lrmcodec.decoders.siren_fit.fit_clip`."""
        flat = self._flat(frames)
        coords = pixel_grid((frames.shape[1], frames.shape[2]), self.device)
        fit = fit_clip(self._model.to_rank(max_rank), flat, coords, seed, progress)
        return FittedSegment(fit.latent.cpu().numpy(), None, fit.coeffs.cpu().double().numpy(), frames,
                             {"fit": fit})

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Quantize and code the latent, refit the coefficients on what it decodes to, code them.

        The refit solves the linear model of the fit. A further Gauss-Newton step on pixels took twenty times as
        long and was no better on the one clip it was tried on.
        """
        size = (fitted.frames.shape[1], fitted.frames.shape[2])
        steps = self._latent_steps(size, q)
        levels = np.rint((fitted.latent - self._latent_mean) / steps)
        levels = np.clip(levels, -MAX_LEVEL, MAX_LEVEL).astype(np.int32)
        latent = torch.from_numpy(self._dequantize(levels, steps)).to(self.device)
        fit: Fit = fitted.extra["fit"]
        coeffs = refit_coeffs(fit, self._model.coeff_std, latent, rank).cpu().double().numpy()
        coeff_steps = self._coeff_steps(len(coeffs), size, rank, q)
        components = {Component.LATENT: encode_ints(levels[None], thorough=final),
                      Component.COEFFS: code_coeffs(coeffs, coeff_steps, thorough=final)}
        return {key: data for key, data in components.items() if data or key == Component.LATENT}

    def restore(self, components: Components, frame_count: int, size: tuple[int, int],
                rank: int, q: float) -> RestoredSegment:
        """Decode latent and coefficients; see `decoders.base.Decoder`."""
        if rank > self.shape.max_rank:
            raise FormatError(f"the segment has rank {rank}, its decoder pack at most {self.shape.max_rank}.",
                              "The file is damaged; get another copy.")
        if Component.LATENT not in components:
            raise FormatError("the segment has no latent.", "The file is damaged; get another copy.")
        levels = decode_ints(components[Component.LATENT], (1, self.shape.latent_size))[0]
        latent = self._dequantize(levels, self._latent_steps(size, q))
        coeffs = restore_coeffs(components.get(Component.COEFFS, b""), frame_count,
                                self._coeff_steps(frame_count, size, rank, q))
        return RestoredSegment(latent, None, coeffs, size)

    @torch.inference_mode()
    def render(self, segment: RestoredSegment, coeffs: NDArray[np.float64],
               size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames (n, H, W) in [0, 1]; any `size`, since the network is a function of continuous coordinates."""
        size = size or segment.size
        coords = pixel_grid(size, self.device)
        basis = self._model.basis[:, :coeffs.shape[1]]
        phi = torch.from_numpy(coeffs.astype(np.float32)).to(self.device)
        modulations = torch.from_numpy(segment.latent.copy()).to(self.device) + phi @ basis.T
        out = torch.empty(len(coeffs), len(coords))
        for row in range(len(coeffs)):
            for start in range(0, len(coords), RENDER_PIXELS):
                part = slice(start, start + RENDER_PIXELS)
                out[row, part] = self._net(coords[None, part], modulations[row:row + 1])[0].clamp(0.0, 1.0)
        return out.view(-1, *size).numpy()

    def _flat(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames as (T, H * W) uint8 on the device; a copy, since the array may be read-only."""
        return torch.from_numpy(np.array(frames).reshape(len(frames), -1)).to(self.device)

    def _dequantize(self, levels: NDArray[np.int32], steps: NDArray[np.float64]) -> NDArray[np.float32]:
        return (self._latent_mean + levels * steps).astype(np.float32)

    def _latent_steps(self, size: tuple[int, int], q: float) -> NDArray[np.float64]:
        """Steps (d,) by equal slopes: one of the latent's values moves all N pixels, one of a picture its share."""
        return np.asarray(STEP_FACTOR * pixel_step(q) / (math.sqrt(size[0] * size[1]) * self._latent_gain))

    def _coeff_steps(self, frame_count: int, size: tuple[int, int], rank: int, q: float) -> NDArray[np.float64]:
        """Steps (r,) by equal slopes: an error in a coefficient counts in one of T frames (METHOD, Equal slopes)."""
        step = STEP_FACTOR * pixel_step(q) * math.sqrt(frame_count / (size[0] * size[1]))
        return np.asarray(step / self._coeff_scale[:rank])


def needed_tensors(shape: SirenShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a pack's tensors."""
    d, r = shape.latent_size, shape.max_rank
    return {**{key: tuple(value.shape) for key, value in Siren(shape).state_dict().items()},
            "basis": (d, r), "latent_mean": (d,), "latent_scale": (d,), "latent_gain": (d,),
            "coeff_std": (r,), "coeff_scale": (r,)}
