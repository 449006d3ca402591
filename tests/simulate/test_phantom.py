"""The simulated heart: seeded, with a truth that its pixels show."""

from __future__ import annotations

import numpy as np
import pytest

from lrmcodec.simulate.heart.phantom import beating_heart, phantom, random_phantom, volume_curve


def test_same_seed_gives_the_same_clip_and_another_seed_does_not() -> None:
    first, again, other = (beating_heart(frame_count=5, seed=seed).frames for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.1


@pytest.mark.parametrize("size", [(112, 112), (16, 40), (96, 64), (17, 17)])
def test_size_frame_count_and_rate_are_as_asked(size: tuple[int, int]) -> None:
    clip = beating_heart(frame_count=3, size=size, fps=30.0)
    assert clip.frames.shape == (3, *size)
    assert clip.frames.dtype == np.uint8
    assert clip.fps == pytest.approx(30.0)


def test_one_frame() -> None:
    assert beating_heart(frame_count=1).frames.shape == (1, 112, 112)


def test_truth_frames_are_the_extremes_of_the_volume() -> None:
    heart = phantom(frame_count=200, fps=50.0, heart_rate_bpm=75.0, ejection_fraction=0.55, seed=2)
    volume = heart.cavity_volume
    assert len(heart.ed_frames) >= 4
    np.testing.assert_allclose(volume[heart.ed_frames], 1.0, atol=0.01)
    np.testing.assert_allclose(volume[heart.es_frames], 0.45, atol=0.01)
    beats = np.diff(heart.ed_frames)
    np.testing.assert_allclose(beats, 50.0 * 60 / 75, atol=5)


def test_cavity_darkens_the_picture_at_end_diastole() -> None:
    """A larger dark cavity means a darker middle of the picture."""
    heart = phantom(frame_count=100, ejection_fraction=0.7, seed=0)
    middle = heart.clip.frames[:, 20:70, 40:90].astype(float).mean(axis=(1, 2))
    assert np.corrcoef(middle, heart.cavity_volume)[0, 1] < -0.8


def test_speckle_moves_with_tissue_rather_than_flickering() -> None:
    """Neighboring frames at rest are nearly equal, and systole is not."""
    heart = phantom(frame_count=60, ejection_fraction=0.6, seed=1)
    frames = heart.clip.frames.astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    speed = np.abs(np.diff(heart.cavity_volume))
    assert change[speed > 0.03].mean() > 1.5 * change[speed < 0.002].mean()


def test_volume_curve_ends_where_it_began() -> None:
    volume = volume_curve(np.array([0.0, 0.35, 1.0]), 0.6, 0.35)
    np.testing.assert_allclose(volume, [1.0, 0.4, 1.0])


def test_random_phantoms_differ_in_rate() -> None:
    rates = {random_phantom(seed, frame_count=2).clip.fps for seed in range(3)}
    assert len(rates) == 3
