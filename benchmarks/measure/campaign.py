"""The benchmark: every clip through every pack and peer, rows written as they come.

Each clip is measured by a process of its own (`worker`), so that a crash or a damaged clip loses no other. Rows are
appended to `rows.tsv` one by one; a run that was interrupted or killed goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from lrmcodec.benchmarks.measure.asks import Plan
from lrmcodec.benchmarks.measure.rows import Row, read_rows, to_line, write_rows
from lrmcodec.benchmarks.measure.sets import Source, files
from lrmcodec.benchmarks.measure.worker import Work
from lrmcodec.formats.errors import OutputError, TargetError

ROWS, FILES = "rows.tsv", "files"
WORKER = ["-m", "lrmcodec.benchmarks.measure.worker"]
STALL_SECONDS = 1800.0
"""A worker that gives no row for so long is stopped, and its clip counts as failed."""

Report = Callable[[float, str], None]
Failure = Callable[[str, str], None]


def bench(clips: Sequence[str | Path | Source], *, output: str | Path, plan: Plan | None = None,
          resume: bool = False, force: bool = False, failed: Failure | None = None,
          progress: Report | None = None) -> list[Row]:
    """Measure clips and return their rows, which also stand in `output`/rows.tsv.

    Parameters
    ----------
    clips : sequence
        Files, folders, NAME=PATH, or sources from `sets`.
    output : path
        Folder; made if it is not there.
    plan : Plan, optional
        Packs, peers, ranks, ratios, device, clips at a time.
    resume, force : bool
        Go on with the rows that are in the folder, or begin anew; without either, rows there are refused.
    failed : callable, optional
        Called with a clip's name and a sentence for everything that failed; by default a warning.
    progress : callable, optional
        Called with the fraction done and a label.

    Raises
    ------
    ClipError, OutputError, PackError, TargetError
        When nothing can be measured at all; the failure of one clip is reported and does not stop the others.
    """
    plan = plan or Plan()
    plan.check()
    sources = _sources(clips)
    folder = Path(output)
    rows = _begin(folder, resume, force)
    run = _Run(plan, folder, rows, failed or _warn, progress or _silent, len(sources), plan.used_device())
    run.measure(sources)
    order = {source.name: index for index, source in enumerate(sources)}
    valid = [row for row in run.rows if run.clip_ids.get(row.clip, row.clip_id) == row.clip_id]
    valid.sort(key=lambda row: order.get(row.clip, len(order)))
    write_rows(valid, folder / ROWS)
    return [row for row in valid if row.clip in order]


def _sources(clips: Sequence[str | Path | Source]) -> list[Source]:
    named = files([str(clip) for clip in clips if not isinstance(clip, Source)])
    sources = [clip for clip in clips if isinstance(clip, Source)] + named
    if not sources:
        raise TargetError("there is no clip to measure.", "Name clips or folders, or choose a --set.")
    return sources


def _begin(folder: Path, resume: bool, force: bool) -> list[Row]:
    """Rows to go on with; the file of rows is made, or freed of a line cut short."""
    path = folder / ROWS
    if path.exists() and not (resume or force):
        raise OutputError(f"{path} exists.", "Pass --resume to go on with it or --force to begin anew.")
    try:
        (folder / FILES).mkdir(parents=True, exist_ok=True)
        rows = read_rows(path) if resume and path.exists() else []
        write_rows(rows, path)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}).", "Choose another -o DIR.") from error
    return rows


def _warn(clip: str, why: str) -> None:
    warnings.warn(f"{clip}: {why}", stacklevel=2)


def _silent(fraction: float, label: str) -> None:
    """Progress that nobody watches."""


@dataclass
class _Run:
    """One run over all clips, with what the threads that watch the workers share.

    `clip_ids` tells the rows of each clip from those of an older clip of the same name, which are dropped at the end.
    """

    plan: Plan
    folder: Path
    rows: list[Row]
    failed: Failure
    progress: Report
    clip_count: int
    device: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    processes: set[subprocess.Popen[str]] = field(default_factory=set)
    parts_done: dict[str, float] = field(default_factory=dict)
    clip_ids: dict[str, str] = field(default_factory=dict)
    stopping: bool = False

    def measure(self, sources: Sequence[Source]) -> None:
        """Watch one worker a clip, `jobs` at a time; whatever ends this ends them too."""
        with ThreadPoolExecutor(self.plan.jobs) as pool:
            try:
                for future in as_completed([pool.submit(self._watch, source) for source in sources]):
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop_all()
                raise

    def _watch(self, source: Source) -> None:
        """Run the worker of one clip and take its lines as they come."""
        work = self._work(source)
        with self._started() as process:
            errors = _Tail(process)
            _send(process, work.to_json())
            stalled = self._take_lines(process, source.name)
            code = process.wait()
        with self.lock:
            self.processes.discard(process)
            self.parts_done[source.name] = 1.0
            if self.stopping:
                return
            if stalled:
                self.failed(source.name, f"stopped: no result for {STALL_SECONDS:.0f} seconds.")
            elif code:
                self.failed(source.name, f"its process ended with code {code}. {errors.last()}".rstrip())

    def _started(self) -> subprocess.Popen[str]:
        """A worker, in a session of its own so that it can be ended together with the processes that it started."""
        with self.lock:
            process = subprocess.Popen([sys.executable, "-P", *WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, env=_environment(), start_new_session=True)
            self.processes.add(process)
            if self.stopping:
                _end(process)
        return process

    def _work(self, source: Source) -> Work:
        done = [(row.clip_id, row.codec, row.setting) for row in self.rows if row.clip == source.name]
        return Work(source, list(self.plan.packs), list(self.plan.peers), self.plan.asked, self.device,
                    str(self.folder / FILES), done, self.plan.one_fit)

    def _take_lines(self, process: subprocess.Popen[str], clip: str) -> bool:
        """Write rows down; True when the worker had to be stopped."""
        assert process.stdout is not None
        expected, count, stalled = 1, 0, False

        def stop() -> None:
            nonlocal stalled
            stalled = True
            _end(process)

        timer = _restarted(None, stop)
        for line in process.stdout:
            timer = _restarted(timer, stop)
            message = json.loads(line)
            if "expect" in message:
                expected = max(message["expect"], 1)
                self.clip_ids[clip] = message["clip_id"]
                continue
            count += 1
            with self.lock:
                self._take(message, clip, count / expected)
        timer.cancel()
        return stalled

    def _take(self, message: dict[str, object], clip: str, fraction: float) -> None:
        if "failed" in message:
            self.failed(clip, str(message["failed"]))
            return
        row = Row.from_dict(message["row"])  # type: ignore[arg-type]
        self.rows.append(row)
        with (self.folder / ROWS).open("a", encoding="utf-8") as stream:
            stream.write(to_line(row))
        self.parts_done[clip] = fraction
        self.progress(sum(self.parts_done.values()) / self.clip_count, f"{clip}: {row.codec}, {row.setting.words}")

    def _stop_all(self) -> None:
        with self.lock:
            self.stopping = True
            for process in self.processes:
                _end(process)


class _Tail:
    """Last line that a process writes to stderr, read meanwhile so that the pipe never fills."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._line = ""
        self._thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._thread.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._line = line.strip() or self._line

    def last(self) -> str:
        """The line; call it when the process has ended."""
        self._thread.join()
        return self._line


def _send(process: subprocess.Popen[str], text: str) -> None:
    """Give a process its job; one that has ended already shows by its exit code."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(text)
        process.stdin.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a worker with all that it started; a decoding process left alive would hold its pipes open."""
    if not hasattr(os, "killpg"):
        process.kill()
    elif process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _restarted(timer: threading.Timer | None, action: Callable[[], None]) -> threading.Timer:
    if timer is not None:
        timer.cancel()
    fresh = threading.Timer(STALL_SECONDS, action)
    fresh.daemon = True
    fresh.start()
    return fresh


def _environment() -> dict[str, str]:
    """One thread for small matrices: several wait for each other beside other work."""
    return {"OPENBLAS_NUM_THREADS": "1", **os.environ}
