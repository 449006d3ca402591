"""The paper's methods with pictures of the clip for v (decoder architecture 6).

    pixel p --> v_0(p) + f_theta(p; v(p), (B phi_t)(p)) --> gray level of frame t at p

theta (the network) and B belong to the pack and serve every clip; a file carries v, as pictures, and phi. LRM-Functa
has a B of low rank, orthonormal or free; VidFuncta one of as many columns as there are values in the gates. Paper
symbols: v is `latent` (K + 1, H, W), B is `basis` (K g^2, r_max) of which rank r uses the first r columns, phi is
`coeffs` (T, r).

A pack's tensors, float16 or float32: those of `GatedSiren`; `basis`; `coeff_std` (r_max,) and `picture_std` (K + 1,),
which only encoders need; and `coeff_scale` (r_max,), the root mean square change of a pixel for a unit of a
coefficient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.decoders.base import Components, FittedSegment, PackLike, Progress, RestoredSegment
from lrmcodec.decoders.gated_fit import GatedModel, fit_clip, solve_coeffs
from lrmcodec.decoders.gated_network import GatedShape, GatedSiren, gate_patterns, gates_of
from lrmcodec.decoders.grid_network import pixel_grid
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.latent_code import check_rank, read_coeffs
from lrmcodec.decoders.spatial import decode_tiles, encode_tiles
from lrmcodec.decoders.steps import coeff_steps
from lrmcodec.decoders.weights import load_weights, pick_device, read_shape, read_tensors
from lrmcodec.formats.container import DAMAGED, MAX_BASIS_VALUES, Component
from lrmcodec.formats.errors import FormatError
from lrmcodec.levels import resized
from lrmcodec.quantize import code_coeffs

SEARCH_RANK = 64
"""While rank and index are searched, coefficients are refitted to the decoded pictures up to this rank."""

RENDER_VALUES = 1 << 18


class GatedSirenDecoder:
    """Shared SIREN with pictures and gates; implements `decoders.base.Decoder`.

    Parameters
    ----------
    shape : GatedShape
    tensors : mapping of str to ndarray
        The pack's tensors, shapes verified.
    device : torch.device
    """

    arch_id: int = Architecture.GATED_SIREN
    min_q = 0

    def __init__(self, shape: GatedShape, tensors: Mapping[str, NDArray[np.float32]], device: torch.device) -> None:
        self.device, self.shape = device, shape
        self._net = load_weights(GatedSiren(shape), tensors, "", device)
        self._coeff_scale = tensors["coeff_scale"].astype(np.float64)
        self._model = GatedModel(self._net, *(torch.from_numpy(tensors[name].copy()).to(device)
                                              for name in ("basis", "coeff_std", "picture_std")))

    @classmethod
    def from_pack(cls, pack: PackLike, device: str = "auto") -> GatedSirenDecoder:
        """Build the decoder of a pack on 'cpu', 'cuda' or, for 'auto', the best there is.

        Raises
        ------
        PackError
            When hyper-parameters or tensors are missing or do not fit together.
        """
        shape = read_shape(pack, GatedShape)
        return cls(shape, read_tensors(pack, needed_tensors(shape)), pick_device(device))

    def alternative(self, values: int) -> None:
        """None."""

    def rank_limit(self, frame_count: int, size: tuple[int, int]) -> int:
        """At most the pack's rank; less where the format does not leave room for all pictures; none of a still."""
        pictures = MAX_BASIS_VALUES // (size[0] * size[1]) - 1
        room = self.shape.max_rank if pictures >= self.shape.gates else pictures
        return max(0, min(self.shape.max_rank, room)) if frame_count > 1 else 0

    def fit(self, frames: NDArray[np.uint8], max_rank: int, seed: int, progress: Progress) -> FittedSegment:
        """Fit pictures and coefficients of frames (T, H, W)."""
        flat = torch.from_numpy(np.array(frames).reshape(len(frames), -1)).to(self.device)
        coords = pixel_grid((frames.shape[1], frames.shape[2]), self.device)
        pictures, coeffs = fit_clip(self._model.to_rank(max_rank), flat, coords, seed, progress)
        latent = pictures.T.reshape(-1, *frames.shape[1:]).cpu().numpy()
        return FittedSegment(latent, None, coeffs.cpu().double().numpy(), frames,
                             {"seed": seed, "useful_rank": len(frames) - 1})

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Code the pictures as one AV1 still, refit the coefficients to what it decodes to, code them."""
        size = (fitted.frames.shape[1], fitted.frames.shape[2])
        count = self.shape.pictures(rank)
        payload = encode_tiles(fitted.latent[0], fitted.latent[1:count], q, final=final)
        coeffs = fitted.coeffs[:, :rank]
        if final or rank <= SEARCH_RANK:
            coeffs = self._refitted(fitted, self._pictures(payload, count, size, q), coeffs)
        coded = code_coeffs(coeffs, self._coeff_steps(len(coeffs), size, rank, q), thorough=final)
        return {Component.PICTURES: payload, **({Component.COEFFS: coded} if coded else {})}

    def restore(self, components: Components, frame_count: int, size: tuple[int, int],
                rank: int, q: float) -> RestoredSegment:
        """Decode the still and the coefficients; see `decoders.base.Decoder`."""
        check_rank(rank, self.shape.max_rank)
        if Component.PICTURES not in components:
            raise FormatError("the segment has no pictures.", DAMAGED)
        latent = self._pictures(components[Component.PICTURES], self.shape.pictures(rank), size, q)
        coeffs = read_coeffs(components, frame_count, self._coeff_steps(frame_count, size, rank, q))
        return RestoredSegment(latent, None, coeffs, size)

    def restore_coeffs(self, components: Components, frame_count: int, size: tuple[int, int],
                       rank: int, q: float) -> NDArray[np.float64]:
        """Decode the coefficients (T, r), whose steps are the pack's, without the pictures."""
        check_rank(rank, self.shape.max_rank)
        return read_coeffs(components, frame_count, self._coeff_steps(frame_count, size, rank, q))

    @torch.inference_mode()
    def render(self, segment: RestoredSegment, coeffs: NDArray[np.float64],
               size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames (n, H, W) in [0, 1]; another `size` resamples the pictures."""
        size = size or segment.size
        latent = segment.latent if size == segment.size else resized(segment.latent, size)
        pictures = torch.from_numpy(latent.reshape(len(latent), -1).T.copy()).to(self.device)
        coords = pixel_grid(size, self.device)
        basis = self._model.basis[:, :coeffs.shape[1]]
        phi = torch.from_numpy(coeffs.astype(np.float32)).to(self.device)
        out = torch.empty(len(coeffs), len(coords))
        step = max(1, RENDER_VALUES // max(len(coeffs), 1))
        for start in range(0, len(coords), step):
            part = slice(start, start + step)
            gates = gates_of(gate_patterns(self.shape, basis, coords[part]), phi)
            out[:, part] = self._net(coords[part], pictures[part], gates).nan_to_num(0.0).clamp(0.0, 1.0)
        return out.view(-1, *size).numpy()

    def _pictures(self, payload: bytes, count: int, size: tuple[int, int], q: float) -> NDArray[np.float32]:
        """Pictures (K + 1, H, W) of a payload that holds the first `count`; the others are zero."""
        first, others, _ = decode_tiles(payload, count, size, q)
        latent = np.zeros((self.shape.gates + 1, *size), np.float32)
        latent[0], latent[1:count] = first, others
        return latent

    def _refitted(self, fitted: FittedSegment, latent: NDArray[np.float32],
                  coeffs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients (T, r) fitted to decoded pictures, from `coeffs`."""
        frames = torch.from_numpy(np.array(fitted.frames).reshape(len(fitted.frames), -1)).to(self.device)
        coords = pixel_grid((latent.shape[1], latent.shape[2]), self.device)
        pictures = torch.from_numpy(latent.reshape(len(latent), -1).T.copy()).to(self.device)
        start = torch.from_numpy(coeffs.astype(np.float32)).to(self.device)
        with torch.no_grad():
            found = solve_coeffs(self._model.to_rank(coeffs.shape[1]), frames, coords, pictures, start, 1,
                                 int(fitted.extra["seed"]))
        return np.asarray(found.cpu().double().numpy())

    def _coeff_steps(self, frame_count: int, size: tuple[int, int], rank: int, q: float) -> NDArray[np.float64]:
        return coeff_steps(1.0, q, size, frame_count, self._coeff_scale[:rank])


def needed_tensors(shape: GatedShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a pack's tensors."""
    r = shape.max_rank
    return {**{key: tuple(value.shape) for key, value in GatedSiren(shape).state_dict().items()},
            "basis": (shape.gate_size, r), "coeff_std": (r,), "coeff_scale": (r,), "picture_std": (shape.gates + 1,)}
