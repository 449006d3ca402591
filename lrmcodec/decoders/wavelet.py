"""Latent and basis as wavelet pictures under a frozen, shared entropy model (decoder architecture 5).

    clip --mean, SVD--> v, B, phi --wavelet, chances from the pack's networks--> v', B' --least squares--> phi --> bytes

As in `spatial`, frame t is v + B phi_t. What differs is how the pictures v and B are coded: the pack holds networks
that have learned what such pictures look like. A file may hold AV1 stills instead, which serve some clips better.
Neither encoding nor decoding needs torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import Components, FittedSegment, PackLike, RestoredSegment
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.spatial import SpatialDecoder, code_refitted, coeff_steps, darkened
from lrmcodec.decoders.wavelet_coder import (
    PictureModel,
    Refinement,
    decode_cut_pictures,
    decode_norms,
    decode_pictures,
    encode_pictures,
    needed_tensors,
)
from lrmcodec.decoders.wavelet_transform import Array
from lrmcodec.formats.container import DAMAGED, Component
from lrmcodec.formats.errors import FormatError, PackError
from lrmcodec.quantize import pixel_step, restore_coeffs

AGAIN = "Install the pack again."
BIT_WEIGHT = 0.09
"""Squared error, in squared steps, that saving a bit is worth; half of it every HALVED_BY indices below 0."""

HALVED_BY = 8

MAX_VALUES = 3 << 19
"""Values of latent and basis together up to which they become wavelets: coding or decoding a million takes seconds."""


class WaveletDecoder(SpatialDecoder):
    """Low rank over pictures that a frozen entropy model codes; implements `decoders.base.Decoder`.

    While a rank is searched (`final` false), and where they have more than MAX_VALUES pixels together, the pictures are
    AV1 stills, which are quicker and rank ranks alike.
    """

    arch_id: int = Architecture.WAVELET
    min_q = -32

    def __init__(self, pack: PackLike) -> None:
        super().__init__(pack)
        self.model = PictureModel.from_tensors(_model_tensors(pack))

    def alternative(self, values: int) -> SpatialDecoder | None:
        """AV1 stills to the end, where the pictures become wavelets."""
        return SpatialDecoder(self.pack) if values <= MAX_VALUES else None

    def finish(self, pictures: Iterator[Array], q: float) -> Iterator[Array]:
        """Pictures (H, W) in steps as they are shown, the latent first, from those that were decoded: the same."""
        return pictures

    def refiner(self, q: float) -> Refinement | None:
        """What `finish` adds to decoded pictures, which the choice of integers allows for; None where nothing is."""
        return None

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Code latent and basis, refit the coefficients on what they decode to, code them."""
        weight, q = BIT_WEIGHT * 2 ** (min(q, 0) / HALVED_BY), max(q, 0)
        if not final or (rank + 1) * fitted.latent.size > MAX_VALUES:
            return super().code(fitted, rank, q, final=final)
        assert fitted.basis is not None
        step = pixel_step(q)
        sources = (np.asarray(picture, np.float64) / step for picture in (fitted.latent, *fitted.basis[:rank]))
        data, shown = encode_pictures(sources, q, self.model, weight, self.refiner(q))
        latent, basis = _pictures(iter(shown), rank, step)
        coeffs = code_refitted(fitted.frames, latent, basis, decode_norms(data, rank) * step, q, len(data),
                               thorough=True)
        return {Component.WAVELETS: data, **coeffs}

    def restore_first(self, components: Components, frame_count: int, size: tuple[int, int], rank: int, q: float,
                      first: int, missing: Collection[int] = ()) -> RestoredSegment:
        """Decode the first pictures alone, and all coefficients; see `decoders.base.Progressive`."""
        if Component.WAVELETS not in components:
            return super().restore_first(components, frame_count, size, rank, q, first, missing)
        decode = decode_cut_pictures if Component.WAVELETS in missing else decode_pictures
        pictures = decode(components[Component.WAVELETS], size, rank, q, self.model)
        latent, basis = _pictures(self.finish(islice(pictures, first + 1), q), first, pixel_step(q))
        coeffs = self.restore_coeffs(components, frame_count, size, rank, q)[:, :len(basis)]
        return RestoredSegment(*darkened(components.get(Component.DARK, b""), latent, basis), coeffs, size)

    def restore_coeffs(self, components: Components, frame_count: int, size: tuple[int, int],
                       rank: int, q: float) -> NDArray[np.float64]:
        """Decode the coefficients alone, which wavelets need no pictures for."""
        if Component.WAVELETS not in components:
            return super().restore_coeffs(components, frame_count, size, rank, q)
        norms = decode_norms(components[Component.WAVELETS], rank) * pixel_step(q)
        return restore_coeffs(components.get(Component.COEFFS, b""), frame_count, coeff_steps(norms, frame_count, q))


def checked_tensors(pack: PackLike, needed: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, NDArray[Any]]:
    """The tensors `needed`, by name with shape and type; PackError where one is missing or another."""
    tensors = pack.tensors()
    for key, (shape, kind) in needed.items():
        if key not in tensors or tensors[key].shape != shape or tensors[key].dtype != kind:
            raise PackError(f"tensor '{key}' of pack '{pack.name}' should be {kind} of shape {shape}.", AGAIN)
    return {key: tensors[key] for key in needed}


def _model_tensors(pack: PackLike) -> dict[str, NDArray[Any]]:
    """Tensors of the entropy model; PackError where something is missing or out of its range."""
    card = pack.card["architecture"]
    if not all(isinstance(card.get(key), int) and card[key] > 0 for key in ("channels", "hidden")):
        raise PackError(f"the card of pack '{pack.name}' lacks 'channels' or 'hidden'.", AGAIN)
    tensors = checked_tensors(pack, needed_tensors(card["channels"], card["hidden"]))
    chances = tensors["chances"]
    if chances.min() < 1 or chances.max() > 65535 or not np.isfinite(tensors["offsets"]).all():
        raise PackError(f"the tables of pack '{pack.name}' are out of their ranges.", AGAIN)
    return tensors


def _pictures(decoded: Iterator[Array], rank: int, step: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latent and basis from pictures in steps, of which there may be less than 1 + `rank`; FormatError without any."""
    mean = next(decoded, None)
    if mean is None:
        raise FormatError("no picture of the segment is whole.", DAMAGED)
    latent = np.asarray(mean * step, np.float32)
    basis, count = np.empty((rank, *latent.shape), np.float32), 0
    for picture in decoded:
        basis[count] = picture * step
        count += 1
    return latent, basis[:count]
