"""PSNR, SSIM3D and ratio: the only definitions.

Qualities compare uint8 clips on the data range 0..255, which equals range 1 on frames in [0, 1]. Clips may be memory
maps, and `compare` takes the decoded frames as they come, so that no clip need be held whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import ClipError

Frames = NDArray[np.uint8]

MAX_PSNR_DB = 120.0
"""Given for equal frames, whose error is zero."""

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
SSIM_BLOCK_FRAMES, SSIM_TILE_SIDE = 32, 64
"""Frames, rows and columns looked at together, margins not counted: as many as stay in a processor's cache."""


@dataclass(frozen=True)
class Quality:
    """How far a decoded clip is from its original: PSNR of every frame (T,) and SSIM3D."""

    frame_psnr_db: NDArray[np.float64]
    ssim3d: float

    @property
    def psnr_db(self) -> float:
        """Mean over frames of the frame's PSNR in dB."""
        return float(np.mean(self.frame_psnr_db))


def compare(original: Frames, decoded: Iterable[Frames]) -> Quality:
    """Quality of a clip (T, H, W) whose decoded frames come a block (n, H, W) at a time, in order.

    Raises
    ------
    ClipError
        When the blocks do not add up to frames as many and as large as the original's.
    """
    psnr, total = [], 0.0
    for start, stop, outer, frames in _windows(original.shape, decoded, SSIM_BLOCK_FRAMES):
        first = start - outer.start
        psnr.append(psnr_of_mse(frame_mse(original[start:stop], frames[first:first + stop - start])))
        total += _ssim_sum(original[outer], frames, first, stop - start)
    return Quality(np.concatenate(psnr), total / original.size)


def frame_mse(original: Frames, decoded: Frames) -> NDArray[np.float64]:
    """Mean squared error of every frame, (T,), of clips (T, H, W), in units of the full range squared.

    Raises
    ------
    ClipError
        When the clips are not of one shape, or not uint8.
    """
    _check(original, decoded)
    out = np.empty(len(original))
    for index, (a, b) in enumerate(zip(original, decoded, strict=True)):
        difference = a.astype(np.float32)
        difference -= b
        rows = np.einsum("ij,ij->i", difference, difference)  # whole numbers, exact below 2**24
        out[index] = rows.sum(dtype=np.float64) / (255.0**2 * a.size)
    return out


