"""Measurements of the codec and its peers.

from lrmcodec.benchmarks import Plan, bench
rows = bench(["clip.avi"], output="results", plan=Plan(ranks=(2, 8), peers=("av1",)))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrmcodec.benchmarks.measure.asks import Plan
    from lrmcodec.benchmarks.measure.rows import Row
    from lrmcodec.benchmarks.measure.run import bench
    from lrmcodec.benchmarks.setting import Setting

__all__ = ["Plan", "Row", "Setting", "bench"]

_HOMES = {"Plan": "lrmcodec.benchmarks.measure.asks", "bench": "lrmcodec.benchmarks.measure.run",
          "Row": "lrmcodec.benchmarks.measure.rows", "Setting": "lrmcodec.benchmarks.setting"}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that the probe and the worker start quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lrmcodec.benchmarks' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
