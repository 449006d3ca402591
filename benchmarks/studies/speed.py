"""Speed and memory of the codec: commands, encoding and decoding, and how they grow with length, size and rank.

Pinned to one core a clip is coded in one thread, by clock about as by processor time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lrmcodec import codec
from lrmcodec.benchmarks.table import Table
from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack
from lrmcodec.formats.atomic import check_writable, write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError, OutputError
from lrmcodec.formats.video import write_clip
from lrmcodec.provenance import provenance
from lrmcodec.simulate.heart.phantom import beating_heart
from lrmcodec.simulate.presets import PRESETS
from lrmcodec.simulate.simulator import simulate

TABLE, RECORD = "speed.tsv", "speed.md"
HEAD = ("What", "Median", "±", "Unit")
ENCODE, DECODE, MEMORY, CPU = "encode", "decode", "peak memory", "processor time"
CASES_HEAD = ("Clip", "Encode, s", "of processors, s", "Peak, MiB", "Decode, frames/s", "Peak, MiB")
FRAMES, SIDE = 176, 112
COMMANDS = (("--help",), ("info", "FILE"), ("readout", "FILE"))
STATEMENTS = ("import lrmcodec", "import lrmcodec.codec", "import lrmcodec.decoders.grid_siren")
LENGTHS, SIDES, RANKS = (44, 704, 5000), (56, 224, 448), (2, 8, 32)
RECORDED = ((60, (480, 640), 100.0), (120, (1080, 1920), 300.0))
"""Frames, size and ratio of what machines record; measured once, with the default pack."""

LONG = 1000  # clips of more frames are measured once
SLOW_SECONDS = 5.0  # a pack that takes longer for the base clip is not scaled
SCALED_FRAMES = 44  # of the larger pictures

Report = Callable[[float, str], None]


class Speed(NamedTuple):
    """One measurement: median over repeats, half the distance between largest and smallest, unit."""

    what: str
    median: float
    spread: float
    unit: str

    def cells(self) -> tuple[str, ...]:
        """Text for a table."""
        return self.what, f"{self.median:.3g}", f"{self.spread:.2g}", self.unit


class Task(NamedTuple):
    """A clip to encode and decode repeatedly in one process."""

    name: str
    pack: str
    device: str
    frames: int
    size: tuple[int, int]
    rank: int | None
    repeats: int
    ratio: float | None = None


def measure(folder: Path, *, packs: Sequence[str] = (DEFAULT_PACK,), device: str = "auto", repeats: int = 5,
            force: bool = False, progress: Report | None = None) -> list[Speed]:
    """Measure and write `speed.md` and `speed.tsv` into a folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    packs : sequence of str
        Decoder packs.
    device : str
        'cpu', 'cuda', or 'auto': both where packs have weights and there is a GPU.
    repeats : int
        Runs of which the median is taken, after one that is not counted.
    force : bool
        Replace older results.
    progress : callable, optional
        Called with the fraction done and a label.

    Raises
    ------
    OutputError, LrmError
        When the folder cannot be written, or a run fails.
    """
    _prepare(folder, force)
    report = progress or (lambda fraction, label: None)
    rows = list(_command_rows(repeats))
    report(0.0, "simulation")
    rows += _simulation_rows(device, repeats)
    works = [(pack, where) for pack in packs for where in _devices(pack, device)]
    for index, (pack, where) in enumerate(works):
        report(index / len(works), f"{pack} on {where}")
        rows += _pack_rows(pack, where, repeats, report, index / len(works), 1 / len(works))
    write_atomic(folder / TABLE, _as_tsv(rows).encode(), force=True)
    write_atomic(folder / RECORD, _as_markdown(rows, [where for _, where in works]).encode(), force=True)
    return rows


def _prepare(folder: Path, force: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}).", "Choose another -o DIR.") from error
    for name in (TABLE, RECORD):
        check_writable(folder / name, force)


def _devices(pack: str, device: str) -> list[str]:
    """Devices to measure a pack on; decoders without weights use no GPU."""
    if device != "auto":
        return [device]
    if not find_pack(pack).weight_bytes:
        return ["cpu"]
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _command_rows(repeats: int) -> Iterator[Speed]:
    """Wall seconds of quick commands and of imports, from starting the process to its end."""
    command = str(Path(sysconfig.get_path("scripts")) / "lrmcodec")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "sample.lrm"
        codec.encode(beating_heart(FRAMES, (SIDE, SIDE))).save(path)
        for words in COMMANDS:
            yield _timed(f"lrmcodec {' '.join(words)}",
                         [command, *(str(path) if word == "FILE" else word for word in words)], repeats)
    for statement in STATEMENTS:
        yield _timed(f"python: {statement}", [sys.executable, "-P", "-c", statement], repeats)


def _simulation_rows(device: str, repeats: int) -> Iterator[Speed]:
    """Simulated frames a second of every preset, drawing the patient included."""
    import torch

    where = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    for preset in PRESETS:
        simulate(preset, 0, frame_count=1, device=where)
        rates = []
        for seed in range(repeats):
            began = time.perf_counter()
            simulate(preset, seed, frame_count=FRAMES, size=(SIDE, SIDE), device=where)
            rates.append(FRAMES / (time.perf_counter() - began))
        yield _speed(f"simulate {preset}, {where}, {FRAMES} frames of {SIDE}x{SIDE}", rates, "frames/s")


def _timed(what: str, command: list[str], repeats: int) -> Speed:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return _speed(what, seconds, "s")


def _pack_rows(pack: str, device: str, repeats: int, report: Report, start: float, share: float) -> Iterator[Speed]:
    """The base clip, and what it takes with more or fewer frames, pixels and coefficients."""
    base = Task("base", pack, device, FRAMES, (SIDE, SIDE), None, repeats)
    rows = list(_task_rows(base))
    yield from rows
    if pack == DEFAULT_PACK:
        for count, size, ratio in RECORDED:
            yield from _task_rows(Task("recorded", pack, device, count, size, None, 0, ratio))
    if rows[0].median > SLOW_SECONDS:
        return
    tasks = [base._replace(name="length", frames=count, repeats=repeats if count <= LONG else 1) for count in LENGTHS]
    tasks += [base._replace(name="size", frames=SCALED_FRAMES, size=(side, side)) for side in SIDES]
    tasks += [base._replace(name="rank", rank=rank) for rank in RANKS]
    for index, task in enumerate(tasks):
        report(start + share * (index + 1) / (len(tasks) + 1), f"{pack} on {device}: {_label(task)}")
        yield from _task_rows(task)


def _task_rows(task: Task) -> Iterator[Speed]:
    with tempfile.TemporaryDirectory() as name:
        clip, path = Path(name) / "clip.npz", Path(name) / "file.lrm"
        write_clip(frames_like(task.frames, task.size), clip)
        encoded = _run(task, "encode", str(clip), path)
        decoded = _run(task, "decode", str(task.frames), path)
    what = f"{Path(task.pack).name}, {task.device}, {_label(task)}"
    yield _speed(f"{what}: {ENCODE}", encoded["seconds"], "s")
    yield _speed(f"{what}: {ENCODE}, {CPU}", encoded["cpu_seconds"], "s")
    yield _speed(f"{what}: {ENCODE}, {MEMORY}", encoded["peak_mib"], "MiB")
    yield _speed(f"{what}: {DECODE}", [task.frames / seconds for seconds in decoded["seconds"]], "frames/s")
    yield _speed(f"{what}: {DECODE}, {MEMORY}", decoded["peak_mib"], "MiB")


def _label(task: Task) -> str:
    rank = "" if task.rank is None else f", rank {task.rank}"
    ratio = "" if task.ratio is None else f", {task.ratio:g}:1"
    return f"{task.frames} frames of {task.size[0]}x{task.size[1]}{rank}{ratio}"


def _run(task: Task, what: str, source: str, path: Path) -> dict[str, list[float]]:
    """Figures of encoding or decoding, measured by a process of its own."""
    arguments = [what, source, str(path), task.pack, task.device, "" if task.rank is None else str(task.rank),
                 "" if task.ratio is None else str(task.ratio), str(task.repeats)]
    done = subprocess.run([sys.executable, "-P", "-m", "lrmcodec.benchmarks.studies.speed_probe", *arguments],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise LrmError(f"{task.pack} on {task.device} could not be measured: {reason[0]}.")
    figures: dict[str, list[float]] = json.loads(done.stdout)
    return figures


def frames_like(count: int, size: tuple[int, int]) -> Clip:
    """A simulated heart, shown forth and back to fill `count` frames and enlarged or reduced to (H, W)."""
    base = beating_heart(min(count, FRAMES), (SIDE, SIDE)).frames
    turn = np.concatenate([np.arange(len(base)), np.arange(len(base) - 2, 0, -1)])
    frames = base[np.resize(turn, count)]
    if size != (SIDE, SIDE):
        frames = np.stack([np.asarray(Image.fromarray(frame).resize(size[::-1])) for frame in frames])
    return Clip.from_fps(frames, 50.0)


def _speed(what: str, values: Sequence[float], unit: str) -> Speed:
    return Speed(what, statistics.median(values), (max(values) - min(values)) / 2, unit)


def _as_tsv(rows: Sequence[Speed]) -> str:
    lines = [(row.what, f"{row.median:.5g}", f"{row.spread:.3g}", row.unit) for row in rows]
    return Table("Speed", Speed._fields, lines).tsv()


def _as_markdown(rows: Sequence[Speed], devices: Sequence[str]) -> str:
    commands = [row.cells() for row in rows if ": " + ENCODE not in row.what and ": " + DECODE not in row.what]
    load = f"; load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    where = "cuda" if "cuda" in devices else "cpu"
    note = (f"Medians ± half the distance between largest and smallest. A simulated heart at the default quality, "
            f"shown forth and back in longer clips, enlarged in larger ones. Encoding includes measuring PSNR and "
            f"SSIM3D of the result, decoding includes opening; memory includes interpreter and libraries. Clips with a "
            f"ratio were measured once, libraries to be loaded. "
            f"{provenance(where)}{load}.")
    tables = Table("Commands", HEAD, commands), Table("Clips", CASES_HEAD, _cases(rows))
    return "\n\n".join([*(table.markdown() for table in tables), note]) + "\n"


def _cases(rows: Sequence[Speed]) -> list[tuple[str, ...]]:
    """One line a clip that was encoded and decoded."""
    known = {row.what: row for row in rows}
    cases = [row.what.removesuffix(f": {ENCODE}") for row in rows if row.what.endswith(f": {ENCODE}")]
    kinds = (ENCODE, f"{ENCODE}, {CPU}", f"{ENCODE}, {MEMORY}", DECODE, f"{DECODE}, {MEMORY}")
    return [(case, *(_with_spread(known[f"{case}: {kind}"]) for kind in kinds)) for case in cases]


def _with_spread(row: Speed) -> str:
    digits = 0 if row.median >= 100 else 2
    return f"{row.median:,.{digits}f} ± {row.spread:,.{digits}f}"
