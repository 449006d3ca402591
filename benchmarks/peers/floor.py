"""The floor: low rank + AV1 still, the plainest codec of our kind, without training or search.

Mean and leading singular pictures, each scaled by its RMS over the clip, are stacked into one tall picture and coded
as one AV1 still. Coefficients are refitted on the decoded pictures, cosine-transformed along time, quantized with a
dead zone, and counted at the ideal cost of an adaptive Laplace model plus 40 bytes for a container.
"""

from __future__ import annotations

import time
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.peers.coder import Coded, Frames, Job, VideoCoder, code_video
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.formats.clip import Clip

STILL = VideoCoder("libsvtav1", "libdav1d", "yuv420p", {"preset": "2", "svtav1-params": "avif=1:lp=1"})

POINTS = ((64, 1), (64, 3), (64, 6), (32, 6), (16, 6), (32, 13), (16, 13), (8, 13), (32, 20), (16, 20), (8, 20),
          (8, 27), (4, 27), (8, 40), (4, 40), (2, 40), (8, 48), (4, 48), (4, 56))
"""(rank, crf)"""

MAX_HEIGHT = 8704  # of a picture that SVT-AV1 takes
OVERHEAD_BYTES = 40
BANDS = (0, 4, 8, 16, 32, 64, 128)  # one Laplace scale an octave of frequency
BITS_PER_SCALE = 4
DEAD_ZONE_ROUNDING = 0.4

# Steps of the coefficients against the still's quantizer: a pixel step of 0.012 at crf 13 that grows by 4.5 % a crf,
# and 0.35 of the coefficient step at which errors of pictures and coefficients would weigh the same.
PIXEL_STEP, STEP_GROWTH, STEP_CRF, STEP_SHARE = 0.012, 1.045, 13, 0.35

Array = NDArray[np.float32]


def low_rank_av1(clip: Clip) -> list[Job]:
    """Jobs of all points whose rank the clip has and whose picture can be coded; the decomposition is shared."""
    decompose = cache(partial(_decompose, clip.frames))
    return [Job(Setting("crf", crf, rank), partial(_code, clip.frames, decompose, rank, crf))
            for rank, crf in POINTS if rank < len(clip.frames) and (rank + 1) * clip.frames.shape[1] <= MAX_HEIGHT]


def _decompose(frames: Frames) -> tuple[Array, Array, Array]:
    """Frames as rows (T, N) in [0, 1], their mean (N,), and singular pictures (min(T, N), N) scaled by their RMS."""
    flat = frames.reshape(len(frames), -1).astype(np.float32) / np.float32(255)
    mean: Array = flat.mean(0)
    _, values, vectors = np.linalg.svd(flat - mean, full_matrices=False)
    pictures = vectors * (values / np.sqrt(len(frames)))[:, None]
    return flat, mean, pictures.astype(np.float32)


def _code(frames: Frames, decompose: Any, rank: int, crf: int) -> Coded:
    began = time.perf_counter()
    flat, mean, pictures = decompose()
    width = frames.shape[2]
    tall = np.concatenate([mean[None] * 255, pictures[:rank] * 255 + 128]).reshape(-1, width)
    still = code_video(tall.round().clip(0, 255).astype(np.uint8)[None], STILL, 25, crf=str(crf))
    tiles: Array = still.frames.reshape(rank + 1, -1).astype(np.float32)
    tiles[1:] -= 128
    tiles /= 255
    mean, basis = tiles[0], tiles[1:]
    coeffs, bits = _code_coeffs(flat - mean, basis, crf)
    encoded = time.perf_counter()
    decoded = np.clip(mean + coeffs.T @ basis, 0, 1).reshape(frames.shape)
    levels = (decoded * 255).round().astype(np.uint8)
    return Coded(still.size_bytes + bits / 8 + OVERHEAD_BYTES, levels, encoded - began - still.decode_seconds,
                 time.perf_counter() - encoded + still.decode_seconds)


def _code_coeffs(centered: Array, basis: Array, crf: int) -> tuple[NDArray[np.float64], float]:
    """Quantized coefficients (r, T) of frames (T, N) in a basis (r, N), and their cost in bits."""
    count, pixels = centered.shape
    normal = basis @ basis.T + 1e-6 * np.eye(len(basis))
    coeffs = np.linalg.solve(normal, basis @ centered.T)
    pixel_step = PIXEL_STEP * STEP_GROWTH ** (crf - STEP_CRF)
    bits = 0.0
    for index, picture in enumerate(basis):
        rms = max(float(np.linalg.norm(picture)) / np.sqrt(pixels), 1e-6)
        step = STEP_SHARE * pixel_step * np.sqrt(count / pixels) / rms
        coeffs[index], cost = laplace(coeffs[index], step)
        bits += cost
    return coeffs, bits


def laplace(series: NDArray[np.float64], step: float) -> tuple[NDArray[np.float64], float]:
    """Dead-zone quantized cosine transform of a series: its values back, and ideal adaptive Laplace bits."""
    from scipy.fft import dct, idct

    spectrum = dct(series, norm="ortho")
    levels = np.sign(spectrum) * np.floor(np.abs(spectrum) / step + DEAD_ZONE_ROUNDING)
    edges = [*BANDS, max(len(levels), BANDS[-1] + 1)]
    bits = sum(_band_bits(np.abs(levels[low:high])) for low, high in pairwise(edges))
    return np.asarray(idct(levels * step, norm="ortho")), bits


def _band_bits(band: NDArray[np.float64]) -> float:
    """Bits of the magnitudes of one band: geometric with their own mean, a sign each, and the scale itself."""
    if not len(band):
        return 0.0
    if not band.any():
        return BITS_PER_SCALE
    p = band.mean() / (1 + band.mean())
    return float(np.sum(band * -np.log2(p) - np.log2(1 - p) + (band != 0))) + BITS_PER_SCALE
