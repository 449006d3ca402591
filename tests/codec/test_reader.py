"""An opened file: frames at any times and sizes, its segments, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec import codec, levels, reader
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.cardiac.trajectory import find_motion
from lrmcodec.codec import Encoded, LrmFile, decode, encode
from lrmcodec.decoders import registry
from lrmcodec.formats import container
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError, TargetError
from lrmcodec.simulate.heart.phantom import beating_heart

CLIP = beating_heart(40, (64, 64), seed=1)

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture(scope="module")
def encoded() -> Encoded:
    return encode(CLIP, rank=4, quality=60)


@pytest.fixture(scope="module")
def parts() -> LrmFile:
    """A file of three segments whose pictures differ greatly."""
    frames = CLIP.frames.copy()
    frames[14:27] = 255 - frames[14:27]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "SEGMENT_FRAMES", 14)
        return codec.open(encode(Clip(frames, CLIP.times_s), rank=3, quality=70).data)


def levels_apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("fps", [50, 30, 30000 / 1001, 1000 / 7])
@pytest.mark.parametrize("segment_frames", [1024, 7])
def test_twice_the_rate_gives_twice_the_frames_and_keeps_every_other(monkeypatch: pytest.MonkeyPatch, fps: float,
                                                                    segment_frames: int) -> None:
    monkeypatch.setattr(codec, "SEGMENT_FRAMES", segment_frames)
    data = encode(Clip.from_fps(CLIP.frames, fps), rank=3, quality=50).data
    own, doubled = decode(data), decode(data, fps=2 * fps)
    assert len(doubled.frames) == 2 * len(own.frames)
    np.testing.assert_array_equal(doubled.frames[::2], own.frames)


def test_frames_between_resemble_their_neighbors(encoded: Encoded) -> None:
    doubled = decode(encoded.data, fps=100).frames[:79].astype(int)
    middle = (doubled[:-1:2] + doubled[2::2]) / 2
    assert np.abs(doubled[1::2] - middle).mean() < 3


def test_frames_at_given_times_equal_the_frames_there(encoded: Encoded) -> None:
    every, picked = decode(encoded.data), decode(encoded.data, times_s=[0.1, 0.2, 0.78])
    np.testing.assert_array_equal(picked.frames, every.frames[[5, 10, 39]])
    np.testing.assert_allclose(picked.times_s, [0, 0.1, 0.68])


@pytest.mark.parametrize("block", [1, 64 * 64 * 3, 1 << 24])
def test_blocks_do_not_change_a_frame(monkeypatch: pytest.MonkeyPatch, encoded: Encoded, block: int) -> None:
    whole = codec.open(encoded.data).frames()
    monkeypatch.setattr(levels, "BLOCK_VALUES", block)
    blocks = list(codec.open(encoded.data).blocks())
    assert len(blocks) == -(-40 // max(1, block // 64**2))
    assert levels_apart(np.concatenate(blocks), whole) <= 1


def test_a_span_is_cut_and_begins_at_0(encoded: Encoded) -> None:
    every, span = decode(encoded.data), decode(encoded.data, start_s=0.1, duration_s=0.2)
    np.testing.assert_array_equal(span.frames, every.frames[5:15])
    assert span.times_s[0] == 0


@pytest.mark.parametrize("size", [(32, 32), (128, 128), (65, 80)])
def test_another_size_is_rendered(encoded: Encoded, size: tuple[int, int]) -> None:
    frames = decode(encoded.data, size=size, duration_s=0.1).frames
    assert frames.shape == (5, *size)
    assert abs(frames.mean() - decode(encoded.data, duration_s=0.1).frames.mean()) < 3


@pytest.mark.parametrize("size", [(15, 64), (64, 2049), (0, 0)])
def test_sizes_out_of_the_limits_are_refused(encoded: Encoded, size: tuple[int, int]) -> None:
    with pytest.raises(LrmError, match="16 to 2048"):
        decode(encoded.data, size=size)


@pytest.mark.parametrize("request_", [
    {"times_s": [-0.1]}, {"times_s": [0.81]}, {"times_s": []}, {"times_s": [np.nan]}, {"times_s": [0.2, 0.1]},
    {"times_s": [0.1, 0.1]}, {"start_s": 5}, {"start_s": 0.1, "duration_s": 0}, {"start_s": 0.105, "duration_s": 0.001},
    {"fps": 0}, {"fps": -5}, {"fps": np.nan}, {"fps": 1e9},
])
def test_times_outside_the_clip_are_refused(encoded: Encoded, request_: dict[str, Any]) -> None:
    with pytest.raises(TargetError) as caught:
        decode(encoded.data, **request_)
    assert caught.value.hint


# Times in any order, over several segments


@pytest.mark.parametrize("order", [[39, 0], [39, 13, 14, 26, 27, 0, 5], [14, 13, 14, 13], [30, 2, 30, 2, 20]])
def test_frames_come_in_the_order_asked(parts: LrmFile, order: list[int]) -> None:
    every = parts.frames()
    assert len(parts.coded.segments) == 3
    times_s = parts.times_s[order]
    assert levels_apart(parts.frames(times_s), every[order]) <= 1
    assert levels_apart(np.concatenate(list(parts.blocks(times_s))), every[order]) <= 1
    assert levels_apart(parts.frames([float(time) for time in times_s]), every[order]) <= 1


def test_times_between_frames_and_segments_come_in_the_order_asked(parts: LrmFile) -> None:
    times_s = np.sort(np.random.default_rng(0).uniform(0, parts.duration_s, 50))
    inner = parts.frames(times_s)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(50)
        assert levels_apart(parts.frames(times_s[order]), inner[order]) <= 1


@pytest.mark.parametrize("times_s", [[0.1, -0.01], [0.81], [np.nan, 0.1], [np.inf], [[0.1, 0.2]], ["soon"], [None],
                                     0.1])
def test_times_that_the_clip_has_not_are_refused(parts: LrmFile, times_s: Any) -> None:
    for read in (parts.frames, parts.blocks):
        with pytest.raises(TargetError, match=r"times must") as caught:
            read(times_s)
        assert caught.value.hint


def test_no_times_give_no_frames(parts: LrmFile) -> None:
    assert parts.frames([]).shape == parts.frames(np.empty(0)).shape == (0, 64, 64)
    assert parts.frames([], size=(32, 40)).shape == (0, 32, 40)
    assert list(parts.blocks([])) == []


def test_too_many_frames_for_one_array_are_refused(parts: LrmFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_FRAMES_BYTES", 64 * 64 * 39)
    with pytest.raises(TargetError, match="more than 8 GiB"):
        parts.frames()
    assert sum(len(block) for block in parts.blocks()) == 40


# One door


def test_a_file_is_parsed_once_and_its_pack_and_decoder_are_made_once(encoded: Encoded,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **named: (calls.append(name), real(*given, **named))[1])

    counted(container, "_read_layout")
    counted(reader, "make_decoder")
    counted(registry, "load_pack")
    file = codec.open(encoded.data)
    motion = find_motion(file, read_phase(file))
    motion.frames(motion.rows(np.array([0.0, 1.0])))
    file.frames([0.1])
    assert file.pack is file.pack
    assert sorted(calls) == ["_read_layout", "load_pack", "make_decoder"]


def test_any_coefficients_of_a_segment_are_rendered(parts: LrmFile) -> None:
    rows = parts.segment(1).coeffs
    first, stop = parts.coded.segment_bounds[1]
    assert levels_apart(parts.render(1, rows), parts.frames()[first:stop]) <= 1
    assert parts.render(1, rows[:0]).shape == (0, 64, 64)
    assert parts.segment(1) is parts.segment(1)
