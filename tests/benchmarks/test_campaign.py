"""The run: one bad clip stops no other, a killed run goes on, missing encoders and impossible ranks leave notes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lrmcodec.benchmarks import Plan, bench
from lrmcodec.benchmarks.measure import campaign, worker
from lrmcodec.benchmarks.measure.rows import read_rows
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.measure.worker import Work
from lrmcodec.benchmarks.peers import KNOWN, Job
from lrmcodec.benchmarks.peers.coder import EncoderMissingError
from lrmcodec.benchmarks.setting import ALL, Setting
from lrmcodec.formats.errors import OutputError, PackError, TargetError

SMALL = Plan(peers=("ffv1",), packs=())
SETTINGS = {"ratio 20", "ratio 60", *(f"rank {rank} quality {q}" for rank in (1, 2) for q in (95, 80, 55, 30))}


def test_a_broken_clip_stops_no_other(results: Any) -> None:
    assert [clip for clip, _ in results.failures] == ["broken"]
    assert "broken.avi" in results.failures[0][1]
    assert list(dict.fromkeys(row.clip for row in results.rows)) == ["a", "b<i>&c"]


def test_every_codec_and_setting_has_one_row(results: Any) -> None:
    rows = results.rows
    for clip in ("a", "b<i>&c"):
        mine = [row for row in rows if row.clip == clip]
        assert {row.setting.words for row in mine if row.is_ours} == SETTINGS
        assert sum(row.codec == "jpeg" for row in mine) == 6
        assert [row.ratio for row in mine if row.codec == "ffv1"] == [
            pytest.approx(row.raw_bytes / row.size_bytes) for row in mine if row.codec == "ffv1"]
    assert len({row.key for row in rows}) == len(rows) == len(read_rows(results.folder / "rows.tsv"))


def test_our_rows_hold_what_files_say(results: Any) -> None:
    row = next(row for row in results.rows if row.clip == "a" and row.setting.words == "ratio 20")
    path = results.folder / "files" / "a.spatial.ratio-20.lrm"
    assert row.size_bytes == path.stat().st_size == sum(row.part_bytes.values())
    assert 20 <= row.ratio < 25
    assert row.source_ratio is not None
    assert row.raw_bytes == 60 * 32 * 48
    assert min(row.fit_seconds, row.encode_seconds, row.decode_fps, row.encode_peak_mib, row.decode_peak_mib) > 0
    ranked = next(row for row in results.rows if row.clip == "a" and row.setting.words == "rank 2 quality 80")
    assert (ranked.rank, ranked.scalars_ratio) == (2, 768)


def test_qualities_are_those_of_the_file_on_disk(results: Any, clips: Path) -> None:
    import lrmcodec
    from lrmcodec import metrics

    row = next(row for row in results.rows if row.clip == "a" and row.setting.words == "ratio 20")
    decoded = lrmcodec.open(results.folder / "files" / "a.spatial.ratio-20.lrm").frames()
    original = lrmcodec.read_clip(clips / "a.npz").frames
    assert row.psnr_db == pytest.approx(metrics.psnr_db(original, decoded))
    assert row.ssim3d == pytest.approx(metrics.ssim3d(original, decoded))


def test_labelled_clips_have_a_readout(results: Any) -> None:
    ours = [row for row in results.rows if row.is_ours]
    assert all((row.ed_events is not None) == (row.clip == "a") for row in ours)
    assert all(row.verdict for row in ours)
    assert all(row.ed_events is None for row in results.rows if not row.is_ours)


@pytest.mark.usefixtures("quick_bench")
def test_what_is_done_is_not_done_again(results: Any, clips: Path, tmp_path: Path) -> None:
    kept = [row for row in results.rows if row.clip == "a" and row.codec != "jpeg"]
    campaign.write_rows(kept, tmp_path / "rows.tsv")
    again = bench([clips / "a.npz"], output=tmp_path, plan=results.plan, resume=True)
    assert {row.key for row in again} == {row.key for row in results.rows if row.clip == "a"}
    times = {row.key: row.encode_seconds for row in kept}
    assert all(row.encode_seconds == pytest.approx(times[row.key]) for row in again if row.key in times)


def test_rows_of_an_older_clip_of_the_same_name_are_replaced(clips: Path, tmp_path: Path) -> None:
    plan = Plan(packs=(), peers=("ffv1",))
    first, other = bench([f"x={clips / 'a.npz'}", f"y={clips / 'b.npz'}"], output=tmp_path, plan=plan)
    (second,) = bench([f"x={clips / 'b.npz'}"], output=tmp_path, plan=plan, resume=True)
    assert first.clip_id != second.clip_id
    assert [row.key for row in read_rows(tmp_path / "rows.tsv")] == [second.key, other.key]


def test_results_are_not_overwritten_unasked(results: Any, clips: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        bench([clips / "a.npz"], output=results.folder, plan=SMALL)
    assert len(read_rows(results.folder / "rows.tsv")) == len(results.rows)


@pytest.mark.parametrize(("plan", "error"), [
    (Plan(peers=("theora",)), TargetError), (Plan(packs=("nothing",)), PackError), (Plan(ranks=(-1,)), TargetError),
    (Plan(ratios=(0.0,)), TargetError)])
def test_an_impossible_plan_is_refused_first(clips: Path, tmp_path: Path, plan: Plan, error: type[Exception]) -> None:
    with pytest.raises(error):
        bench([clips / "a.npz"], output=tmp_path / "new", plan=plan)
    assert not (tmp_path / "new").exists()


def test_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no clip"):
        bench([], output=tmp_path)


def test_a_killed_run_goes_on_where_it_stopped(clips: Path, tmp_path: Path) -> None:
    """Killed outright; its worker ends when nobody listens. Then the last line of the table is cut, as by a crash."""
    table = tmp_path / "rows.tsv"
    command = [str(Path(sys.executable).parent / "lrmcodec"), "bench", str(clips / "a.npz"), str(clips / "b.npz"),
               "-o", str(tmp_path), "--peers", "jpeg,jpeg2000,ffv1", "--packs", "", "--no-report"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (not table.exists() or len(table.read_text().splitlines()) < 6) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    with table.open("r+b") as stream:
        stream.truncate(table.stat().st_size - 30)
    before = {row.key: row.encode_seconds for row in read_rows(table)}
    assert 3 <= len(before) < 2 * 14
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = {row.key: row.encode_seconds for row in read_rows(table)}
    assert len(after) == len(read_rows(table)) == 2 * (6 + 7 + 1)
    assert all(after[key] == seconds for key, seconds in before.items())


def marked(mark: str) -> list[str]:
    """Processes that run with a mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it may end while we look
            found += [path.parent.name] if mark.encode() in path.read_bytes() else []
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes the way of Linux")
def test_ctrl_c_ends_the_workers_and_keeps_the_rows(clips: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.tsv"
    command = [str(Path(sys.executable).parent / "lrmcodec"), "bench", str(clips / "a.npz"), str(clips / "b.npz"),
               "-o", str(tmp_path), "--packs", "spatial", "--peers", "jpeg2000", "--no-report", "--jobs", "2"]
    mark = f"LRMCODEC_TEST={tmp_path}"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "LRMCODEC_TEST": str(tmp_path)})
    deadline = time.monotonic() + 60
    while (not table.exists() or len(table.read_text().splitlines()) < 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(marked(mark)) >= 3
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "interrupted"
    assert "ended with code" not in err
    assert len(read_rows(table)) >= 2
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not marked(mark)


def answers(work: Work) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    worker.run(work, found.append)
    return found


def work_on(clips: Path, tmp_path: Path, **changes: Any) -> Work:
    return Work(**{"source": Source("a", str(clips / "a.npz")), "packs": [], "peers": [], "asks": [], "device": "cpu",
                   "files": str(tmp_path), "done": [], **changes})


def test_a_missing_encoder_leaves_one_row(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise EncoderMissingError("not available: this PyAV has no libnothing.")

    monkeypatch.setitem(KNOWN, "x264", lambda clip: [Job(Setting("crf", 1), missing), Job(Setting("crf", 2), missing)])
    _, answer, *rest = answers(work_on(clips, tmp_path, peers=["x264"]))
    assert not rest
    row = answer["row"]
    assert (row["codec"], row["target"], row["size_bytes"]) == ("x264", "all", None)
    assert row["note"].startswith("not available")
    again = answers(work_on(clips, tmp_path, peers=["x264"], done=[(row["clip_id"], "x264", ALL)]))
    assert again == [{"expect": 0, "clip_id": row["clip_id"]}]


def test_a_peer_that_fails_is_reported_and_the_next_one_runs(clips: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("boom")

    monkeypatch.setitem(KNOWN, "x264", lambda clip: [Job(Setting("crf", 1), broken)])
    _, failed, done = answers(work_on(clips, tmp_path, peers=["x264", "ffv1"]))
    assert failed == {"failed": "x264, crf 1: RuntimeError: boom"}
    assert done["row"]["codec"] == "ffv1"


def test_an_impossible_rank_leaves_a_note(clips: Path, tmp_path: Path) -> None:
    _, answer = answers(work_on(clips, tmp_path, packs=["spatial"], asks=[Setting("quality", 80.0, 60)]))
    assert answer["row"]["rank"] == 60
    assert "rank 60 cannot be used" in answer["row"]["note"]
    assert answer["row"]["psnr_db"] is None


def test_a_worker_that_dies_fails_its_clip(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "WORKER", ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
    failures: list[tuple[str, str]] = []
    assert bench([clips / "a.npz"], output=tmp_path, plan=SMALL,
                 failed=lambda *failure: failures.append(failure)) == []
    assert "ended with code -9" in failures[0][1]


def test_a_worker_that_hangs_is_stopped(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "WORKER", ["-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(campaign, "STALL_SECONDS", 0.5)
    with pytest.warns(UserWarning, match="no result for"):
        assert bench([clips / "a.npz"], output=tmp_path, plan=SMALL) == []
