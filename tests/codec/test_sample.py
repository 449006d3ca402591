"""A sample of large pictures: what is kept, and that it stands for the whole."""

from __future__ import annotations

import numpy as np
import pytest

from lrmcodec.decoders.base import FittedSegment
from lrmcodec.sample import BLOCK, sampled


def fitted(height: int, width: int) -> FittedSegment:
    """Pictures that hold the place of every pixel."""
    places = np.arange(height * width, dtype=np.float32).reshape(height, width)
    frames = np.broadcast_to((places % 251).astype(np.uint8), (3, height, width))
    return FittedSegment(places, places[None] + 1, np.ones((3, 1)), frames, {"useful_rank": 1})


@pytest.mark.parametrize(("size", "share"), [((520, 512), 1 / 4), ((600, 700), 1 / 4), ((1080, 1920), 1 / 16)])
def test_blocks_of_all_pictures_are_kept_alike(size: tuple[int, int], share: float) -> None:
    whole = fitted(*size)
    found = sampled(whole)
    assert found is not None
    part, kept = found
    assert part.basis is not None
    assert kept == part.latent.size / whole.latent.size
    assert share * 0.7 < kept < share * 1.4
    np.testing.assert_array_equal(part.basis[0], part.latent + 1)
    np.testing.assert_array_equal(part.frames[2], (part.latent % 251).astype(np.uint8))
    assert len(np.unique(part.latent)) == part.latent.size
    block = part.latent[BLOCK:2 * BLOCK, :BLOCK]
    np.testing.assert_array_equal(np.diff(block, axis=1), 1)
    np.testing.assert_array_equal(np.diff(block, axis=0), size[1])


@pytest.mark.parametrize("size", [(112, 112), (450, 450), (64, 8192)])
def test_small_and_narrow_pictures_are_taken_whole(size: tuple[int, int]) -> None:
    assert sampled(fitted(*size)) is None
