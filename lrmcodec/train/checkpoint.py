"""State of a training run on disk: written whole or not at all, read without executing code."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write `state` beside `path`, flush it, and rename it into place."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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
