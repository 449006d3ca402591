"""Fixtures for the modules that train on pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import pages


@pytest.fixture(scope="module")
def phantom_pages() -> Iterator[None]:
    """Pages of small quick phantoms in place of simulated hearts, in one thread."""
    torch.set_num_threads(1)

    def phantom(preset: str, seed: int, view: str) -> tuple[str, Any]:
        return f"phantom {preset} {seed}", lambda: random_phantom(seed, frame_count=9, size=(40, 33)).clip.frames

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_simulated", phantom)
        yield
