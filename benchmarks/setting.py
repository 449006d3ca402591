"""What is asked of a codec, in columns; in words only where a person reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One setting of a codec.

    Attributes
    ----------
    target : str
        'ratio', 'quality', 'crf' or 'lossless'; 'all' in the one row of a codec that is not available at any.
    target_value : float or None
        Ratio, quality from 0 to 100, or constant rate factor.
    asked_rank : int or None
        Coefficients a frame, where the codec has some and they were asked for.
    every : int or None
        Every so-manieth frame is coded, the others are blended.
    scale : str
        Fraction to which the sides are reduced, such as '4/7'; empty for the full size.
    without : str
        'phase' where our file leaves the direction of the cardiac phase out.
    """

    target: str = ""
    target_value: float | None = None
    asked_rank: int | None = None
    every: int | None = None
    scale: str = ""
    without: str = ""

    @property
    def words(self) -> str:
        """The setting as people read it, for example 'rank 4 quality 80'."""
        value = "" if self.target_value is None else f" {self.target_value:g}"
        named = (("size ", self.scale), ("rank ", self.asked_rank), ("every ", self.every),
                 (self.target, value), ("without ", self.without))
        return " ".join(f"{name}{what}" for name, what in named if what not in (None, "") or name == self.target != "")

    @property
    def is_ratio_at_best_rank(self) -> bool:
        """A ratio for which the encoder picks the rank."""
        return self.target == "ratio" and self.asked_rank is None

    @property
    def is_quality_at_rank(self) -> bool:
        """A point of the grid of ranks and qualities."""
        return self.target == "quality" and self.asked_rank is not None


ALL = Setting("all")
"""Of the one row that a codec leaves which is not available."""

LOSSLESS = Setting("lossless")
