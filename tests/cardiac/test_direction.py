"""Phase at encode time: polarity from the pixels, nothing stored where nothing beats, and every byte counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lrmcodec import codec, segment
from lrmcodec.cardiac.cavity import find_cavity
from lrmcodec.cardiac.direction import LARGEST, MAX_WEIGHTS, Direction, find_direction, payload_bytes, read_direction
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.cardiac.signal import standardize
from lrmcodec.codec import LrmFile
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import Component, byte_counts
from lrmcodec.simulate.heart.phantom import Phantom, phantom, random_phantom

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture(scope="module")
def hearts() -> list[Phantom]:
    return [random_phantom(seed, 110) for seed in (1, 2, 5)]


@pytest.fixture(scope="module")
def coded(hearts: list[Phantom]) -> Callable[[int], list[LrmFile]]:
    """Files of all hearts at a rank, coded once."""
    return functools.cache(lambda rank: [codec.open(codec.encode(heart.clip, rank=rank, quality=35).data)
                                         for heart in hearts])


@pytest.fixture(scope="module")
def heart() -> Phantom:
    return phantom(100, (64, 64), 50, heart_rate_bpm=80, seed=4)


def lung_like(count: int = 120) -> Clip:
    """Texture that slides to and fro slowly and irregularly, with flicker."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:64, :64]
    texture = rng.normal(90, 25, (64, 128))
    path = np.cumsum(rng.standard_normal(count)) * 0.6
    place = np.clip(np.rint(path - path.min()), 0, 60).astype(int)
    frames = np.stack([texture[y, x + at] + rng.normal(0, 8, x.shape) for at in place])
    return Clip.from_fps(np.clip(frames, 0, 255).astype(np.uint8), 25)


def test_the_cavity_follows_the_volume(hearts: list[Phantom]) -> None:
    for heart in hearts:
        cavity = segment.find_cavity(heart.clip.frames, heart.clip.times_s)  # found once for all tests
        assert cavity is not None
        assert 0 < cavity.confidence <= 1
        assert np.corrcoef(cavity.signal, heart.cavity_volume)[0, 1] > 0.7


@pytest.mark.parametrize("rank", [2, 4, 8])
def test_polarity_is_right_at_every_rank(hearts: list[Phantom], coded: Callable[[int], list[LrmFile]],
                                         rank: int) -> None:
    for heart, file in zip(hearts, coded(rank), strict=True):
        found = read_phase(file)
        assert found.polarity_confidence > 0.5
        assert np.corrcoef(found.signal, heart.cavity_volume)[0, 1] > 0.5
        assert file.byte_counts["heart"] == payload_bytes(rank) <= 9


def test_events_are_near_the_truth(hearts: list[Phantom], coded: Callable[[int], list[LrmFile]]) -> None:
    for heart, file in zip(hearts, coded(8), strict=True):
        found = read_phase(file)
        for frames, true in ((found.ed_frames, heart.ed_frames), (found.es_frames, heart.es_frames)):
            assert abs(len(frames) - len(true)) <= 1
            assert np.median([np.abs(true - frame).min() for frame in frames]) <= 2


@pytest.mark.parametrize("clip", [
    lung_like(), Clip.from_fps(np.zeros((40, 32, 32), np.uint8), 25),
    Clip.from_fps(np.random.default_rng(0).integers(0, 255, (60, 32, 32), np.uint8), 25),
    Clip.from_fps(np.zeros((1, 32, 32), np.uint8), 25)], ids=["lung", "black", "noise", "one frame"])
def test_where_nothing_beats_nothing_is_stored(clip: Clip) -> None:
    rank = min(4, len(clip.frames) - 1)
    data = codec.encode(clip, quality=20, rank=rank).data
    assert not {"phase", "ventricle", "heart"} & set(byte_counts(data))
    assert data == codec.encode(clip, quality=20, rank=rank, phase=False).data
    assert read_phase(codec.open(data)).quality_word == "not cardiac"


