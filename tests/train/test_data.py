"""Readers of training clips on small made-up folders: splits, names, what is missing, what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from echonet_tables import NAMES, write_tables

from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import data as data_module
from lrmcodec.train.data import (
    LUNG_TEST_PATIENTS,
    TEST_SEED,
    VideoFolder,
    held_out,
    lung_files,
    pick_frames,
    resize_area,
    simulated_clips,
    training_pool,
    video_clips,
)
from lrmcodec.train.recipe import Data


def write_video(path: Path, count: int = 20, seed: int = 0) -> None:
    frames = random_phantom(seed, frame_count=count, size=(48, 48)).clip.frames
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(Clip(frames, uniform_times(count, 25.0)), path, force=True)


@pytest.fixture(scope="module")
def echonet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("echonet")
    write_tables(root)
    for name in NAMES:
        write_video(root / "Videos" / f"{name}.avi")
    return root


def test_folders_of_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "b.avi")
    write_video(tmp_path / "sub" / "a.AVI")
    (tmp_path / "notes.txt").write_text("no video")
    assert [path.name for path in VideoFolder(tmp_path).paths] == ["b.avi", "a.AVI"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipError, match="no videos"):
        VideoFolder(tmp_path / "empty")


def test_lung_split_is_by_patient(tmp_path: Path) -> None:
    patients = [4.0, 1.0, 134.0, 116.0]
    lines = [f"clip{index}.mp4,{patient}" for index, patient in enumerate(patients)]
    (tmp_path / "ATTRIBUTION.csv").write_text("\n".join(["file,patient", *lines]) + "\n")
    training, test = (lung_files(tmp_path, test=side) for side in (False, True))
    assert [path.name for path in training] == ["clip1.mp4", "clip2.mp4"]
    assert [path.name for path in test] == ["clip0.mp4", "clip3.mp4"]
    assert {4, 116} <= LUNG_TEST_PATIENTS


def test_videos_are_cut_into_pieces_and_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "SPAN_FRAMES", 8)
    write_video(tmp_path / "a.avi", 20)
    pieces = video_clips([tmp_path / "a.avi"], (16, 16), 4, mirror=True)
    assert [piece.shape for piece in pieces] == [(4, 16, 16)] * 4
    np.testing.assert_array_equal(pieces[1], pieces[0][:, :, ::-1])
    assert len(video_clips([tmp_path / "a.avi"], (16, 16), 4)) == 2


def test_a_pool_mixes_its_sources(echonet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def simulated(preset: str, first: int, clips: int, frames: int, size: tuple[int, int], fps: float,
                  device: str = "cpu") -> list[np.ndarray]:
        seeds.append(first)
        return [random_phantom(first + i, frame_count=frames, size=size).clip.frames for i in range(clips)]

    monkeypatch.setattr(data_module, "simulated_clips", simulated)
    (tmp_path / "ATTRIBUTION.csv").write_text("file,patient\nl.avi,1\ntest.avi,4\n")
    for name in ("l.avi", "test.avi"):
        write_video(tmp_path / name)
    data = Data(simulated=3, size=32, frames=4, echonet=str(echonet), lung=str(tmp_path), videos=str(tmp_path))
    pool = training_pool(data, tmp_path / "cache")
    assert list(pool.names) == ["simulated", "echonet", "lung", "videos"]
    assert pool.groups.bincount().tolist() == [3, 1, 2, 2]
    assert pool.size == (32, 32)
    assert training_pool(data, tmp_path / "cache").digest() == pool.digest()
    assert seeds == [0]
    tests = held_out(data)
    assert {name: len(clips) for name, clips in tests.items()} == {"simulated": 2, "echonet": 1, "lung": 1}
    assert seeds[-1] == TEST_SEED


def test_a_pool_needs_clips() -> None:
    with pytest.raises(ClipError, match="no clips"):
        training_pool(Data())


def test_simulated_clips_are_those_of_the_simulator() -> None:
    clips = simulated_clips("echonet_like", 3, 2, 2, (32, 32), 18.0)
    assert [clip.shape for clip in clips] == [(2, 32, 32)] * 2
    np.testing.assert_array_equal(clips[1], simulated_clips("echonet_like", 4, 1, 2, (32, 32), 18.0)[0])
    assert (clips[0] != clips[1]).any()


def test_area_resize_keeps_the_mean() -> None:
    frames = random_phantom(0, frame_count=2, size=(64, 48)).clip.frames
    small = resize_area(frames, (16, 16))
    assert small.shape == (2, 16, 16)
    assert small.mean() == pytest.approx(frames.mean(), abs=0.5)


def test_pick_frames_repeats_in_short_clips() -> None:
    frames = np.arange(3, dtype=np.uint8)[:, None, None]
    assert pick_frames(frames, 5)[:, 0, 0].tolist() == [0, 0, 1, 2, 2]
