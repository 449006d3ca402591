"""What others get: the AV1 envelope and the analytic floor, low rank + AV1 still, counted in bytes as we count ours.

AV1 is SVT-AV1 preset 2 with one key frame, through PyAV. Its envelope adds what a careful user does at low rates:
code every k-th frame and blend the others linearly. The floor is the plainest low-rank codec: singular pictures
stacked into one AV1 still, coefficients refitted, cosine-transformed and counted at their ideal adaptive Laplace
cost plus 40 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

from lrmcodec import metrics

PRESET = "2"
ENVELOPE = ((1, 20), (1, 26), (1, 32), (1, 40), (1, 50), (1, 58), (1, 63), (2, 40), (2, 50), (2, 58), (4, 50),
            (4, 58), (4, 63), (8, 58), (8, 63), (16, 58), (16, 63))
"""(every k-th frame, crf)"""

FLOOR = ((64, 1), (64, 3), (64, 6), (32, 6), (16, 6), (32, 13), (16, 13), (8, 13), (32, 20), (16, 20), (8, 20),
         (8, 27), (4, 27), (8, 40), (4, 40), (2, 40), (8, 48), (4, 48), (4, 56))
"""(rank, crf)"""

BANDS = (0, 4, 8, 16, 32, 64, 128)  # one Laplace scale an octave of frequency
BITS_PER_SCALE = 4
FLOOR_OVERHEAD_BYTES = 40


@dataclass(frozen=True)
class Point:
    """One measured point: what was coded how, bytes, mean PSNR in dB, SSIM3D."""

    codec: str
    setting: str
    size_bytes: float
    psnr_db: float
    ssim3d: float


def av1_points(frames: NDArray[np.uint8], fps: float) -> Iterator[Point]:
    """Points of the AV1 envelope for frames (T, H, W)."""
    for step, crf in ENVELOPE:
        if step >= len(frames):
            continue
        size, decoded = code_av1(frames[::step], crf, max(fps / step, 1.0), "keyint=-1:tune=1")
        yield measure("av1", f"every {step} crf {crf}", size, frames, _blend(decoded, step, len(frames)))


def floor_points(frames: NDArray[np.uint8]) -> Iterator[Point]:
    """Points of low rank + AV1 still for frames (T, H, W)."""
    flat = frames.reshape(len(frames), -1).astype(np.float32) / np.float32(255)
    mean = flat.mean(0)
    _, values, vectors = np.linalg.svd(flat - mean, full_matrices=False)
    pictures = vectors * values[:, None] / np.sqrt(len(frames))
    for rank, crf in FLOOR:
        if rank < len(frames):
            size, decoded = _low_rank(flat, mean, pictures[:rank], crf, frames.shape)
            yield measure("low rank + av1 still", f"rank {rank} crf {crf}", size, frames, decoded)


def measure(codec: str, setting: str, size_bytes: float, frames: NDArray[np.uint8],
            decoded: NDArray[np.uint8]) -> Point:
    """Point of a decoded clip."""
    return Point(codec, setting, size_bytes, metrics.psnr_db(frames, decoded), metrics.ssim3d(frames, decoded))


def hull(points: list[Point]) -> list[Point]:
    """Points that no smaller point beats in PSNR, by size."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: p.size_bytes):
        if not best or point.psnr_db > best[-1].psnr_db:
            best.append(point)
    return best


def at_bytes(points: list[Point], size_bytes: float) -> tuple[float, float] | None:
    """PSNR in dB and SSIM3D of the hull at a size, log-linear between its points; None outside them."""
    edge = hull(points)
    sizes = np.log([point.size_bytes for point in edge])
    wanted = np.log(size_bytes)
    if not sizes[0] <= wanted <= sizes[-1]:
        return None
    return (float(np.interp(wanted, sizes, [point.psnr_db for point in edge])),
            float(np.interp(wanted, sizes, [point.ssim3d for point in edge])))


