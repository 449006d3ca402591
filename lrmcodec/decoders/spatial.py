"""Latent and basis are pictures of the clip, transmitted with it as AV1 stills (decoder architecture 2).

    clip --mean, SVD--> v, B, phi --AV1 still--> v', B' --least squares--> phi --DCT, range coder--> bytes

Frame t is D(v + B phi_t, phi_t) with the frozen network D of the pack; the `spatial` pack's D is the identity, so
neither encoding nor decoding needs torch. Paper symbols: v is `latent` (H, W), B is `basis` (r, H, W), phi is
`coeffs` (T, r).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import Components, FittedSegment, PackLike, Progress, RestoredSegment
from lrmcodec.decoders.dark import find_dark
from lrmcodec.decoders.ids import Architecture
from lrmcodec.formats.container import DAMAGED, MAX_BASIS_VALUES, MAX_RANK, Component
from lrmcodec.formats.dark import unpack_dark
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.picture import decode_pictures, encode_pictures, whole_pages
from lrmcodec.levels import resized
from lrmcodec.quantize import code_coeffs, pixel_step, restore_coeffs

FAST_PRESET = 8
FINAL_PRESETS = ((4_000_000, 2), (32_000_000, 4))  # (pixels up to, SVT-AV1 preset); above, LARGE_PRESET
LARGE_PRESET = 6
TEN_BIT_BELOW_Q = 60
"""Finer than this, rounding basis pictures to whole gray levels costs more than the quantizer."""

TEN_BIT_LATER = 4  # a 10-bit still takes as many bytes as an 8-bit one does at a quantizer about this much finer
LEAST_RMS = 0.01 / 255  # of a component, in gray levels of [0, 1]; weaker ones are nothing but rounding
BLOCK_VALUES = 1 << 22  # float32 values of frames held at a time


class SpatialDecoder:
    """Low rank over pictures with an identity network; implements `decoders.base.Decoder`."""

    arch_id: int = Architecture.SPATIAL
    min_q = 0

    def __init__(self, pack: PackLike) -> None:
        self.pack = pack

    def alternative(self, values: int) -> SpatialDecoder | None:
        """None."""
        return None

    def rank_limit(self, frame_count: int, size: tuple[int, int]) -> int:
        """At most frames - 1 (the mean takes one), 512, and what the format's limit on basis values leaves."""
        return max(0, min(frame_count - 1, MAX_RANK, MAX_BASIS_VALUES // (size[0] * size[1]) - 1))

    def fit(self, frames: NDArray[np.uint8], max_rank: int, seed: int, progress: Progress) -> FittedSegment:
        """Mean picture and leading singular pictures, each scaled by its RMS over the frames (coeffs have RMS 1)."""
        count, height, width = frames.shape
        flat = frames.reshape(count, -1)
        latent = _mean(flat)
        values, vectors = np.linalg.eigh(_gram(flat, latent, progress))
        order = np.argsort(values)[::-1][:max_rank]
        coeffs = vectors[:, order] * np.sqrt(count)  # (T, r)
        basis = _project(flat, latent, coeffs) / count  # (r, N)
        useful = int(np.count_nonzero(values[order] > LEAST_RMS**2 * frames.size))
        return FittedSegment(latent.reshape(height, width), basis.reshape(len(basis), height, width), coeffs,
                             frames, {"useful_rank": useful})

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Code latent and basis as one AV1 still, refit the coefficients on what it decodes to, code them."""
        assert fitted.basis is not None
        size = fitted.latent.shape
        pictures = encode_tiles(fitted.latent, fitted.basis[:rank], q, final=final)
        latent, basis, norms = decode_tiles(pictures, rank + 1, (size[0], size[1]), q)
        coeffs = code_refitted(fitted.frames, latent, basis, norms, q, len(pictures), thorough=final)
        return {Component.PICTURES: pictures, **coeffs}

    def restore(self, components: Components, frame_count: int, size: tuple[int, int],
                rank: int, q: float) -> RestoredSegment:
        """Decode pictures and coefficients; see `decoders.base.Decoder`."""
        return self.restore_first(components, frame_count, size, rank, q, rank)

    def restore_first(self, components: Components, frame_count: int, size: tuple[int, int], rank: int, q: float,
                      first: int, missing: Collection[int] = ()) -> RestoredSegment:
        """Decode the stills and the coefficients, and keep the first; see `decoders.base.Progressive`."""
        if Component.PICTURES not in components:
            raise FormatError("the segment has no pictures.", DAMAGED)
        payload, count = components[Component.PICTURES], rank + 1
        if Component.PICTURES in missing:
            payload, count = whole_pages(payload, count, size)
            if not count:
                raise FormatError("no picture of the segment is whole.", DAMAGED)
        latent, basis, norms = decode_tiles(payload, count, size, q)
        steps = np.pad(coeff_steps(norms, frame_count, q), (0, rank + 1 - count), constant_values=np.inf)
        coeffs = restore_coeffs(components.get(Component.COEFFS, b""), frame_count, steps)
        latent, basis = darkened(components.get(Component.DARK, b""), latent, basis[:first])
        return RestoredSegment(latent, basis, coeffs[:, :len(basis)], size)

    def restore_coeffs(self, components: Components, frame_count: int, size: tuple[int, int],
                       rank: int, q: float) -> NDArray[np.float64]:
        """Decode the coefficients (T, r); the stills' norms tell their steps."""
        return self.restore(components, frame_count, size, rank, q).coeffs

    def render(self, segment: RestoredSegment, coeffs: NDArray[np.float64],
               size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames (n, H, W) in [0, 1]; another `size` resamples latent and basis, which commutes with their sum."""
        assert segment.basis is not None
        latent, basis = segment.latent, segment.basis
        if size is not None and size != segment.size:
            latent, basis = resized(latent[None], size)[0], resized(basis, size)
        flat = coeffs.astype(np.float32) @ basis.reshape(len(basis), latent.size)
        return np.asarray(np.clip(flat + latent.reshape(-1), 0, 1).reshape(-1, *latent.shape))


def encode_tiles(latent: NDArray[np.float32], basis: NDArray[np.float32], q: float, *, final: bool) -> bytes:
    """One AV1 still of a latent (H, W) and pictures (r, H, W) around zero, at quantizer index `q`."""
    preset = _final_preset((len(basis) + 1) * latent.size) if final else FAST_PRESET
    return encode_pictures(_to_tiles(latent, basis, _gain(q)), _still_quantizer(q), ten_bit=q < TEN_BIT_BELOW_Q,
                           preset=preset)


def decode_tiles(payload: bytes, count: int, size: tuple[int, int],
                 q: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Undo `encode_tiles`: latent (H, W), basis (count - 1, H, W), its norms; FormatError where bytes do not decode."""
    gain = _gain(q)
    return _from_tiles(decode_pictures(payload, count, size), gain)


def _blocks(flat: NDArray[np.uint8]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Pixel ranges of (T, N) frames as float32 in [0, 1], a bounded number at a time."""
    step = max(1, BLOCK_VALUES // len(flat))
    for start in range(0, flat.shape[1], step):
        part = slice(start, min(start + step, flat.shape[1]))
        yield part, flat[:, part].astype(np.float32) / np.float32(255)


def _mean(flat: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([block.mean(0) for _, block in _blocks(flat)])


def _gram(flat: NDArray[np.uint8], latent: NDArray[np.float32], progress: Progress) -> NDArray[np.float64]:
    """Inner products of the centered frames, (T, T)."""
    gram = np.zeros((len(flat), len(flat)))
    for part, block in _blocks(flat):
        centered = block - latent[part]
        gram += centered @ centered.T
        progress(part.stop / flat.shape[1], "fitting")
    return gram


def _project(flat: NDArray[np.uint8], latent: NDArray[np.float32],
             coeffs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sums over frames of coefficient times centered frame, (r, N)."""
    weights = coeffs.T.astype(np.float32)
    out = np.empty((len(weights), flat.shape[1]), np.float32)
    for part, block in _blocks(flat):
        out[:, part] = weights @ (block - latent[part])
    return out


def code_refitted(frames: NDArray[np.uint8], latent: NDArray[np.float32], basis: NDArray[np.float32],
                  norms: NDArray[np.float64], q: float, pictures_bytes: int, *, thorough: bool) -> Components:
    """Components of the coefficients refitted on decoded pictures and, if `thorough`, of the cells that stay black.

    Frames are (T, H, W), the latent (H, W), the basis (r, H, W) with norms (r,). A component that says nothing is left
    out.
    """
    steps = coeff_steps(norms, len(frames), q)
    coeffs = _refit(frames, latent, basis)
    payload = code_coeffs(coeffs, steps, thorough=thorough)
    dark = find_dark(*_errors(frames, latent, basis, coeffs), pictures_bytes + len(payload)) if thorough else b""
    if dark:
        payload = code_coeffs(_refit(frames, *darkened(dark, latent, basis)), steps)
    return {key: data for key, data in ((Component.COEFFS, payload), (Component.DARK, dark)) if data}


def darkened(dark: bytes, latent: NDArray[np.float32],
             basis: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latent (H, W) and basis (r, H, W), zero in the cells that stay black; FormatError where these are damaged."""
    if not dark:
        return latent, basis
    lit = unpack_dark(dark, (latent.shape[0], latent.shape[1])).astype(np.float32)
    return latent * lit, basis * lit


def _errors(frames: NDArray[np.uint8], latent: NDArray[np.float32], basis: NDArray[np.float32],
            coeffs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared errors of every pixel (H, W) over all frames: of black, and of what pictures and coefficients give."""
    flat, flat_basis = frames.reshape(len(frames), -1), basis.reshape(len(basis), latent.size)
    rows = coeffs.astype(np.float32)
    black, decoded = np.zeros(latent.size), np.zeros(latent.size)
    for part, block in _blocks(flat):
        shown = np.clip(rows @ flat_basis[:, part] + latent.reshape(-1)[part], 0, 1)
        black[part], decoded[part] = (block**2).sum(0), ((block - shown)**2).sum(0)
    return black.reshape(latent.shape), decoded.reshape(latent.shape)


def _refit(frames: NDArray[np.uint8], latent: NDArray[np.float32],
           basis: NDArray[np.float32]) -> NDArray[np.float64]:
    """Least-squares coefficients (T, r) of every frame on a given latent and basis."""
    flat, flat_basis = frames.reshape(len(frames), -1), basis.reshape(len(basis), latent.size)
    right = np.zeros((len(flat_basis), len(frames)))
    for part, block in _blocks(flat):
        right += flat_basis[:, part] @ (block - latent.reshape(-1)[part]).T
    normal = (flat_basis @ flat_basis.T).astype(np.float64)
    ridge = 1e-6 * max(float(np.trace(normal)) / max(len(normal), 1), 1e-12)  # components coded to nothing stay at 0
    return np.asarray(np.linalg.solve(normal + ridge * np.eye(len(normal)), right).T)


def coeff_steps(norms: NDArray[np.float64], frame_count: int, q: float) -> NDArray[np.float64]:
    """Steps (r,) by equal slopes from the norms of the basis pictures; infinite where a decoded one is empty."""
    with np.errstate(divide="ignore"):
        return np.asarray(pixel_step(q) * np.sqrt(frame_count) / norms)


def _still_quantizer(q: float) -> int:
    """AV1 quantizer of a quantizer index: its whole part, shifted where stills have 10 bits so that sizes run on."""
    whole = math.floor(q)
    return whole if whole >= TEN_BIT_BELOW_Q else whole + TEN_BIT_LATER


def _gain(q: float) -> float:
    """Factor on the tiles that makes quantizer indices continuous: 1 at whole ones, falling to the next one's.

    AV1's AC step grows by one part in its quantizer + 7 up to about 58 and by 1.5 % from there.
    """
    return 1 - (q - math.floor(q)) / (min(_still_quantizer(q), 58) + 8)


def _final_preset(pixels: int) -> int:
    """Slowest preset that keeps one still at a few seconds."""
    return next((preset for limit, preset in FINAL_PRESETS if pixels <= limit), LARGE_PRESET)


def _to_tiles(latent: NDArray[np.float32], basis: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """Gray levels (r + 1, H, W) of latent and basis times `gain`; a basis picture's zero is level 128."""
    scale = np.float32(255 * gain)
    tiles = np.empty((len(basis) + 1, *latent.shape), np.float32)
    np.multiply(latent, scale, out=tiles[0])
    np.multiply(basis, scale, out=tiles[1:])
    tiles[1:] += 128
    return tiles


def _from_tiles(tiles: NDArray[np.float32],
                gain: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Latent, basis, and the norms (r,) of the basis pictures; `tiles` is overwritten.

    Decoded tiles are multiples of a quarter gray level, so the sums of their squares are whole numbers below 2**53
    and the norms, on which the coefficients' steps rest, are the same on every machine.
    """
    tiles[1:] -= 128
    quarters = (tile.astype(np.float64).ravel() * 4 for tile in tiles[1:])
    norms = np.sqrt(np.array([np.dot(tile, tile) for tile in quarters])) / (4 * 255 * gain)
    tiles /= np.float32(255 * gain)
    return tiles[0], tiles[1:], norms
