"""`lrmcodec export`: what it writes and says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.echonet import EchoNetDynamic
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import beating_heart

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def coded(run: Run, tmp_path: Path, quick_pictures: None) -> Path:
    write_clip(beating_heart(8, (32, 40), 25.0), tmp_path / "heart.avi")
    assert run("-q", "encode", tmp_path / "heart.avi", "--rank", 2)[0] == 0
    return tmp_path / "heart.lrm"


def test_files_and_archives(run: Run, coded: Path, tmp_path: Path) -> None:
    code, out, err = run("export", coded.parent, "-o", tmp_path / "out", "-j", 0)
    assert (code, err) == (0, "")
    assert "1, and 0 failed" in out
    assert len(EchoNetDynamic(tmp_path / "out").clips) == 1
    run("archive", tmp_path / "heart.avi", "-o", tmp_path / "archive", "-j", 0, "--quality", 20)
    code, out, _ = run("export", tmp_path / "archive", "-o", tmp_path / "again", "-j", 0, "--json")
    assert (code, json.loads(out)["clips"]) == (0, 1)
    assert len(EchoNetDynamic(tmp_path / "again").clips) == 1


def test_failures_and_nothing(run: Run, tmp_path: Path, coded: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.lrm").write_bytes(b"no")
    code, _, err = run("export", tmp_path / "bad", coded, "-o", tmp_path / "out", "-j", 0)
    assert code == 3
    assert "error:" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run("export", tmp_path / "empty", "-o", tmp_path / "o", "-j", 0)
    assert code == 1
    assert "no .lrm file" in err


def test_uneven_times_become_even(run: Run, tmp_path: Path, quick_pictures: None) -> None:
    times = np.array([0, 0.03, 0.08, 0.1, 0.15, 0.19])
    frames = beating_heart(6, (32, 32), 25.0).frames
    write_clip(Clip(frames, times), tmp_path / "uneven.npz")
    assert run("-q", "encode", tmp_path / "uneven.npz", "--rank", 2)[0] == 0
    assert run("export", tmp_path / "uneven.lrm", "-o", tmp_path / "out", "-j", 0)[0] == 0
