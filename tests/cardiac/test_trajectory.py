"""Views of the coefficients: the axis follows the heart, frames alike are close, what does not move is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.cardiac.readout import Phase, phase_of, read_phase
from lrmcodec.cardiac.trajectory import end_words, find_motion, one_beat, picked_frames
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import TargetError
from lrmcodec.simulate.heart.phantom import Phantom, phantom

pytestmark = pytest.mark.usefixtures("quick_pictures")
GOLDEN = Path(__file__).parents[1] / "codec" / "golden"


@pytest.fixture(scope="module")
def heart() -> Phantom:
    return phantom(110, (64, 64), 50, heart_rate_bpm=75, ejection_fraction=0.6, seed=3)


@pytest.fixture(scope="module")
def file(heart: Phantom) -> codec.LrmFile:
    return codec.open(codec.encode(heart.clip, rank=4, quality=30).data)


def test_the_axis_leads_from_systole_to_diastole(heart: Phantom, file: codec.LrmFile) -> None:
    motion = find_motion(file, read_phase(file))
    empty, full = motion.frames(motion.rows(np.array([0.0, 1.0]))).astype(float)
    ends = heart.clip.frames[[heart.es_frames[0], heart.ed_frames[0]]].astype(float)
    change, true = full - empty, ends[1] - ends[0]
    assert np.corrcoef(change.ravel(), true.ravel())[0, 1] > 0.5


def test_the_first_coordinate_of_the_plane_follows_the_volume(heart: Phantom, file: codec.LrmFile) -> None:
    motion = find_motion(file, read_phase(file))
    points = motion.plane()
    assert points.shape == (110, 2)
    assert np.corrcoef(points[:, 0], heart.cavity_volume)[0, 1] > 0.8
    # The coordinates are those of the modulations: what is far apart in the plane is at least as far in full.
    gram = motion.basis.T.astype(float) @ motion.basis
    full = motion.coeffs - motion.coeffs.mean(0)
    assert ((points ** 2).sum(1) <= np.einsum("ti,ij,tj->t", full, gram, full) * (1 + 1e-6)).all()


def test_likeness_is_that_of_the_frames(file: codec.LrmFile) -> None:
    motion = find_motion(file, read_phase(file))
    likeness = motion.similarity()
    np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-9)
    np.testing.assert_allclose(likeness, likeness.T, atol=1e-9)
    modulations = motion.coeffs @ motion.basis.T.astype(float)
    expected = np.corrcoef(modulations - modulations.mean(0))
    picked = np.ix_([0, 20, 70], [10, 40, 109])
    centered = modulations - modulations.mean(0)
    norms = np.linalg.norm(centered, axis=1)
    np.testing.assert_allclose(likeness[picked], (centered @ centered.T / np.outer(norms, norms))[picked], atol=1e-5)
    assert expected.shape == likeness.shape


@pytest.mark.parametrize(("count", "rank"), [(1, None), (3, 1), (40, 0)])
def test_what_does_not_move_is_refused(heart: Phantom, count: int, rank: int | None) -> None:
    clip = Clip(heart.clip.frames[:count], heart.clip.times_s[:count])
    still = codec.open(codec.encode(clip, rank=rank, quality=20).data)
    with pytest.raises(TargetError, match="nothing moves"):
        find_motion(still, read_phase(still))


def test_the_segment_with_most_events_is_shown(heart: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "SEGMENT_FRAMES", 60)
    parts = codec.open(codec.encode(heart.clip, rank=3, quality=60).data)
    phase = read_phase(parts)
    motion = find_motion(parts, phase)
    assert (motion.start, motion.stop) in parts.coded.segment_bounds
    assert all(motion.start <= frame < motion.stop for frame in picked_frames(phase, motion))
    assert len(motion.plane()) == motion.stop - motion.start == 55


def test_a_basis_that_the_pack_holds_is_used() -> None:
    shared = codec.open(GOLDEN / "v1_framewise.lrm")
    motion = find_motion(shared, read_phase(shared))
    basis = shared.pack.tensors()["basis"][:, :shared.rank]
    np.testing.assert_array_equal(motion.basis, basis)
    assert motion.frames(motion.rows(np.array([0.5]))).shape == (1, *shared.size)


def sine_phase(times_s: np.ndarray) -> Phase:
    return phase_of(np.cos(2 * np.pi * times_s / 0.8), times_s, 50, confidence=1.0)


def test_one_beat_is_a_whole_one() -> None:
    times_s = np.arange(200) / 50
    phase = sine_phase(times_s)
    start, middle, stop = one_beat(phase, times_s)
    assert start < middle < stop
    assert stop - start == pytest.approx(0.8, abs=0.05)
    assert middle - start == pytest.approx(0.4, abs=0.05)
    assert end_words(phase) == ("ED", "ES")


def test_without_a_beat_the_whole_clip_is_shown() -> None:
    times_s = np.arange(60) / 50
    phase = phase_of(times_s, times_s, 50, confidence=None)
    assert one_beat(phase, times_s) == (0, pytest.approx(0.59), pytest.approx(1.18))
    assert end_words(phase) == ("One end", "Other end")
