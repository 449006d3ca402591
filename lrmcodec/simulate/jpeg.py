"""What JPEG at a given quality does to gray frames: 8x8 cosine transform, quantized and undone (ITU-T T.81)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

SIDE = 8

LUMINANCE = (16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
             14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
             49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99)
"""Quantization steps of table K.1 of ITU-T T.81, row by row."""


def jpeg_artefacts(frames: Tensor, quality: int) -> Tensor:
    """Frames (T, H, W), levels 0 to 255, as they come back from JPEG of `quality` 1 to 100.

    Steps are scaled with the quality as the Independent JPEG Group's library does.
    """
    height, width = frames.shape[1:]
    padded = pad(frames[:, None] - 128, (0, -width % SIDE, 0, -height % SIDE), mode="replicate")[:, 0]
    blocks = padded.unfold(1, SIDE, SIDE).unfold(2, SIDE, SIDE)  # (T, rows, columns, 8, 8)
    transform, steps = _cosines(frames), _steps(quality, frames)
    levels = (transform @ blocks @ transform.T / steps).round()
    back = transform.T @ (levels * steps) @ transform
    joined = back.transpose(2, 3).reshape(padded.shape)[:, :height, :width]
    return (joined + 128).round().clamp(0, 255)


def _cosines(like: Tensor) -> Tensor:
    """Orthonormal cosine transform (8, 8)."""
    index = torch.arange(SIDE, dtype=torch.float32)
    matrix = torch.cos(math.pi / SIDE * (index[None, :] + 0.5) * index[:, None]) * math.sqrt(2 / SIDE)
    matrix[0] /= math.sqrt(2)
    return matrix.to(like.device)


def _steps(quality: int, like: Tensor) -> Tensor:
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    table = torch.tensor(LUMINANCE, dtype=torch.float32, device=like.device).reshape(SIDE, SIDE)
    return ((table * scale + 50) / 100).floor().clamp(1, 255)
