"""`lrmcodec wrap` and `unwrap`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_source import PATIENT, waves, write_source  # noqa: E402

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture
def coded(run: Run, tmp_path: Path) -> Path:
    """A .lrm file with a study."""
    write_source(tmp_path / "source.dcm", waves(4, 32, 48))
    assert run("encode", tmp_path / "source.dcm", "-o", tmp_path / "a.lrm", "--rank", 1, "--keep-study")[0] == 0
    return tmp_path / "a.lrm"


def test_there_and_back(run: Run, coded: Path, tmp_path: Path) -> None:
    code, out, _ = run("wrap", coded, "--keep-study", "--json")
    assert code == 0
    assert json.loads(out)["output"] == str(tmp_path / "a.dcm")
    assert pydicom.dcmread(tmp_path / "a.dcm").PatientID == PATIENT["PatientID"]
    assert run("unwrap", tmp_path / "a.dcm", "-o", tmp_path / "b.lrm")[0] == 0
    assert (tmp_path / "b.lrm").read_bytes() == coded.read_bytes()


def test_wrapped_files_are_read_everywhere(run: Run, coded: Path, tmp_path: Path) -> None:
    assert run("wrap", coded)[0] == 0
    for command in (["info"], ["verify"], ["decode", "-o", tmp_path / "c.npy"]):
        code, _, err = run(command[0], tmp_path / "a.dcm", *command[1:])
        assert code == 0, err


def test_a_clip_is_no_wrapped_file(run: Run, coded: Path, tmp_path: Path) -> None:
    code, _, err = run("decode", tmp_path / "source.dcm", "-o", tmp_path / "c.npy")
    assert code == 1
    assert "holds no .lrm file" in err
    assert "lrmcodec encode" in err


@pytest.mark.parametrize(("arguments", "words"), [
    (["wrap", "a.lrm", "-o", "b.lrm"], ".dcm"), (["wrap", "a.lrm", "-o", "there.dcm"], "exists"),
    (["wrap", "source.dcm", "-o", "b.dcm"], "not a .lrm file"), (["unwrap", "source.dcm"], "holds no .lrm file"),
    (["unwrap", "missing.dcm"], "cannot be read"), (["unwrap", "a.lrm", "-o", "b.lrm"], "DICOM"),
])
def test_what_cannot_be_done(run: Run, coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             arguments: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.dcm").write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    code, _, err = run(*arguments)
    assert code == 1
    assert words in err
    assert sorted(tmp_path.iterdir()) == before
    assert Path("there.dcm").read_bytes() == b"old"
