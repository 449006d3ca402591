"""What the shapes of all shared SIRENs have in common."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any


class SineLayers:
    """Base of dataclasses with `depth`, `w0_first` and `w0_last`: sine layers and their frequency factors."""

    depth: int
    w0_first: float
    w0_last: float

    @property
    def hidden_count(self) -> int:
        """Modulated layers."""
        return self.depth - 2

    def w0(self) -> list[float]:
        """Frequency factors of the sine layers, first to last; they change linearly."""
        steps = max(self.hidden_count, 1)
        return [self.w0_first + (self.w0_last - self.w0_first) * i / steps for i in range(steps + 1)]

    def to_card(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]
