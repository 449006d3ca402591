"""What every decoder architecture offers to the codec: one small interface.

Paper symbols: v is `latent`, B is `basis`, phi is `coeffs`, r (the paper's k) is `rank`; frame t is decoded
from v + B phi_t (LRM-Functa, equation in section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[float, str], None]
"""Called with the fraction done (0 to 1) and a short label; may raise to interrupt."""

Components = Mapping[int, bytes]
"""Entropy-coded payloads of one segment by component id (`formats.container.Component`)."""


@dataclass(frozen=True)
class FittedSegment:
    """Floats fitted to one segment (T, H, W), ordered so that the first components matter most.

    Attributes
    ----------
    latent : ndarray, float32
        v: a picture (H, W) for the spatial decoder, a vector (d,) for the SIREN.
    basis : ndarray, float32, or None
        B: pictures (r, H, W) when the clip carries its own basis; None when the pack holds it.
    coeffs : ndarray, (T, r) float64
        phi, one row per frame.
    frames : ndarray, (T, H, W) uint8
        The segment itself, kept for refits after quantization.
    extra : mapping
        Whatever else the architecture wants to find again in `code` (statistics, caches). `useful_rank`, where
        there is one, bounds the ranks that a search tries.
    """

    latent: NDArray[np.float32]
    basis: NDArray[np.float32] | None
    coeffs: NDArray[np.float64]
    frames: NDArray[np.uint8]
    extra: Mapping[str, Any]


@dataclass(frozen=True)
class RestoredSegment:
    """What a reader has after dequantizing one segment; shapes as in `FittedSegment`."""

    latent: NDArray[np.float32]
    basis: NDArray[np.float32] | None
    coeffs: NDArray[np.float64]
    size: tuple[int, int]  # (H, W) of the coded frames


class PackLike(Protocol):
    """What a decoder needs of a pack (`formats.pack.Pack`)."""

    @property
    def name(self) -> str:
        """Name in messages."""

    @property
    def arch_id(self) -> int:
        """Frozen id of the architecture."""

    @property
    def card(self) -> Mapping[str, Any]:
        """Content of card.json."""

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Weights by name."""


class Decoder(Protocol):
    """A frozen decoder. Instances hold no state of a clip."""

    arch_id: int
    """Frozen id written to every file; see `decoders.registry`."""

    min_q: int
    """Finest quantizer index that `code` tells apart from coarser ones; below 0 it quantizes as at 0, finer."""

    def alternative(self, values: int) -> Decoder | None:
        """Another way to code the same fit that this decoder reads as well, for clips that it suits better.

        None where there is none for latent and basis of so many `values` together.
        """

    def rank_limit(self, frame_count: int, size: tuple[int, int]) -> int:
        """Largest rank that a segment of `frame_count` frames of (H, W) can use."""

    def fit(self, frames: NDArray[np.uint8], max_rank: int, seed: int, progress: Progress) -> FittedSegment:
        """Fit latent, basis and coefficients of frames (T, H, W) with the decoder frozen."""

    def code(self, fitted: FittedSegment, rank: int, q: float, *, final: bool = True) -> Components:
        """Quantize and entropy code the first `rank` components at quantizer index `q`.

        `q` runs from `min_q` (finest) to 255 in sixteenths. Coefficients are refitted on the quantized latent and basis
        before they are quantized themselves. With `final` false a faster coder may be used that gives nearly the
        same size and quality.
        """

    def restore(self, components: Components, frame_count: int, size: tuple[int, int],
                rank: int, q: float) -> RestoredSegment:
        """Undo `code`; raises FormatError on payloads that do not decode to the promised shapes."""

    def restore_coeffs(self, components: Components, frame_count: int, size: tuple[int, int],
                       rank: int, q: float) -> NDArray[np.float64]:
        """The coefficients (T, r) that `restore` gives, in less time where they need no pictures."""

    def render(self, segment: RestoredSegment, coeffs: NDArray[np.float64],
               size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames (n, H, W), gray levels in [0, 1], for coefficient rows (n, r); `size` defaults to the coded one."""


@runtime_checkable
class Progressive(Protocol):
    """A decoder whose frames are worth seeing without the last components: each adds to the picture of those before."""

    def restore_first(self, components: Components, frame_count: int, size: tuple[int, int], rank: int, q: float,
                      first: int, missing: Collection[int] = ()) -> RestoredSegment:
        """As `Decoder.restore`, with no more than the first components, 0 to `rank`.

        Parameters
        ----------
        components, frame_count, size, rank, q
            As in `Decoder.restore`.
        first : int
            How many components are wanted.
        missing : collection of int
            Ids of components whose end is missing, or all of them: of a file that was cut off. Pictures count that are
            whole.

        Raises
        ------
        FormatError
            As `Decoder.restore`, and when not even the latent is whole.
        """