def test_without_the_component_the_picture_is_the_same(heart: Phantom) -> None:
    settings: dict[str, Any] = {"rank": 4, "quality": 30}
    plain, phased = (codec.encode(heart.clip, phase=phase, **settings).data for phase in (False, True))
    assert "heart" not in byte_counts(plain)
    assert len(phased) - len(plain) == byte_counts(phased)["heart"]
    np.testing.assert_array_equal(codec.decode(plain).frames, codec.decode(phased).frames)
    sure, guessed = (read_phase(codec.open(data)).polarity_confidence for data in (phased, plain))
    assert guessed <= sure


@pytest.mark.parametrize("size_bytes", [400, 700, 2500])
def test_a_size_is_met_with_the_component(heart: Phantom, size_bytes: int) -> None:
    data = codec.encode(heart.clip, size_bytes=size_bytes).data
    assert 0.97 * size_bytes <= len(data) <= size_bytes
    assert "heart" in byte_counts(data)


def test_segments_each_have_their_own(heart: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "SEGMENT_FRAMES", 50)
    file = codec.open(codec.encode(heart.clip, rank=4, ratio=200).data)
    assert len(file.coded.segments) == 2
    assert file.ratio >= 200
    assert len(read_phase(file).signal) == 100


def test_the_direction_is_found_again() -> None:
    heart = random_phantom(2, 100)
    cavity = find_cavity(heart.clip.frames, heart.clip.times_s)
    assert cavity is not None
    rng = np.random.default_rng(0)
    coeffs = np.stack([rng.standard_normal(100), -3 * cavity.signal, rng.standard_normal(100)], 1)
    direction = find_direction(cavity, coeffs, heart.clip.times_s)
    assert direction is not None
    assert np.argmin(direction.weights) == 1
    assert direction.weights[1] == -LARGEST
    assert np.corrcoef(direction.project(coeffs), cavity.signal)[0, 1] > 0.9
    assert direction.ejected is not None
    assert 0.1 < direction.ejected < 0.9
    assert find_direction(cavity, np.zeros((100, 2)), heart.clip.times_s) is None


def test_components_take_at_most_11_bytes() -> None:
    assert [payload_bytes(rank) for rank in (0, 1, 2, 3, 4, 8, 32)] == [0, 4, 5, 6, 6, 9, 9]
    assert MAX_WEIGHTS == 8
    assert (Component.PHASE, Component.VENTRICLE, Component.HEART) == (32, 36, 37)


def test_components_that_do_not_change_count_nothing() -> None:
    np.testing.assert_array_equal(standardize(np.full((5, 2), 3.0)), np.zeros((5, 2)))


@pytest.mark.parametrize(("rank", "ejected", "shift_s"), [
    (1, None, 0.0), (3, 0.0, -0.127), (8, 1.0, 0.127), (20, 0.623, -0.001)])
def test_directions_come_back(rank: int, ejected: float | None, shift_s: float) -> None:
    weights = np.random.default_rng(rank).integers(-LARGEST, LARGEST + 1, min(rank, MAX_WEIGHTS)).astype(np.int8)
    weights[0] = -LARGEST
    direction = Direction(200, weights, ejected, shift_s)
    payload = direction.pack()
    assert len(payload) == payload_bytes(rank)
    again = Direction.unpack(payload, rank)
    assert (again.confidence, again.es_shift_s) == (200, shift_s)
    assert again.ejected == (None if ejected is None else pytest.approx(ejected, abs=0.002))
    np.testing.assert_array_equal(again.weights, weights)


def test_old_files_have_weights_of_a_byte() -> None:
    found = read_direction({Component.PHASE: bytes([200, 129, 0, 3])}, 3)
    assert found is not None
    assert found.weights.tolist() == [-127, 0, 3]
    assert (found.confidence, found.ejected, found.es_shift_s) == (200, None, 0.0)
    assert read_direction({}, 3) is None


@pytest.mark.parametrize(("areas", "ejected"), [((200, 100), 0.875), ((200, 200), 0.0), ((100, 200), None),
                                                ((0, 0), None)])
def test_ventricle_components_hold_areas(areas: tuple[int, int], ejected: float | None) -> None:
    payload = bytes([7, *areas]) + Direction(0, np.ones(1, np.int8)).pack()[3:]
    found = read_direction({Component.VENTRICLE: payload}, 1)
    assert found is not None
    assert (found.confidence, found.weights.tolist(), found.es_shift_s) == (7, [1], 0.0)
    assert found.ejected == (None if ejected is None else pytest.approx(ejected))
