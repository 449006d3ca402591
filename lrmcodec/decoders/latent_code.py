"""Components of decoders whose basis belongs to their pack: a latent in integers, and coefficients; there and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import Components
from lrmcodec.formats.container import DAMAGED, Component
from lrmcodec.formats.entropy import decode_ints, encode_ints
from lrmcodec.formats.errors import FormatError
from lrmcodec.quantize import code_coeffs, restore_coeffs, round_dead

MAX_LEVEL = 1 << 20


def latent_levels(values: NDArray[np.float64], rounding: float) -> NDArray[np.int32]:
    """Integers (d,) of latent values (d,) in steps; from the share `rounding` of a step on a magnitude rounds up."""
    return np.asarray(np.clip(round_dead(values, rounding), -MAX_LEVEL, MAX_LEVEL), dtype=np.int32)


def to_components(levels: NDArray[np.int32] | None, coeffs: NDArray[np.float64], steps: NDArray[np.float64],
                  *, thorough: bool) -> Components:
    """Payloads of a latent's integers (rows, n), where there is one, and of coefficients (T, r) with steps (r,)."""
    latent: dict[int, bytes] = {} if levels is None else {Component.LATENT: encode_ints(levels, thorough=thorough)}
    payload = code_coeffs(coeffs, steps, thorough=thorough)
    return {**latent, **({Component.COEFFS: payload} if payload else {})}


def read_levels(components: Components, shape: tuple[int, int]) -> NDArray[np.int32] | None:
    """Integers (rows, n) of the latent; None for a `shape` without values, which must have no latent.

    Raises
    ------
    FormatError
        When the latent is missing, there against the pack's structure, or damaged.
    """
    if (Component.LATENT in components) != (shape[0] * shape[1] > 0):
        found = "has a latent against its decoder pack's structure" if Component.LATENT in components else \
            "has no latent"
        raise FormatError(f"the segment {found}.", DAMAGED)
    return decode_ints(components[Component.LATENT], shape) if shape[0] * shape[1] else None


def read_coeffs(components: Components, frame_count: int, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (T, r) with steps (r,); all zero where a segment has none."""
    return restore_coeffs(components.get(Component.COEFFS, b""), frame_count, steps)


def check_rank(rank: int, max_rank: int) -> None:
    """Refuse, with a FormatError, a segment of more components than its pack has."""
    if rank > max_rank:
        raise FormatError(f"the segment has rank {rank}, its decoder pack at most {max_rank}.", DAMAGED)
