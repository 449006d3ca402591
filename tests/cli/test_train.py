"""`lrmcodec train`: a pack at the end, usage errors, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrmcodec.cli.main import main
from lrmcodec.formats.pack import load_pack
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import random_phantom

RECIPE = """
name = "tiny"
structure = "low-rank"
[data]
size = 32
frames = 4
[network]
width = 12
depth = 3
channels = 2
grid = 4
max_rank = 2
[training]
steps = 6
clips = 1
frames = 1
pixels = 32
ranks = [2]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    write_clip(random_phantom(0, frame_count=12, size=(32, 32)).clip, tmp_path / "videos" / "a.avi", force=True)
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path


def train(folder: Path, *more: str) -> int:
    return main(["train", str(folder / "r.toml"), "--data", f"videos={folder / 'videos'}", "--device", "cpu",
                 "-o", str(folder / "run"), *more])


def test_a_recipe_becomes_a_pack(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["steps"], printed["finished"]) == (6, True)
    assert load_pack(Path(printed["pack"])).digest == printed["digest"]


def test_a_stopped_run_is_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "--minutes", "1e-9") == 0
    assert "go on with --resume" in capsys.readouterr().err
    assert train(folder) == 1
    assert "--resume" in capsys.readouterr().err
    assert train(folder, "--resume") == 0
    assert "Digest" in capsys.readouterr().out


def test_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "nothing", "-o", str(folder / "run")]) == 1
    assert "lrm-ortho-cpu" in capsys.readouterr().err
    assert main(["train", str(folder / "r.toml"), "-o", str(folder / "run"), "--data", "cows=x"]) == 2
    assert main(["train", str(folder / "r.toml"), "-o", str(folder / "run"), "--data", "lung=/nowhere"]) == 2
    assert main(["train", str(folder / "r.toml"), "-o", str(folder / "run")]) == 1
    assert "no clips" in capsys.readouterr().err