def code_av1(frames: NDArray[np.uint8], crf: int, fps: float, params: str) -> tuple[int, NDArray[np.uint8]]:
    """Bytes of the packets and the decoded frames (T, H, W)."""
    encoder = av.CodecContext.create("libsvtav1", "w")
    encoder.height, encoder.width, encoder.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
    rate = Fraction(max(round(fps), 1))
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.options = {"preset": PRESET, "crf": str(crf), "svtav1-params": params}
    packets: list[bytes] = []
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
        picture.pts = index
        packets += (bytes(packet) for packet in encoder.encode(picture))
    packets += (bytes(packet) for packet in encoder.encode(None))
    decoder = cast(av.VideoCodecContext, av.CodecContext.create("libdav1d", "r"))
    pictures = [picture for packet in packets for picture in decoder.decode(av.Packet(packet))]
    pictures += decoder.decode(None)
    decoded = np.stack([picture.to_ndarray(format="gray") for picture in pictures])
    return sum(map(len, packets)), decoded[:len(frames)].astype(np.uint8, copy=False)


def _blend(decoded: NDArray[np.uint8], step: int, count: int) -> NDArray[np.uint8]:
    """All `count` frames from every `step`-th one, blended linearly, the last one held."""
    at = np.arange(count) / step
    left = np.minimum(at.astype(int), len(decoded) - 1)
    right = np.minimum(left + 1, len(decoded) - 1)
    weight = (at - left)[:, None, None].clip(0, 1)
    return np.asarray(((1 - weight) * decoded[left] + weight * decoded[right]).round().astype(np.uint8))


def _low_rank(flat: NDArray[np.float32], mean: NDArray[np.float32], pictures: NDArray[np.float32], crf: int,
              shape: tuple[int, ...]) -> tuple[float, NDArray[np.uint8]]:
    count, height, width = shape
    rank, pixels = len(pictures), height * width
    tall = np.concatenate([mean[None] * 255, pictures * 255 + 128]).reshape(-1, width)
    still = np.pad(tall, ((0, len(tall) % 2), (0, width % 2)), mode="edge").round().clip(0, 255).astype(np.uint8)
    size, decoded = code_av1(still[None], crf, 25, "avif=1")
    tiles = decoded[0, :len(tall), :width].reshape(rank + 1, pixels).astype(np.float32)
    mean, basis = tiles[0] / 255, (tiles[1:] - 128) / 255
    normal = basis @ basis.T + 1e-6 * np.eye(rank)
    coeffs = np.linalg.solve(normal, basis @ (flat - mean).T)  # (r, T)
    bits = 0.0
    for index in range(rank):
        rms = max(float(np.linalg.norm(basis[index])) / np.sqrt(pixels), 1e-6)
        step = 0.35 * 0.012 * 1.045 ** (crf - 13) * np.sqrt(count / pixels) / rms
        coeffs[index], cost = _laplace(coeffs[index], step)
        bits += cost
    frames = np.clip(mean + coeffs.T @ basis, 0, 1).reshape(shape)
    return size + bits / 8 + FLOOR_OVERHEAD_BYTES, (frames * 255).round().astype(np.uint8)


def _laplace(series: NDArray[np.float64], step: float) -> tuple[NDArray[np.float64], float]:
    """Dead-zone quantized cosine transform of a series: its values back, and ideal adaptive Laplace bits."""
    spectrum = dct(series, norm="ortho")
    levels = np.sign(spectrum) * np.floor(np.abs(spectrum) / step + 0.4)
    bits = 0.0
    edges = [*BANDS, max(len(levels), BANDS[-1] + 1)]
    for low, high in pairwise(edges):
        band = np.abs(levels[low:high])
        if band.any():
            p = band.mean() / (1 + band.mean())
            bits += float(np.sum(band * -np.log2(p) - np.log2(1 - p) + (band != 0)))
        bits += BITS_PER_SCALE * (len(band) > 0)
    return np.asarray(idct(levels * step, norm="ortho")), bits
