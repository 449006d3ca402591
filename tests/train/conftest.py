"""Fixtures for the modules that train on pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of pages for all runs of a module."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def interrupt_first_step() -> Callable[[float, str], None]:
    """A progress that ends the run, as Ctrl-C would, when its first steps are reported."""
    calls = 0

    def interrupt(done: float, label: str) -> None:
        nonlocal calls
        calls += label.startswith("step")
        if calls == 1:
            raise KeyboardInterrupt

    return interrupt
