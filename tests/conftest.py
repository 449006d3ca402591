"""Fixtures for several test modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lrmcodec.decoders import spatial

QUICK_PRESET = 9


@pytest.fixture(scope="module")
def quick_pictures() -> Iterator[None]:
    """Code pictures with a fast preset in this module: a tenth larger, and much quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spatial, "FINAL_PRESETS", ())
        patch.setattr(spatial, "LARGE_PRESET", QUICK_PRESET)
        patch.setattr(spatial, "FAST_PRESET", QUICK_PRESET)
        yield
