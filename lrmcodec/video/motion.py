"""Coefficients beside a video: a few numbers a frame for readout and plots, and pictures that go with them.

A video carries the frames, so that coefficients need no pictures in the file. They are the leading ones of the clip's
low-rank approximation, in units in which the first has a standard deviation of 24 quantizer steps; the pictures follow
from the decoded frames by least squares where somebody asks for them (SPEC.md, section Video).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import FittedSegment
from lrmcodec.quantize import code_coeffs, restore_coeffs

RANK = 4
FIRST_STD = 24.0
"""Steps in a standard deviation of the first coefficient; phase readout does not change from 12 on."""

Array = NDArray[np.float64]


def motion_rank(fitted: FittedSegment) -> int:
    """How many coefficients go beside a video of a fitted segment that carries its own basis."""
    useful: int = fitted.extra.get("useful_rank", RANK)
    return int(min(RANK, useful, fitted.coeffs.shape[1]))


def code_motion(fitted: FittedSegment, rank: int) -> bytes:
    """Code the first `rank` coefficients (T, r) of a fitted segment, weighted by what they are in the pictures."""
    assert fitted.basis is not None
    weights = np.linalg.norm(fitted.basis[:rank].reshape(rank, fitted.latent.size), axis=1).astype(np.float64)
    rows = fitted.coeffs[:, :rank] * weights
    scale = FIRST_STD / max(float(rows.std(0).max(initial=0.0)), 1e-30)
    return code_coeffs(rows * scale, np.ones(rank))


def restore_motion(payload: bytes, frame_count: int, rank: int) -> Array:
    """Undo `code_motion`: coefficients (T, r) float64 up to their common scale.

    Raises
    ------
    FormatError
        When the payload does not decode to r times T integers.
    """
    return restore_coeffs(payload, frame_count, np.ones(rank))


def fit_pictures(coeffs: Array, blocks: Iterable[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latent (H, W) and basis (r, H, W), gray levels of [0, 1], that give frames of coefficients (T, r) best.

    `blocks` are the frames (n, H, W), T in all, in order.
    """
    design = np.column_stack([np.ones(len(coeffs)), coeffs])  # (T, 1 + r)
    weights = np.linalg.pinv(design).astype(np.float32)  # (1 + r, T)
    total: NDArray[np.float32] | None = None
    done = 0
    for block in blocks:
        part = np.tensordot(weights[:, done:done + len(block)], block.astype(np.float32) / np.float32(255), 1)
        total = part if total is None else total + part
        done += len(block)
    assert total is not None
    return total[0], total[1:]
