"""What is asked of our codec: sizes at the best rank, and a grid of qualities at every rank.

A rank alone fixes no size. At each rank the clip is coded at fixed qualities, from nearly unquantized to coarse: the
finest shows what the rank can hold at all, the others what it is worth in bytes. Searching the best rank at given
ratios shows what a user gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RANKS = (1, 2, 4, 8, 16, 32, 64)
RATIOS = (30.0, 60.0, 100.0, 180.0, 300.0, 600.0, 1000.0, 2000.0, 3000.0)
QUALITIES = (95.0, 80.0, 55.0, 30.0)
"""Quantizer indices 13, 51, 115 and 178: about crf 3, 13, 29 and 45 of the AV1 stills of the spatial decoder."""


@dataclass(frozen=True)
class Ask:
    """One encoding: a ratio at the best rank, or a quality at a given rank."""

    rank: int | None = None
    ratio: float | None = None
    quality: float | None = None

    @property
    def setting(self) -> str:
        """Name in rows."""
        target = f"ratio {self.ratio:g}" if self.ratio is not None else f"quality {self.quality:g}"
        return target if self.rank is None else f"rank {self.rank} {target}"


def asks(ranks: Sequence[int] = RANKS, ratios: Sequence[float] = RATIOS) -> list[Ask]:
    """All encodings of one pack."""
    return [*(Ask(ratio=ratio) for ratio in ratios),
            *(Ask(rank=rank, quality=quality) for rank in ranks for quality in QUALITIES)]
