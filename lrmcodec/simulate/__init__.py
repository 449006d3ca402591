"""Simulated ultrasound clips with exact ground truth.

`phantom` is a quick heart without torch for demonstrations and tests; `simulate` makes the real thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrmcodec.simulate.plan import Simulated, Truth
    from lrmcodec.simulate.simulator import simulate

__all__ = ["Simulated", "Truth", "simulate"]


def __getattr__(name: str) -> Any:
    """Import public names, and with them torch, when they are first used."""
    if name == "simulate":
        from lrmcodec.simulate.simulator import simulate

        return simulate
    if name in __all__:
        from lrmcodec.simulate import plan

        return getattr(plan, name)
    raise AttributeError(f"module 'lrmcodec.simulate' has no attribute {name!r}")
