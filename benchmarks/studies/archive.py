"""An archive under fire: a made study set archived, killed at random, gone on with, verified, restored and compared.

python -P -m lrmcodec.benchmarks.studies.archive FOLDER --output benchmarks/results/archive.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lrmcodec.archive.entry import Blob, Coding, Entry, entry_id, parse_line
from lrmcodec.archive.home import make_archive
from lrmcodec.archive.manifest import Journal, Manifest
from lrmcodec.archive.policy import Policy
from lrmcodec.archive.sources import walk
from lrmcodec.benchmarks.studies.archive_set import add_dicomdir, add_zip, files_below, make_set
from lrmcodec.formats.video import read_clip

COMMAND = [str(Path(sys.executable).with_name("lrmcodec"))]
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
"""A small process between, since a new process counts the memory of the one that it was copied from."""

QUALITY = ["--quality", "60"]


@dataclass(frozen=True)
class Ran:
    """A finished command: exit code, seconds, those of processors, memory of its largest process in MiB, its output."""

    code: int
    seconds: float
    cpu_s: float
    memory_mb: float
    out: str


def run(*arguments: str) -> Ran:
    """Run the command line in a process of its own."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-S", "-c", MEASURED, *COMMAND, *arguments], capture_output=True, text=True,
                          check=False)
    seconds, (cpu_s, memory) = time.perf_counter() - began, map(float, done.stderr.splitlines()[-1].split())
    return Ran(done.returncode, seconds, cpu_s, memory / 1024, done.stdout)


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """A Dask scheduler with `workers` processes of one thread on this machine; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask = [str(Path(sys.executable).with_name("dask"))]
    asked = [["scheduler", "--host", address], ["worker", address, "--nworkers", str(workers), "--nthreads", "1"]]
    started = [subprocess.Popen([*dask, *each, "--no-dashboard"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for each in asked]
    try:
        _wait_for(address, workers)
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _wait_for(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, timeout=30) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(workers, timeout=60)


def run_killed(place: Path, delay_s: float, *arguments: str) -> bool:
    """Archive and kill it some time after it has put its first file into the archive; whether it was alive then."""
    before = _records(place)
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and _records(place) == before:
        time.sleep(0.05)
    try:
        process.wait(delay_s)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def _records(place: Path) -> int:
    return sum(1 for _ in (place / "objects").glob("*/*.json"))


def objects_of(place: Path) -> dict[str, str]:
    """Digests of all objects by name; of records without the time and duration, which differ from run to run."""
    out = {}
    for path in files_below(place / "objects"):
        data = path.read_bytes()
        if path.suffix == ".json" and path.name != "archive.json":
            data = replace(parse_line(data), archived="", seconds=0.0).to_line()
        out[path.name] = hashlib.sha256(data).hexdigest()
    return out


def compare(studies: Path, place: Path, restored: Path) -> tuple[int, int, list[str]]:
    """Files that came back byte for byte, clips that came back as like as their entry says, and what did not."""
    exact, clips, wrong = 0, 0, []
    for entry in Manifest(make_archive(str(place), None).store).entries():
        source = studies.parent / entry.path
        target = restored / entry.path
        if entry.kind == "kept":
            same = hashlib.sha256(target.read_bytes()).hexdigest() == entry.sha256 if target.exists() else False
            exact += same
        else:
            same = _is_like(source, target, entry)
            clips += same
        wrong += [] if same else [entry.path]
    return exact, clips, wrong


def _is_like(source: Path, target: Path, entry: Entry) -> bool:
    """Whether a restored clip has the error that its entry says; sources inside zips are compared by size alone."""
    if not target.exists():
        target = target.with_name(target.name + ".dcm")
    assert entry.coding is not None
    back = read_clip(target).frames
    if not source.exists():
        return back.shape == (entry.coding.frames, entry.coding.height, entry.coding.width)
    from lrmcodec import metrics

    return abs(metrics.psnr_db(read_clip(source).frames, back) - entry.coding.psnr_db) < 0.01


def drill(folder: Path, count: int, kills: int, seed: int) -> list[str]:
    """The whole drill; lines of a report."""
    studies, whole, harmed = (folder / name for name in ("studies", "whole", "harmed"))
    made = _make_studies(studies, whole, count, seed)
    timed = _timed(studies, whole)
    lines = [made, "", "| what | result |", "| --- | --- |"]
    lines += _times(timed, _timed_in_clusters(studies, folder / "shared"))
    summary = json.loads(timed[2].out)
    lines += [f"| files by kind | {', '.join(f'{number} {kind}' for kind, number in summary['kinds'].items())} |",
              f"| not archived | {len([each for each in summary['failed'] if not each['kept']])} |"]
    lines += _harm(studies, whole, harmed, kills, timed[2].seconds, seed)
    return lines + _check(studies, harmed, folder / "restored")


def _make_studies(studies: Path, whole: Path, count: int, seed: int) -> str:
    """Make the files, and say which."""
    made = make_set(studies, count, seed=seed)
    add_zip(studies, "exam.zip")
    add_dicomdir(studies / "disc", sorted(studies.rglob("LUS*.dcm"))[:3])
    files = list(walk([str(studies)], str(whole)))
    return (f"{len(files)} files made ({', '.join(f'{number} {kind}' for kind, number in made.items())}, and a zip and "
            f"a DICOMDIR with files of theirs), {sum(file.size_bytes for file in files) / 1e6:.1f} MB.")


def _timed(studies: Path, whole: Path) -> dict[int, Ran]:
    """Runs by one process and by two; the archive of the latter stays in `whole`."""
    timed = {}
    for processes in (1, 2):
        shutil.rmtree(whole, ignore_errors=True)
        timed[processes] = run("archive", str(studies), "-o", str(whole), *QUALITY, "-j", str(processes), "--json")
    return timed


def _timed_in_clusters(studies: Path, shared: Path) -> dict[int, Ran]:
    """Runs by clusters of one worker and of two."""
    timed = {}
    for workers in (1, 2):
        shutil.rmtree(shared, ignore_errors=True)
        with cluster(workers) as address:
            timed[workers] = run("archive", str(studies), "-o", str(shared), *QUALITY, "--scheduler", address)
    return timed


def _times(timed: dict[int, Ran], in_clusters: dict[int, Ran]) -> list[str]:
    """Rows of the report: seconds, and what the second process or worker gave."""
    gain, gain_in_cluster = (each[1].seconds / each[2].seconds for each in (timed, in_clusters))
    return [f"| archived by 1 process | {timed[1].seconds:.1f} s |",
            f"| archived by 2 processes | {timed[2].seconds:.1f} s, {gain:.2f} times as fast |",
            f"| archived by 1 worker of a Dask cluster on this machine | {in_clusters[1].seconds:.1f} s |",
            f"| archived by 2 workers | {in_clusters[2].seconds:.1f} s, {gain_in_cluster:.2f} times as fast |"]


def _harm(studies: Path, whole: Path, harmed: Path, kills: int, usual_seconds: float, seed: int) -> list[str]:
    """Archive, killed `kills` times and started again: rows of the report, beside the archive that was left alone."""
    make_archive(str(harmed), None)
    shutil.copyfile(whole / "archive.json", harmed / "archive.json")  # its id salts ids: equal archives need the same
    shutil.copyfile(whole / "objects" / "archive.json", harmed / "objects" / "archive.json")
    draw, killed = random.Random(seed), 0
    while killed < kills and run_killed(harmed, draw.uniform(0, 1.2 * usual_seconds / kills), "archive", str(studies),
                                        "-o", str(harmed), "-j", "2"):
        killed += 1
    last = json.loads(run("archive", str(studies), "-o", str(harmed), "-j", "2", "--json").out)
    same, count = objects_of(harmed) == objects_of(whole), len(objects_of(whole))
    return [f"| killed (SIGKILL at random moments) and started again | {killed} times |",
            f"| then, the last run | {last['files']} files, {last['skipped']} there already, {last['new']} new |",
            f"| objects equal to those of the run that was not killed | {'yes, all' if same else 'NO'} ({count}) |"]


def _check(studies: Path, harmed: Path, restored: Path) -> list[str]:
    """Verify, restore and compare with the sources: rows of the report."""
    found = json.loads(run("archive", "verify", str(harmed), "-j", "2", "--json").out)
    back = json.loads(run("archive", "restore", str(harmed), "--all", "-o", str(restored), "-j", "2", "--json").out)
    exact, clips, wrong = compare(studies, harmed, restored)
    return [f"| verified | {found['decoded']} of {found['files']} files read and decoded, {len(found['problems'])} "
            f"problems, {found['loose_objects']} loose objects |",
            f"| restored | {back['written']} files, {len(back['failed'])} failed |",
            f"| compared with their sources | {exact} byte for byte, {clips} clips within 0.01 dB of their PSNR, "
            f"{len(wrong)} wrong |"]


def synthetic(folder: Path, count: int) -> list[str]:
    """A row: listing, statistics and a dry run of an archive of `count` files that only its manifest knows."""
    studies, place = folder / "many", folder / "synthetic"
    for index in range(count):
        file = studies / f"exam_{index // 100:03d}" / f"IM{index:05d}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    archive = make_archive(str(place), Policy())
    journal = Journal(archive.store)
    rng = np.random.default_rng(0)
    lines = []
    for source in walk([str(studies)], str(place)):
        entry = _made_up(source.path, source.stat, rng)
        for blob in entry.blobs:
            (place / blob.key).write_bytes(b"x" * blob.size_bytes)
        (place / entry.record_key).write_bytes(entry.to_line())
        lines.append(entry.to_line())
    assert entry.coding is not None
    (place / "packs" / entry.coding.pack).mkdir()
    (place / "packs" / entry.coding.pack / "card.json").write_text("{}")
    (place / "manifest" / "20240101T000000Z-0.jsonl").write_bytes(b"".join(lines))
    journal.flush()
    runs = [run("archive", *arguments) for arguments in (
        ("list", str(place)), ("list", str(place), "--json"), ("find", str(place), "--hr", "60..70"),
        ("stats", str(place)), (str(studies), "-o", str(place), "--dry-run", "--json"))]
    assert json.loads(runs[-1].out)["files"] == {"archived": count}
    cells = [f"{ran.seconds:.2f} s ({ran.cpu_s:.2f} s), {ran.memory_mb:.0f} MiB" for ran in runs]
    return [f"| {count:,} | " + " | ".join(cells) + " |"]


def _made_up(path: str, stat: str, rng: np.random.Generator) -> Entry:
    digest = hashlib.sha256(path.encode()).hexdigest()
    coding = Coding(digest, digest, rng.uniform(20, 90, 16).round(3).tolist(), 100, 480, 640, 50.0, True, 2.0,
                    {"asked": {"quality": 80}, "quality": 80}, "c" * 64, 1, 300.0, 35.0, 0.93, 12,
                    {"quality_word": "cardiac", "quality": 0.9, "heart_rate_bpm": float(rng.integers(50, 110)),
                     "ed_frames": [5, 48, 91], "es_frames": [22, 65], "polarity_confidence": 0.9},
                    {"source": "dicom", "modality": "US", "transfer_syntax": "JPEG Baseline (Process 1)"})
    return Entry(entry_id(path, digest), path, 1, "2024-01-01T00:00:00+00:00", digest, stat, "clip",
                 coded=Blob(digest, 20, ".lrm"), study=f"2.25.{path.split('/')[1]}", modality="US", coding=coding,
                 tool="0.1.0", archived="2024-01-01T00:00:00+00:00")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill in a new folder and write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True)
    lines = ["# An archive under fire", "", "Made with `python -P -m lrmcodec.benchmarks.studies.archive`.", ""]
    lines += drill(asked.folder, asked.files, asked.kills, asked.seed)
    lines += ["", "Archives that only a synthetic manifest fills: seconds of the whole command, in brackets those of",
              "processors, and memory of its process.", "",
              "| files | list | list --json | find --hr | stats | archive --dry-run |",
              "| --- | --- | --- | --- | --- | --- |"]
    for count in (1000, 10_000):
        lines += synthetic(asked.folder / str(count), count)
    asked.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
