"""Warnings about an input reach the user, machines and the file; --strict makes errors of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.formats.stamps import UNKNOWN_RATE

pytestmark = pytest.mark.usefixtures("quick_pictures")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.npy, which has no frame times, and timed.npz, which has."""
    folder = tmp_path_factory.mktemp("warned")
    levels = np.linspace(0, 200, 4 * 16 * 16).reshape(4, 16, 16).astype(np.uint8)
    np.save(folder / "clip.npy", levels)
    np.savez(folder / "timed.npz", frames=levels, fps=25.0)
    return folder


def test_a_warning_is_printed_counted_and_stored(run: Run, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.lrm"
    code, out, err = run("encode", folder / "clip.npy", "-o", target, "--rank", 1, "--json")
    assert code == 0
    assert json.loads(out)["warnings"] == [UNKNOWN_RATE]
    assert f"warning: {folder / 'clip.npy'}: {UNKNOWN_RATE}.\n" in err
    for command in (["info"], ["verify"], ["decode", "--force", "-o", tmp_path / "a.npy"], ["readout"]):
        code, out, _ = run(command[0], target, *command[1:], "--json")
        assert json.loads(out)["warnings"] == [UNKNOWN_RATE], command
    assert f"Warning  {UNKNOWN_RATE}" in run("info", target)[1]
    assert UNKNOWN_RATE in run("decode", target, "--force", "-o", tmp_path / "a.npy")[2]


def test_sound_clips_have_an_empty_list(run: Run, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.lrm"
    _, out, err = run("encode", folder / "timed.npz", "-o", target, "--rank", 1, "--json", "--strict")
    assert json.loads(out)["warnings"] == []
    assert "warning" not in err
    facts = json.loads(run("info", target, "--json")[1])
    assert facts["warnings"] == []
    assert "warnings" not in facts["bytes"]
    assert run("verify", target, "--against", folder / "timed.npz", "--strict")[0] == 0


@pytest.mark.parametrize("command", [["encode", "clip.npy"], ["verify", "a.lrm"], ["report", "a.lrm"],
                                     ["decode", "a.lrm"], ["verify", "b.lrm", "--against", "clip.npy"]])
def test_strict_makes_errors_and_writes_nothing(run: Run, folder: Path, tmp_path: Path, command: list[str],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.npy").write_bytes((folder / "clip.npy").read_bytes())
    if command[0] != "encode":
        assert run("-q", "encode", "clip.npy", "--rank", 1, "-o", "a.lrm")[0] == 0
        assert run("-q", "encode", folder / "timed.npz", "--rank", 1, "-o", "b.lrm")[0] == 0
    before = set(tmp_path.iterdir())
    code, _, err = run(*command, "--strict")
    assert code == 1
    assert UNKNOWN_RATE in err
    assert "--strict" in err
    assert set(tmp_path.iterdir()) == before
