"""Which clips are measured: names, folders, the bundled and simulated ones, EchoNet-Dynamic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrmcodec.benchmarks.measure import sets
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.measure.worker import Work, load
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import demonstration_heart


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clip = Clip.from_fps(np.zeros((3, 32, 32), np.uint8), 25.0)
    write_clip(clip, tmp_path / "b.npz")
    write_clip(clip, tmp_path / "a.npy")
    (tmp_path / "notes.txt").write_text("no clip")
    return tmp_path


def test_a_folder_gives_its_clips_in_order(folder: Path) -> None:
    assert [source.name for source in sets.files([str(folder)])] == ["a", "b"]


def test_names_can_be_given_and_are_told_apart(folder: Path) -> None:
    sources = sets.files([f"x  y={folder / 'a.npy'}", str(folder / "b.npz"), f"x y={folder / 'b.npz'}"])
    assert [source.name for source in sources] == ["x y", "b", "x y-2"]
    assert sources[0].path == str(folder / "a.npy")


def test_an_equals_sign_may_be_part_of_a_path(folder: Path) -> None:
    odd = folder / "a=b.npy"
    (folder / "a.npy").rename(odd)
    assert sets.files([str(odd)])[0].path == str(odd)


def test_a_folder_of_pictures_is_one_clip(tmp_path: Path) -> None:
    write_clip(Clip.from_fps(np.zeros((3, 32, 32), np.uint8), 25.0), tmp_path / "heart")
    sources = sets.files([str(tmp_path / "heart")])
    assert [source.name for source in sources] == ["heart"]
    assert sources[0].source_bytes is None
    assert sources[0].load()[0].frames.shape == (3, 32, 32)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no clip in the folder"):
        sets.files([str(tmp_path)])


def test_files_are_resized_and_their_bytes_known(folder: Path) -> None:
    source = Source("b", str(folder / "b.npz"), size=(16, 24))
    assert source.load()[0].frames.shape == (3, 16, 24)
    assert source.source_bytes == (folder / "b.npz").stat().st_size


def test_simulated_clips_bring_their_truth() -> None:
    source = sets.simulated(2, 7)[1]
    assert source.name == "echonet_like_8"
    chosen = Source("x", preset="echonet_like", seed=8, size=(32, 32), frame_limit=24)
    subject = load(Work(chosen, [], [], [], "cpu", "files", []))  # simulated in a process of its own
    clip, labels = subject.clip, subject.labels
    assert clip.frames.shape == (24, 32, 32)
    assert labels is not None
    assert all(0 <= frame < len(clip.frames) for frame in labels.ed_frames + labels.es_frames)


def test_an_unknown_preset_is_a_clip_error() -> None:
    with pytest.raises(ClipError, match="cannot be simulated"):
        Source("x", preset="nothing_like").load()


def test_the_demonstration_is_a_lung_and_a_heart() -> None:
    lung, heart = sets.demo()
    assert lung.source_bytes == 169_133
    assert not heart.needs_torch
    clip, labels = heart.load()
    assert np.array_equal(clip.frames, demonstration_heart().clip.frames)
    assert labels is not None
    assert len(labels.area) == len(clip.frames)


def test_sources_survive_the_way_to_another_process() -> None:
    work = Work(Source("a", "x.avi", size=(16, 16), labels=Labels((1, 2), (3,), 60.0, False)), ["spatial"], ["av1"],
                [Setting("quality", 80.0, 2)], "cpu", "files", [("id", "av1", Setting("crf", 20.0, every=1))])
    assert Work.from_json(work.to_json()) == work


@pytest.fixture
def echonet(tmp_path: Path) -> Path:
    """A folder laid out as EchoNet-Dynamic is; tracings name files with .avi, the list without."""
    (tmp_path / "FileList.csv").write_text("FileName,EF,Split\nAAA,60,TRAIN\nBBB,55,TEST\nCCC,50,TEST\n")
    lines = ["FileName,X1,Y1,X2,Y2,Frame"]
    lines += [f"{name}.avi,1,2,3,4,{frame}" for name, frames in (("BBB", (61, 61, 40, 40)), ("AAA", (3, 9)))
              for frame in frames]
    (tmp_path / "VolumeTracings.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_echonet_uses_the_test_split_and_the_order_of_its_file(echonet: Path) -> None:
    first, second = sets.echonet(echonet)
    assert (first.name, first.path) == ("BBB", str(echonet / "Videos" / "BBB.avi"))
    assert first.labels == Labels(ed_frames=(40,), es_frames=(61,), every_beat=False)
    assert second.labels is None
    assert [source.name for source in sets.echonet(echonet, 1)] == ["BBB"]


def test_other_tables_are_no_echonet(echonet: Path) -> None:
    (echonet / "FileList.csv").write_text("name,set\na,test\n")
    with pytest.raises(ClipError, match="no column 'FileName'"):
        sets.echonet(echonet)


def test_another_folder_is_no_echonet(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="VolumeTracings"):
        sets.echonet(tmp_path)
