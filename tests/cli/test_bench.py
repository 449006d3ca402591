"""`lrmcodec bench` as people call it: outputs, exit codes, JSON, labels, refusals before the long work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lrmcodec.benchmarks.measure import campaign
from lrmcodec.benchmarks.measure.asks import Plan
from lrmcodec.benchmarks.measure.rows import read_rows
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.show import readme
from lrmcodec.benchmarks.studies import speed
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import phantom

Run = Callable[..., tuple[int, str, str]]
OURS = ("--ranks", "2", "--ratios", "30", "--peers", "ffv1")
QUICK = ("--packs", "", "--peers", "ffv1")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    made = phantom(60, (32, 32), seed=1)
    write_clip(made.clip, folder / "heart.npz")
    truth = {"ed_frames": made.ed_frames.tolist(), "es_frames": made.es_frames.tolist()}
    (folder / "heart.json").write_text(json.dumps(truth))
    return folder


@pytest.mark.usefixtures("quick_bench")
def test_rows_summary_and_a_table_on_stdout(run: Run, clips: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    code, out, err = run("bench", clips, "-o", output, *OURS, "--labels", clips, "--no-report")
    assert code == 0, err
    rows = read_rows(output / "rows.tsv")
    assert len(rows) == 6
    assert "6 of 1 clip" in out
    assert all(row.ed_events for row in rows if row.is_ours)
    summary = (output / "summary.md").read_text()
    assert "## Rank and size: lrmcodec" in summary
    assert "## Cardiac readout: lrmcodec" in summary
    assert not (output / "report.html").exists()


def test_json_is_all_that_stdout_carries(run: Run, clips: Path, tmp_path: Path) -> None:
    code, out, _ = run("bench", f"x={clips / 'heart.npz'}", "-o", tmp_path, *QUICK, "--no-report", "--json",
                       "--size", "24x40")
    values = json.loads(out)
    assert code == 0
    assert {(row["clip"], row["height"], row["width"]) for row in values["rows"]} == {("x", 24, 40)}
    assert [(row["codec"], row["setting"], row["target"]) for row in values["rows"]] == [
        ("ffv1", "lossless", "lossless")]
    assert values["failed"] == []


def test_some_failed_is_three_and_all_failed_is_one(run: Run, clips: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"nothing")
    code, out, err = run("bench", clips / "heart.npz", broken, tmp_path / "missing.mp4", "-o", tmp_path / "out",
                         *QUICK, "--no-report")
    assert code == 3
    assert "broken" in out
    assert "missing.mp4" in err
    assert run("bench", broken, "-o", tmp_path / "none", *QUICK, "--no-report")[0] == 1


def test_existing_results_need_a_word(run: Run, clips: Path, tmp_path: Path) -> None:
    first = ("bench", clips / "heart.npz", "-o", tmp_path, *QUICK, "--no-report")
    assert run(*first)[0] == 0
    code, _, err = run(*first)
    assert code == 1
    assert "--resume" in err
    assert run(*first, "--resume")[0] == 0
    assert run(*first, "--force")[0] == 0


@pytest.mark.parametrize("arguments", [("--ranks", "two"), ("--ratios", "x"), ("--set", "mnist"), ("--jobs", "0"),
                                       ("--set", "echonet")])
def test_wrong_usage_is_two(run: Run, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert run("bench", "-o", tmp_path / "out", *arguments)[0] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [(), ("--peers", "theora"), ("--packs", "nothing"), ("--labels", "no.json")])
def test_what_cannot_be_measured_is_one(run: Run, clips: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    named = (clips / "heart.npz",) if arguments else ()
    code, _, err = run("bench", *named, "-o", tmp_path / "out", "--no-report", *arguments)
    assert code == 1
    assert err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_echonet_takes_its_test_split(run: Run, tmp_path: Path) -> None:
    made = phantom(4, (32, 32), seed=1)
    (tmp_path / "Videos").mkdir()
    write_clip(made.clip, tmp_path / "Videos" / "AB.avi")
    (tmp_path / "FileList.csv").write_text("FileName,Split\nAB,TEST\n")
    (tmp_path / "VolumeTracings.csv").write_text("FileName,X1,Frame\nAB.avi,1,30\nAB.avi,1,9\n")
    code, out, _ = run("bench", tmp_path, "--set", "echonet", *QUICK, "-o", tmp_path / "out", "--no-report", "--json")
    assert code == 0
    assert [row["clip"] for row in json.loads(out)["rows"]] == ["AB"]


def test_simulated_sets_are_counted_from_the_seed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Source] = []
    monkeypatch.setattr(campaign, "bench", lambda sources, **options: asked.extend(sources) or [])
    assert run("bench", "--set", "simulated", "--count", "2", "--seed", "5", "-o", tmp_path, "--size", "32x32")[0] == 1
    assert [(source.name, source.preset, source.seed, source.size) for source in asked] == [
        ("echonet_like_5", "echonet_like", 5, (32, 32)), ("echonet_like_6", "echonet_like", 6, (32, 32))]


def test_the_whole_range_has_its_own_plan(run: Run, clips: Path, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(campaign, "bench", lambda sources, *, plan, **options: plans.append(plan) or [])
    command = ("bench", clips / "heart.npz", "-o", tmp_path, "--whole-range")
    assert run(*command)[0] == run(*command, "--ratios", "20", "--peers", "av1")[0] == 1
    assert [setting.words for setting in plans[0].asked[:3]] == ["lossless", "ratio 10", "ratio 20"]
    assert plans[0].asked[-1].target_value == 3000
    assert set(plans[0].peers) >= {"av1", "av1-10bit", "av1-preset5", "av1-lossless", "jpeg-ls"}
    assert [setting.words for setting in plans[1].asked] == ["lossless", "ratio 20"]
    assert plans[1].peers == ("av1",)


@pytest.mark.usefixtures("quick_bench")
def test_a_run_without_loss_and_of_the_first_frames(run: Run, clips: Path, tmp_path: Path) -> None:
    code, _, err = run("bench", clips / "heart.npz", "-o", tmp_path, "--whole-range", "--ratios", "30", "--first", "20",
                       "--peers", "ffv1", "--no-report")
    assert code == 0, err
    rows = {(row.codec, row.setting.words): row for row in read_rows(tmp_path / "rows.tsv")}
    assert all(row.frames == 20 for row in rows.values())
    ours = next(row for (codec, words), row in rows.items() if codec != "ffv1" and words == "lossless")
    assert (ours.psnr_db, ours.ssim3d) == (120, pytest.approx(1))
    assert "## Without loss, bytes of" in (tmp_path / "summary.md").read_text()


def test_speed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SLOW_SECONDS", float("inf"))  # whatever else the machine does
    monkeypatch.setattr(speed, "FRAMES", 12)
    monkeypatch.setattr(speed, "SIDE", 32)
    monkeypatch.setattr(speed, "LENGTHS", (30,))
    monkeypatch.setattr(speed, "SIDES", ())
    monkeypatch.setattr(speed, "RANKS", (2,))
    monkeypatch.setattr(speed, "COMMANDS", (("--help",),))
    monkeypatch.setattr(speed, "STATEMENTS", ("import lrmcodec",))
    monkeypatch.setattr(speed, "PRESETS", ("lus_like",))
    monkeypatch.setattr(speed, "DEFAULT_PACK", "spatial")
    monkeypatch.setattr(speed, "RECORDED", ((12, (32, 40), 20.0),))
    code, out, err = run("bench", "--speed", "--repeats", "1", "--packs", "spatial", "-o", tmp_path, "--json")
    assert code == 0, err
    found = {row["what"]: row for row in json.loads(out)["speed"]}
    assert found["lrmcodec --help"]["median"] > 0
    assert found["spatial, cpu, 30 frames of 32x32: decode"]["unit"] == "frames/s"
    assert found["python: import lrmcodec"]["median"] > 0
    assert found["simulate lus_like, cpu, 12 frames of 32x32"]["unit"] == "frames/s"
    assert "spatial, cpu, 12 frames of 32x32, rank 2: encode, peak memory" in found
    assert found["spatial, cpu, 12 frames of 32x40, 20:1: encode, processor time"]["median"] > 0
    assert (tmp_path / "speed.tsv").read_text().count("\n") == len(found) + 1
    assert "| spatial, cpu, 12 frames of 32x32 |" in (tmp_path / "speed.md").read_text()
    assert run("bench", "--speed", "-o", tmp_path)[0] == 1


def test_frames_for_speed_go_forth_and_back() -> None:
    clip = speed.frames_like(400, (56, 60))
    assert clip.frames.shape == (400, 56, 60)
    assert (clip.frames[speed.FRAMES - 1 + 5] == clip.frames[speed.FRAMES - 1 - 5]).all()


def test_the_readme_block_needs_its_markers() -> None:
    text = f"a\n{readme.BEGIN}\nold\n{readme.END}\nb\n"
    assert readme.with_block(text, "new") == f"a\n{readme.BEGIN}\nnew\n{readme.END}\nb\n"
    with pytest.raises(ValueError, match="no <!-- results -->"):
        readme.with_block("a", "new")
