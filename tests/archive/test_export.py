"""Clips for training: EchoNet's layout read back by our own reader of it, a lazy data set, and MONAI's `LoadImage`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.archive.entry import CLIP
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.export import SOURCES, Item, export_echonet, items_of_archive, items_of_files, square
from lrmcodec.archive.find import Query
from lrmcodec.archive.home import Archive, open_archive
from lrmcodec.archive.manifest import listed
from lrmcodec.archive.restore import choose, restore
from lrmcodec.archive.workers import Workers
from lrmcodec.formats.echonet import EchoNetDynamic
from lrmcodec.formats.video import read_clip


def test_echonet(archive: Archive, place: Path, tmp_path: Path) -> None:
    items = list(items_of_archive(archive))
    done = export_echonet(str(place), items, tmp_path / "out", Workers())
    clips = [entry for entry in listed(archive.store) if entry.kind == CLIP]
    assert done.failures == []
    assert len(done.rows) == len(clips)
    read = EchoNetDynamic(tmp_path / "out")
    assert (len(read.clips), read.missing) == (len(clips), [])
    assert {clip.split for clip in read.clips} <= {"TRAIN", "VAL", "TEST"}
    for clip in read.clips:
        assert clip.ejection_fraction is None
        assert read_clip(clip.path).frames.shape == (8, 112, 112)
    sources = (tmp_path / "out" / SOURCES).read_text()
    assert all(f"{entry.id} {entry.path}" in sources for entry in clips)
    head, first = (tmp_path / "out" / "FileList.csv").read_text().splitlines()[:2]
    assert head == "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
    assert first.split(",")[1:8] == ["", "", "", "32", "32", "25", "8"]


def test_export_goes_on(archive: Archive, place: Path, tmp_path: Path) -> None:
    items = list(items_of_archive(archive))
    export_echonet(str(place), items, tmp_path, Workers())
    videos = sorted((tmp_path / "Videos").iterdir())
    before = videos[1].stat().st_mtime_ns
    videos[0].unlink()
    again = export_echonet(str(place), items, tmp_path, Workers())
    assert len(again.rows) == len(items)
    assert videos[0].exists()
    assert videos[1].stat().st_mtime_ns == before


def test_export_of_a_damaged_archive_says_what_is_missing(archive: Archive, place: Path, tmp_path: Path) -> None:
    entry = next(entry for entry in listed(archive.store) if entry.coded is not None)
    assert entry.coded is not None
    (place / entry.coded.key).unlink()
    done = export_echonet(str(place), items_of_archive(archive), tmp_path, Workers())
    assert f"0X{entry.id.upper()}" in dict(done.failures)


def test_one_group_is_in_one_split() -> None:
    names = {Item(str(index), f"patient {index}").split for index in range(200)}
    assert names == {"TRAIN", "VAL", "TEST"}
    assert Item("a", "same").split == Item("b", "same").split
    train = sum(Item("x", f"patient {index}").split == "TRAIN" for index in range(1000))
    assert 700 < train < 800


def test_square_keeps_shapes() -> None:
    y, x = np.mgrid[:60, :100]
    disc = np.where((y - 30) ** 2 + (x - 70) ** 2 < 20**2, 200, 0).astype(np.uint8)
    out = square(disc[None], 112)
    assert out.shape == (1, 112, 112)
    rows, columns = (np.flatnonzero((out[0] > 100).any(axis)) for axis in (1, 0))
    assert abs(len(rows) - len(columns)) <= 2
    assert len(rows) > 105
    assert square(np.zeros((1, 20, 40), np.uint8), 112).shape == (1, 112, 112)


@pytest.fixture
def files(archive: Archive, tmp_path: Path) -> list[Path]:
    entries = [entry for entry in listed(archive.store) if entry.kind == CLIP][:2]
    restore(archive, choose(archive, [entry.id for entry in entries]), str(tmp_path), "lrm", Workers())
    return sorted(tmp_path.rglob("*.lrm"))[:2]


def test_lrm_files(files: list[Path], tmp_path: Path) -> None:
    done = export_echonet("", items_of_files(files), tmp_path / "out", Workers())
    assert len(done.rows) == 2


def test_dataset_of_frames(archive: Archive, place: Path) -> None:
    from torch.utils.data import DataLoader

    from lrmcodec.archive.dataset import ClipDataset

    data = ClipDataset(place, frames=5, size=(24, 24))
    assert len(data) == sum(entry.kind == CLIP for entry in listed(archive.store))
    batch = next(iter(DataLoader(data, batch_size=3)))
    assert tuple(batch["frames"].shape) == (3, 1, 5, 24, 24)
    assert 0 <= batch["frames"].min() < batch["frames"].max() <= 1
    whole = ClipDataset(place)[0]
    assert tuple(whole["frames"].shape) == (1, 8, 32, 32)
    entry = next(entry for entry in listed(archive.store) if entry.id == whole["id"])
    from lrmcodec.archive.home import Packs
    from lrmcodec.archive.restore import open_clip

    expected = open_clip(archive.store, Packs(archive.store), entry).frames()
    assert np.array_equal(np.rint(whole["frames"][0].numpy() * 255).astype(np.uint8), expected)


def test_dataset_of_any_length_and_rate(place: Path) -> None:
    import torch

    from lrmcodec.archive.dataset import ClipDataset

    item = ClipDataset(place, frames=20)[0]
    assert tuple(item["frames"].shape) == (1, 20, 32, 32)
    assert torch.equal(item["frames"][0, 7], item["frames"][0, 19])
    assert len(ClipDataset(place, fps=100.0)[0]["times_s"]) == 32
    torch.manual_seed(0)
    starts = {float(ClipDataset(place, frames=3, random_start=True)[0]["times_s"][0]) for _ in range(20)}
    assert len(starts) > 2


def test_dataset_of_coefficients_and_queries(place: Path, files: list[Path]) -> None:
    from lrmcodec.archive.dataset import ClipDataset

    item = ClipDataset(files, coefficients=True)[0]
    assert item["coeffs"].shape == (8, codec.open(files[0]).rank)
    assert item["segment"].tolist() == [0] * 8
    assert len(ClipDataset(place, Query(path="*IM00000*"))) == 1
    assert ClipDataset(files, transform=lambda item: item["path"])[1] == str(files[1])
    with pytest.raises(ArchiveError, match="no clip"):
        ClipDataset(place, Query(path="nothing"))


def test_dataset_in_processes(place: Path) -> None:
    import pickle

    from lrmcodec.archive.dataset import ClipDataset

    assert pickle.loads(pickle.dumps(ClipDataset(place)))[0]["frames"].shape == (1, 8, 32, 32)
    assert open_archive(str(place)).store.url == str(place)


def test_monai_reader_alone(files: list[Path]) -> None:
    from lrmcodec.archive.monai_reader import LrmReader

    reader = LrmReader()
    assert reader.verify_suffix([str(files[0])])
    assert not reader.verify_suffix("x.nii")
    array, meta = reader.get_data(reader.read(files[0]))
    assert (array.shape, array.dtype) == ((32, 32, 8), np.float32)
    assert np.array_equal(array, codec.decode(files[0]).frames.transpose(2, 1, 0))
    assert meta["affine"][2, 2] == pytest.approx(1 / 25)
    both, meta = reader.get_data(reader.read([str(path) for path in files]))
    assert (both.shape, meta["original_channel_dim"]) == ((2, 32, 32, 8), 0)
    coeffs, _ = LrmReader(coefficients=True).get_data(reader.read(files[0]))
    assert coeffs.shape[0] == 8


@pytest.mark.filterwarnings("ignore")  # those of MONAI's own
def test_monai_load_image(files: list[Path]) -> None:
    monai = pytest.importorskip("monai.transforms", reason="MONAI is not installed")
    from lrmcodec.archive.monai_reader import LrmReader

    loaded = monai.Compose([monai.LoadImage(reader=LrmReader()), monai.EnsureChannelFirst(),
                            monai.ScaleIntensityRange(0, 255, 0, 1)])(str(files[0]))
    assert tuple(loaded.shape) == (1, 32, 32, 8)
    assert 0 <= float(loaded.min()) < float(loaded.max()) <= 1
