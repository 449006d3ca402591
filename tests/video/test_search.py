"""Search of video settings: sizes are met from below, and a size with room for it holds the exact frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.formats.av1_video import Quality
from lrmcodec.rate import Target
from lrmcodec.simulate.heart.phantom import beating_heart
from lrmcodec.video import search
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
    ours = VideoSearch(FRAMES, Target(size_bytes=size), tried=lambda: tries.append(1))
    assert ours.quick is not None
    before = len(tries)
    found = ours.finish(lambda: 60.0)
    assert len(tries) == before + 1
    assert found is None or found.psnr_db < 60
    other = VideoSearch(FRAMES, Target(size_bytes=size)).finish(lambda: 10.0)
    alone = VideoSearch(FRAMES, Target(size_bytes=size)).finish()
    assert other is not None
    assert alone is not None
    assert other.payload == alone.payload


def test_the_first_frames_of_a_longer_clip_tell_where_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    code = search.code_lossy

    def counted(frames: NDArray[np.uint8], *given: Quality, **named: Any) -> bytes:
        lengths.append(len(frames))
        return code(frames, *given, **named)

    monkeypatch.setattr(search, "code_lossy", counted)
    frames = beating_heart(52, (48, 64), seed=3).frames
    size = frames.size // 30
    found = VideoSearch(frames, Target(size_bytes=size)).finish()
    assert found is not None
    assert CLOSE * size <= len(found.payload) <= size
    assert search.PROBE_FRAMES in lengths
    lengths.clear()
    VideoSearch(frames, Target(size_bytes=size)).finish(lambda: 0.0)  # beside a rival a trial may be the only one
    assert search.PROBE_FRAMES not in lengths
