"""State and log of a training run on disk: the state written whole or not at all, read without executing code."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lrmcodec.formats.atomic import atomic_path


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write `state`, over an older one; an OutputError where that fails, which leaves the older one."""
    with atomic_path(path, force=True) as temporary:
        torch.save(dict(state), temporary)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; only tensors and plain values are accepted."""
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def append_log(path: Path, row: Mapping[str, Any]) -> None:
    """Append one row to a CSV file, with a header if it is new."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def last_row(path: Path) -> dict[str, float]:
    """Last row of such a file, empty where there is none; empty cells are left out."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: float(value) for key, value in rows[-1].items() if value} if rows else {}