def psnr_of_mse(mse: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """PSNR in dB of mean squared errors in units of the full range squared; at most 120 dB."""
    return np.asarray(-10 * np.log10(np.maximum(mse, 10 ** (-MAX_PSNR_DB / 10))))


def frame_psnr_db(original: Frames, decoded: Frames) -> NDArray[np.float64]:
    """PSNR of every frame in dB, (T,), of clips (T, H, W); equal frames count as 120 dB."""
    return psnr_of_mse(frame_mse(original, decoded))


def psnr_db(original: Frames, decoded: Frames) -> float:
    """Mean over frames of the frame's PSNR in dB, of clips (T, H, W); equal frames count as 120 dB."""
    return float(np.mean(frame_psnr_db(original, decoded)))


def pooled_psnr_db(original: Frames, decoded: Frames) -> float:
    """PSNR in dB of the mean squared error over all frames of clips (T, H, W); equal clips count as 120 dB."""
    return float(psnr_of_mse(frame_mse(original, decoded).mean()))


def ssim3d(original: Frames, decoded: Frames) -> float:
    """Mean of the three-dimensional SSIM map of clips (T, H, W).

    Wang et al. 2004 (10.1109/TIP.2003.819861) with an 11x11x11 Gaussian window of sigma 1.5 over time, height and
    width, C1 = 0.01^2, C2 = 0.03^2, population moments; beyond the borders the window sees zeros, as in the
    anchors. Large clips are measured in overlapping blocks with the same result.

    Raises
    ------
    ClipError
        When the clips are not of one shape, or not uint8.
    """
    _check(original, decoded)
    total = 0.0
    for start, stop, outer in _blocks(len(original), SSIM_BLOCK_FRAMES):
        total += _ssim_sum(original[outer], decoded[outer], start - outer.start, stop - start)
    return total / original.size


def _check(original: Frames, decoded: Frames) -> None:
    for clip in (original, decoded):
        if clip.ndim != 3 or clip.dtype != np.uint8 or 0 in clip.shape:
            raise ClipError(f"quality is measured between clips (T, H, W) uint8, not {clip.shape} {clip.dtype}.")
    if original.shape != decoded.shape:
        raise ClipError(f"a clip of shape {original.shape} cannot be compared with one of shape {decoded.shape}.",
                        "Give both the same frames at the same size.")


def _blocks(count: int, step: int) -> Iterator[tuple[int, int, slice]]:
    """Ranges of `step` out of `count`, and each with the margin that the window reaches into."""
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield start, stop, slice(max(start - SSIM_RADIUS, 0), min(stop + SSIM_RADIUS, count))


def _windows(shape: tuple[int, ...], decoded: Iterable[Frames], step: int) -> Iterator[tuple[int, int, slice, Frames]]:
    """Ranges of frames with their margins, as `_blocks`, and the decoded frames of the outer range."""
    blocks = iter(decoded)
    held = np.empty((0, *shape[1:]), np.uint8)  # frames from `first` on
    first = 0
    for start, stop, outer in _blocks(shape[0], step):
        held, first = held[outer.start - first:], outer.start
        while first + len(held) < outer.stop:
            block = next(blocks, None)
            if block is None or block.dtype != np.uint8 or block.shape[1:] != shape[1:]:
                found = f"end at frame {first + len(held)}" if block is None else f"are {block.shape} {block.dtype}"
                raise ClipError(f"a clip of shape {shape} is compared with frames that {found}.")
            held = np.concatenate([held, block])
        yield start, stop, outer, held[:outer.stop - outer.start]
    if len(held) > shape[0] - first or next(blocks, None) is not None:
        raise ClipError(f"a clip of {shape[0]} frames is compared with more.")


def _ssim_sum(original: Frames, decoded: Frames, first: int, count: int) -> float:
    """Sum of the SSIM map over `count` frames from `first` on, tile by tile."""
    height, width = original.shape[1:]
    total = 0.0
    for top in range(0, height, SSIM_TILE_SIDE):
        for left in range(0, width, SSIM_TILE_SIDE):
            places = ((first, first + count), (top, min(top + SSIM_TILE_SIDE, height)),
                      (left, min(left + SSIM_TILE_SIDE, width)))
            total += float(_ssim_map(_with_margin(original, places), _with_margin(decoded, places))
                           .sum(dtype=np.float64))
    return total


def _with_margin(clip: Frames, places: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """A tile of a clip in [0, 1] with SSIM_RADIUS more on all sides, zeros beyond the borders."""
    kept = [slice(max(start - SSIM_RADIUS, 0), stop + SSIM_RADIUS) for start, stop in places]
    tile = clip[tuple(kept)].astype(np.float32) / np.float32(255)
    missing = [(max(SSIM_RADIUS - start, 0), max(stop + SSIM_RADIUS - length, 0))
               for (start, stop), length in zip(places, clip.shape, strict=True)]
    return np.pad(tile, missing) if np.any(missing) else tile


def _ssim_map(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """SSIM of tiles with margins, the margins cut.

    The moments follow from sum and difference s and d: var(a) + var(b) = (var(s) + var(d)) / 2 and
    cov(a, b) = (var(s) - var(d)) / 4, one window less than from a and b.
    """
    both, apart = a + b, a - b
    mean_s, mean_d = _blur(both), _blur(apart)
    square_s, square_d = mean_s * mean_s, mean_d * mean_d
    var_s, var_d = _blur(both * both) - square_s, _blur(apart * apart) - square_d
    c1, c2 = np.float32(2 * 0.01**2), np.float32(2 * 0.03**2)
    luminance = (square_s - square_d + c1) / (square_s + square_d + c1)
    return np.asarray(luminance * (var_s - var_d + c2) / (var_s + var_d + c2))


def _blur(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian windows over a volume (t, h, w), SSIM_RADIUS less on all sides, as products with banded matrices."""
    frames, height, width = (_window(side - 2 * SSIM_RADIUS) for side in volume.shape)
    late = (frames @ volume.reshape(len(volume), -1)).reshape(-1, *volume.shape[1:])
    return np.asarray(height @ late @ width.T)


@cache
def _window(count: int) -> NDArray[np.float32]:
    """Matrix (count, count + 2 SSIM_RADIUS) whose rows are the normalized window, moving on."""
    offsets = np.arange(count + 2 * SSIM_RADIUS) - np.arange(SSIM_RADIUS, count + SSIM_RADIUS)[:, None]
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2) * (np.abs(offsets) <= SSIM_RADIUS)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def ratio(raw_bytes: int, file_bytes: int) -> float:
    """Compression ratio: one byte a pixel of the coded frames over all bytes of the file."""
    return raw_bytes / file_bytes


def mean_picture(frames: Frames) -> Frames:
    """The clip's mean picture in every frame, (T, H, W): what any codec of clips must beat."""
    return np.broadcast_to(np.rint(frames.mean(axis=0)).astype(np.uint8), frames.shape)
