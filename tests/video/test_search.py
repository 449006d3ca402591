"""Search of video settings: sizes are met from below, and a size with room for it holds the exact frames."""

from __future__ import annotations

import numpy as np
import pytest

from lrmcodec.rate import Target
from lrmcodec.simulate.heart.phantom import beating_heart
from lrmcodec.video.payload import open_segment
from lrmcodec.video.search import CLOSE, VideoSearch

FRAMES = beating_heart(12, (48, 64), seed=3).frames


@pytest.mark.parametrize("ratio", [8, 40])
def test_a_size_is_met_from_below(ratio: int) -> None:
    size = FRAMES.size // ratio
    found = VideoSearch(FRAMES, Target(size_bytes=size)).finish()
    assert found is not None
    assert CLOSE * size <= len(found.payload) <= size


def test_where_the_exact_frames_fit_nothing_is_lost() -> None:
    found = VideoSearch(FRAMES, Target(size_bytes=FRAMES.size)).finish()
    assert found is not None
    assert np.array_equal(open_segment(found.payload, len(FRAMES), (48, 64)).frames(0, len(FRAMES)), FRAMES)
    assert found.psnr_db == 120
    assert len(found.payload) < 0.9 * FRAMES.size


def test_a_search_that_a_rival_has_won_ends_early() -> None:
    size = FRAMES.size // 40
    tries: list[int] = []
    search = VideoSearch(FRAMES, Target(size_bytes=size), tried=lambda: tries.append(1))
    assert search.quick is not None
    before = len(tries)
    found = search.finish(lambda: 60.0)
    assert len(tries) == before + 1
    assert found is None or found.psnr_db < 60
    other = VideoSearch(FRAMES, Target(size_bytes=size)).finish(lambda: 10.0)
    alone = VideoSearch(FRAMES, Target(size_bytes=size)).finish()
    assert other is not None
    assert alone is not None
    assert other.payload == alone.payload
