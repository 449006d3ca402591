"""Warnings about an input reach the user, machines and the file; --strict makes errors of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.cli.console import Console
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


NAMES = [("1.2.840.113.5", "1.2.840.113.5.lrm"), ("IM_0001", "IM_0001.lrm"), ("a.b.NPZ", "a.b.lrm"),
         (".npz", ".npz.lrm"), ("echo.2024", "echo.2024.lrm"), ("-a.npz", "-a.lrm")]


@pytest.mark.parametrize(("name", "output"), NAMES)
def test_outputs_are_called_by_the_whole_name(run: Run, folder: Path, tmp_path: Path, name: str, output: str,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes((folder / "timed.npz").read_bytes())
    assert run("-q", "encode", "--rank", 1, "--", name)[0] == 0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([name, output])
    assert run("-q", "decode", "--", output)[0] == 0
    assert Path(output.removesuffix(".lrm") + ".mp4").exists()


def test_folders_by_where_they_lie(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "frames.of.heart"
    assert run("-q", "encode", folder / "timed.npz", "--rank", 1, "-o", tmp_path / "x.lrm")[0] == 0
    assert run("-q", "decode", tmp_path / "x.lrm", "-o", f"{place}/")[0] == 0
    for source, here in ((".", place), ("..", place / "below"), ("frames.of.heart/", tmp_path)):
        (place / "below").mkdir(exist_ok=True)
        monkeypatch.chdir(here)
        assert run("-q", "encode", source, "--rank", 1, "--force")[0] == 0
        (tmp_path / "frames.of.heart.lrm").unlink()
    code, _, err = run("encode", "/")
    assert code == 1
    assert "-o" in err
    assert run("encode", "")[0] == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_consoles_without_utf_8(folder: Path, tmp_path: Path, encoding: str) -> None:
    name = tmp_path / "Mu\u0308ller \u5fc3.npy"
    name.write_bytes((folder / "clip.npy").read_bytes())
    for arguments in (["encode", name, "--rank", "1", "--pack", "spatial"], ["info", name.with_suffix(".lrm")],
                      ["encode", tmp_path / "\u5fc3"]):
        command = [sys.executable, "-P", "-c", "from lrmcodec.cli.main import main; raise SystemExit(main())"]
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, check=False,
                              env={**os.environ, "PYTHONIOENCODING": encoding})
        assert done.returncode == (1 if arguments[1] == tmp_path / "\u5fc3" else 0), done.stderr
        assert b"Traceback" not in done.stderr


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console().data({"a": [float("nan"), {"b": float("inf")}, 1.5], "c": (1, None)})
    assert json.loads(capsys.readouterr().out) == {"a": [None, {"b": None}, 1.5], "c": [1, None], "warnings": []}


def test_one_number_is_a_square(run: Run, folder: Path, tmp_path: Path) -> None:
    _, out, _ = run("encode", folder / "timed.npz", "--size", 24, "--rank", 1, "-o", tmp_path / "a.lrm", "--json")
    assert (json.loads(out)["height"], json.loads(out)["width"]) == (24, 24)
    assert run("encode", folder / "timed.npz", "--size", 5, "-o", tmp_path / "b.lrm")[0] == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_clip_through_a_pipe(run: Run, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=((folder / "timed.npz").read_bytes(),))
    writer.start()
    code, _, err = run("encode", tmp_path / "pipe", "--rank", 1)
    writer.join()
    assert (code, err) == (0, "")
    assert (tmp_path / "pipe.lrm").exists()


def test_devices_are_refused(run: Run) -> None:
    for command in ("encode", "info", "decode"):
        code, _, err = run(command, "/dev/null", "-o", "x.avi") if command == "decode" else run(command, "/dev/null")
        assert code == 1, command
        assert "Traceback" not in err
