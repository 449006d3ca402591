"""The tables of EchoNet-Dynamic on a small made-up folder: splits, names, what is missing, what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from echonet_tables import NAMES, write_tables

from lrmcodec.formats.echonet import EchoNetDynamic
from lrmcodec.formats.errors import ClipError


@pytest.fixture
def echonet(tmp_path: Path) -> Path:
    root = tmp_path / "echonet"
    (root / "Videos").mkdir(parents=True)
    write_tables(root)
    for name in NAMES:
        (root / "Videos" / f"{name}.avi").touch()
    return root


def test_echonet_is_read_with_and_without_suffixes(echonet: Path) -> None:
    found = EchoNetDynamic(echonet)
    assert [clip.name for clip in found.clips] == ["0XA", "0XB", "0XC"]
    assert found.missing == ["0XGONE"]
    assert [clip.split for clip in found.clips] == ["TRAIN", "VAL", "TEST"]
    assert [clip.ejection_fraction for clip in found.clips] == [55.5, None, 61.0]
    assert [clip.traced_frames for clip in found.clips] == [(46, 61), (), (3,)]
    assert [clip.name for clip in found.split("test")] == ["0XC"]
    assert [clip.name for clip in found.listed] == ["0XA", "0XB", "0XC", "0XGONE"]


def test_echonet_without_tracings_or_columns(echonet: Path, tmp_path: Path) -> None:
    (tmp_path / "FileList.csv").write_text("FileName,Split\n0XZ,TRAIN\n")
    assert EchoNetDynamic(tmp_path).missing == ["0XZ"]
    (tmp_path / "FileList.csv").write_text("FileName,EF\n0XZ,50\n")
    with pytest.raises(ClipError, match="no column 'Split'"):
        EchoNetDynamic(tmp_path)
    with pytest.raises(ClipError, match="cannot be read"):
        EchoNetDynamic(tmp_path / "nowhere")
