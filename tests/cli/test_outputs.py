"""What every command that writes must keep: its inputs whole, and equal outputs for equal inputs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.formats import npz
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import beating_heart

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a clip and its .lrm file."""
    folder = tmp_path_factory.mktemp("made")
    clip = beating_heart(12, (32, 32), seed=5)
    write_clip(clip, folder / "heart.npz")
    codec.encode(clip, quality=30).save(folder / "heart.lrm")
    return folder


@pytest.fixture
def heart(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be harmed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize("command", [
    ["encode", "heart.npz", "-o", "heart.npz"], ["decode", "heart.lrm", "-o", "heart.lrm"],
    ["plot", "heart.lrm", "-o", "heart.lrm"], ["walk", "heart.lrm", "-o", "heart.lrm"],
    ["report", "heart.lrm", "-o", "heart.lrm"], ["readout", "heart.lrm", "--plot", "heart.lrm"]])
def test_a_command_never_replaces_what_it_reads(run: Run, heart: Path, command: list[str]) -> None:
    before = {path.name: path.read_bytes() for path in heart.iterdir()}
    arguments = [heart / word if word.startswith("heart") else word for word in command]
    code, _, err = run(*arguments, "--force")
    assert code == 1
    assert "cannot be written" in err or "input itself" in err or "does not end in" in err
    assert {path.name: path.read_bytes() for path in heart.iterdir()} == before


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("command", [["readout", "--plot"], ["report", "-o"], ["plot", "-o"], ["walk", "-o"]])
def test_an_input_is_known_by_any_name(run: Run, heart: Path, link: Callable[..., None], command: list[str]) -> None:
    other = heart / {"report": "other.html"}.get(command[0], "other.png")
    link(heart / "heart.lrm", other)
    before = other.read_bytes()
    code, _, err = run(command[0], heart / "heart.lrm", command[1], other, "--force")
    assert (code, "input itself" in err) == (1, True)
    assert other.read_bytes() == before


def test_a_report_spares_the_clip_it_compares_with(run: Run, heart: Path) -> None:
    (heart / "clip.html").write_bytes((heart / "heart.npz").read_bytes())
    code, _, err = run("report", heart / "heart.lrm", "--against", heart / "clip.html", "-o", heart / "clip.html",
                       "--force")
    assert (code, "input itself" in err) == (1, True)


def test_readout_draws_pictures_and_nothing_else(run: Run, heart: Path) -> None:
    code, _, err = run("readout", heart / "heart.lrm", "--plot", heart / "beats.csv")
    assert (code, ".png" in err) == (1, True)
    assert not (heart / "beats.csv").exists()


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".avi", ".mkv", ".mp4", ".gif"])
def test_equal_clips_give_equal_files(run: Run, heart: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("decode", heart / "heart.lrm", "-o", heart / f"a{suffix}")[0] == 0
    monkeypatch.setattr("time.time", lambda: 1.9e9)
    assert run("decode", heart / "heart.lrm", "-o", heart / f"b{suffix}")[0] == 0
    assert (heart / f"a{suffix}").read_bytes() == (heart / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("view", ["a4c", "lung_convex"])
def test_one_seed_gives_equal_files(run: Run, tmp_path: Path, view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, now in (("a", 1.8e9), ("b", 1.9e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert run("simulate", "-o", tmp_path / name, "--view", view, "--seed", 3, "--frames", 4, "--size", "48x48",
                   "--masks")[0] == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_arrays_survive_a_dateless_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(npz.npz_bytes(a=np.arange(6).reshape(2, 3), b=np.float64(2.5)))
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
        assert arrays["b"] == 2.5
