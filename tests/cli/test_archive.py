"""`lrmcodec archive` as it is used: what it prints, exit codes, JSON, refusals, and a run that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from lrmcodec.archive import create, restore, verify

pytest.importorskip("pydicom")

Run = Callable[..., tuple[int, str, str]]
MAIN: Callable[[list[str]], int] = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
COMMAND = str(Path(sys.executable).with_name("lrmcodec"))


@pytest.fixture(scope="module")
def place(studies: Path, tmp_path_factory: pytest.TempPathFactory, quick_pictures: None) -> Path:
    place = tmp_path_factory.mktemp("made") / "archive"
    assert MAIN(["-q", "archive", str(studies), "-o", str(place), "-j", "0", "--quality", "40", "--keep-study"]) == 3
    return place


@pytest.fixture(autouse=True)
def _fresh() -> None:
    for module in (create, restore, verify):
        module._opened.cache_clear()


def data(run: Run, *arguments: object) -> dict[str, Any]:
    code, out, _ = run("archive", *arguments, "--json")
    assert code in (0, 3)
    values: dict[str, Any] = json.loads(out)
    return values


def test_create_says_what_became_of_every_file(run: Run, studies: Path, place: Path, tmp_path: Path) -> None:
    code, out, err = run("archive", studies, "-o", place, "-j", 0)
    assert code == 3
    assert "17: 0 new, 17 in the archive already, 0 not archived" in out
    assert "coded clips" in out
    assert "(kept byte for byte)" in err
    values = data(run, studies, "-o", place, "-j", 0)
    assert (values["files"], values["skipped"], values["new"]) == (17, 17, 0)
    assert sum(values["kinds"].values()) == 17
    assert {each["kept"] for each in values["failed"]} == {True}
    assert all((each["reason"] and "broken" in each["path"]) or "IM" in each["path"] or "LUS" in each["path"]
               for each in values["failed"])


def test_notes_about_patients(run: Run, studies: Path, tmp_path: Path) -> None:
    report = next(studies.rglob("*report*"), None) or next(studies.rglob("SR*"))
    code, _, err = run("archive", report, "-o", tmp_path / "a", "-j", 0)
    assert code == 0
    assert "whatever they say about patients" in err


def test_list_find_and_stats(run: Run, place: Path) -> None:
    code, out, _ = run("archive", "list", place)
    assert code == 0
    assert len(out.splitlines()) == 18
    assert out.splitlines()[0].startswith("Id ")
    files = data(run, "list", place)["files"]
    assert len(files) == 17
    assert {"id", "path", "sha256", "kind", "stored_bytes", "study"} <= set(files[0])
    assert {each["modality"] for each in data(run, "find", place, "--modality", "us")["files"]} == {"US"}
    date = next(each["date"] for each in files if each["date"])
    dated = data(run, "find", place, "--date", date[:7])["files"]
    assert {each["date"] for each in dated} == {date}
    assert data(run, "find", place, "--date", "2023..2023-12-31")["files"] == []
    assert len(data(run, "find", place, "--date", f"{date}..2024-12")["files"]) >= len(dated)
    views = data(run, "find", place, "--view", "apical*", "--kind", "clip")["files"]
    assert views
    assert all(each["view"].startswith("Apical") and each["kind"] == "clip" for each in views)
    assert data(run, "find", place, "--hr", "..1")["files"] == []
    stats = data(run, "stats", place)
    assert (stats["files"], sum(stats["kinds"].values())) == (17, 17)
    assert stats["stored_bytes"] + stats["other_bytes"] == sum(
        path.stat().st_size for path in place.rglob("*") if path.is_file()) - (place / "archive.json").stat().st_size
    code, out, _ = run("archive", "stats", place)
    assert "dB, median" in out


def test_dates_that_are_not_kept(run: Run, studies: Path, tmp_path: Path) -> None:
    run("archive", next(studies.rglob("ST*.dcm")), "-o", tmp_path / "a", "-j", 0)
    code, out, err = run("archive", "find", tmp_path / "a", "--date", "2024")
    assert (code, out) == (0, "")
    assert "keeps no study dates" in err


@pytest.mark.parametrize("arguments", [("--date", "May"), ("--hr", "fast")])
def test_find_refuses_nonsense(run: Run, place: Path, arguments: tuple[str, str]) -> None:
    code, _, err = run("archive", "find", place, *arguments)
    assert code == 1
    assert "is no" in err


def test_verify_and_restore(run: Run, place: Path, tmp_path: Path) -> None:
    code, out, err = run("archive", "verify", place, "-j", 0)
    assert (code, err) == (0, "")
    assert "Problems          none" in out
    values = data(run, "verify", place, "-j", 0, "--read-data-subset", "2/10")
    assert values["valid"] is True
    assert values["decoded"] < values["files"] == 17
    code, out, _ = run("archive", "restore", place, "--all", "-o", tmp_path / "out", "-j", 0)
    assert code == 0
    assert "17 files" in out
    one = data(run, "list", place)["files"][0]["id"]
    assert data(run, "restore", place, one, "-o", tmp_path / "one", "-j", 0)["written"] == 1


def test_damage_is_exit_code_3_with_a_list_and_a_way_out(run: Run, studies: Path, tmp_path: Path) -> None:
    report = next(studies.rglob("ST*.dcm"))
    run("archive", report, "-o", tmp_path / "a", "-j", 0)
    next((tmp_path / "a" / "objects").rglob("*.zst")).write_bytes(b"x")
    code, _, err = run("archive", "verify", tmp_path / "a", "-j", 0)
    assert code == 3
    assert report.name in err
    assert "archive repair" in err
    code, _, err = run("archive", "repair", tmp_path / "a")
    assert code == 3
    assert "Archive their sources again" in err
    assert run("archive", report, "-o", tmp_path / "a", "-j", 0)[0] == 0
    assert run("archive", "verify", tmp_path / "a", "-j", 0)[0] == 0
    assert run("archive", "repair", tmp_path / "a")[0] == 0


def test_a_lost_manifest_is_no_empty_archive(run: Run, studies: Path, tmp_path: Path) -> None:
    import shutil

    run("archive", next(studies.rglob("ST*.dcm")), "-o", tmp_path / "a", "-j", 0)
    shutil.rmtree(tmp_path / "a" / "manifest")
    for command in (("list",), ("stats",), ("restore", "--all", "-o", tmp_path / "out")):
        code, _, err = run("archive", command[0], tmp_path / "a", *command[1:])
        assert code == 1
        assert "manifest is lost" in err


def test_usage(run: Run, place: Path, studies: Path, tmp_path: Path) -> None:
    assert run("archive")[0] == 2
    assert run("archive", studies)[0] == 2
    assert run("archive", studies, "-o", tmp_path / "a", "--quality", 3, "--ratio", 4)[0] == 2
    assert run("archive", studies, "-o", tmp_path / "a", "--shard", "5/3")[0] == 2
    assert run("archive", "restore", place, "-o", tmp_path / "x")[0] == 2
    assert run("archive", "list", tmp_path)[0] == 1
    code, _, err = run("archive", studies, "-o", place, "--quality", 90)
    assert code == 1
    assert "other settings" in err
    code, out, _ = run("archive", "--help")
    assert code == 0
    for word in ("verify", "restore", "list", "find", "stats", "repair", "create"):
        assert word in out


def test_a_source_named_like_a_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert run("archive", "./verify", "-o", "a", "-j", 0)[0] == 0


def test_dry_run_makes_nothing(run: Run, studies: Path, tmp_path: Path) -> None:
    code, out, _ = run("archive", studies, "-o", tmp_path / "a", "--dry-run")
    assert code == 0
    assert "coded clips" in out
    assert not (tmp_path / "a").exists()


def test_killed_and_started_again(run: Run, studies: Path, tmp_path: Path) -> None:
    """SIGKILL while two processes work on one patient; then the same command, and everything is there."""
    place = tmp_path / "archive"
    command = [COMMAND, "archive", str(studies / "patient_001"), "-o", str(place), "--quality", "40",
               "--pack", "spatial", "-j", "2"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if list(place.glob("objects/*/*.json")):
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert second.returncode == 3, second.stderr  # a broken file is kept byte for byte
    values = json.loads(second.stdout)
    assert (values["files"], values["new"] + values["skipped"]) == (8, 8)
    assert values["skipped"] > 0
    code, out, _ = run("archive", "verify", place, "--json", "-j", 0)
    assert code == 0
    assert json.loads(out)["files"] == 8


def test_interrupted_by_the_keyboard(studies: Path, tmp_path: Path) -> None:
    place = tmp_path / "archive"
    process = subprocess.Popen([COMMAND, "archive", str(studies), "-o", str(place), "--pack", "spatial", "-j", "1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    for _ in range(600):
        if list(place.glob("objects/*/*.json")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (130, 3)  # 3: it was done already
    assert "Traceback" not in out + err
    assert not list((place / "locks").iterdir())


def test_masks_are_shown_before_anything_is_archived(run: Run, studies: Path, tmp_path: Path) -> None:
    from PIL import Image

    source = next(studies.rglob("IM00000.dcm"))
    report = next(studies.rglob("ST*.dcm"))
    code, out, _ = run("archive", source, report, "-o", tmp_path / "a", "--mask", "sector", "--review",
                       tmp_path / "sheets", "-j", 0)
    assert code == 0
    assert "look at all of them" in out
    assert not (tmp_path / "a").exists()
    sheets = list((tmp_path / "sheets").iterdir())
    assert [path.name[:11] for path in sheets] == ["IM00000.dcm"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > 64
    assert run("archive", source, "-o", tmp_path / "a", "--review", tmp_path / "sheets")[0] == 2
