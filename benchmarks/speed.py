"""Seconds, frames a second and memory of the codec on a simulated clip, each in a process of its own.

python -m lrmcodec.benchmarks.speed -o DIR [--repeats 5] [--device cpu|cuda] [--packs spatial,lrm-ortho]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lrmcodec import codec
from lrmcodec.benchmarks.provenance import provenance
from lrmcodec.simulate.phantom import beating_heart

FRAMES = 176
SIZE = (112, 112)
LONG_FRAMES = 5000
COMMAND = str(Path(sysconfig.get_path("scripts")) / "lrmcodec")
PROBE = """
import json, resource, sys, time
from lrmcodec import codec
from lrmcodec.simulate.phantom import beating_heart
task, path, frames, height, width, pack, device = sys.argv[1:8]
clip = beating_heart(int(frames), (int(height), int(width))) if task == "encode" else None
began = time.perf_counter()
if clip is not None:
    codec.encode(clip, pack=pack, device=device).save(path, force=True)
else:
    file = codec.open(path, device=device)
    frames = sum(len(block) for block in file.blocks())
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""

Row = tuple[str, float, float, str]  # what, median, spread, unit


def command_rows(path: Path, repeats: int) -> Iterator[Row]:
    """Wall seconds of the quick commands, from starting the process to its end."""
    for arguments in (["--help"], ["info", str(path)], ["info", "--json", str(path)]):
        yield (f"lrmcodec {' '.join(arguments).replace(str(path), 'FILE')}",
               *_median(lambda a=arguments: _run_seconds([COMMAND, *a]), repeats), "s")


def codec_rows(pack: str, device: str, folder: Path, repeats: int) -> Iterator[Row]:
    """Encoding and decoding at the default quality."""
    path = folder / f"{pack}.lrm"
    runs = [_probe("encode", path, FRAMES, pack, device) for _ in range(repeats)]
    yield f"{pack}: encode {FRAMES} frames", *_spread([run["seconds"] for run in runs]), "s"
    yield f"{pack}: peak memory of encode", *_spread([run["peak_mib"] for run in runs]), "MiB"
    runs = [_probe("decode", path, FRAMES, pack, device) for _ in range(repeats)]
    yield f"{pack}: decode", *_spread([FRAMES / run["seconds"] for run in runs]), "frames/s, opening included"
    yield f"{pack}: peak memory of decode", *_spread([run["peak_mib"] for run in runs]), "MiB"


def long_rows(device: str, folder: Path) -> Iterator[Row]:
    """A clip of several segments: time and memory must not run away."""
    path = folder / "long.lrm"
    run = _probe("encode", path, LONG_FRAMES, "spatial", device)
    yield f"spatial: encode {LONG_FRAMES} frames", run["seconds"], 0.0, "s"
    yield f"spatial: peak memory of encode, {LONG_FRAMES} frames", run["peak_mib"], 0.0, "MiB"
    run = _probe("decode", path, LONG_FRAMES, "spatial", device)
    yield f"spatial: decode {LONG_FRAMES} frames", LONG_FRAMES / run["seconds"], 0.0, "frames/s, opening included"
    yield f"spatial: peak memory of decode, {LONG_FRAMES} frames", run["peak_mib"], 0.0, "MiB"


def _probe(task: str, path: Path, frames: int, pack: str, device: str) -> dict[str, float]:
    arguments = [task, str(path), str(frames), str(SIZE[0]), str(SIZE[1]), pack, device]
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _run_seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _median(run: object, repeats: int) -> tuple[float, float]:
    assert callable(run)
    return _spread([run() for _ in range(repeats)])


def _spread(values: list[float]) -> tuple[float, float]:
    """Median, and half the distance between largest and smallest."""
    return statistics.median(values), (max(values) - min(values)) / 2


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--packs", default="spatial,lrm-ortho")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = folder / "sample.lrm"
        codec.encode(beating_heart(FRAMES, SIZE)).save(sample)
        rows += command_rows(sample, options.repeats)
        for pack in options.packs.split(","):
            rows += codec_rows(pack, options.device, folder, options.repeats)
        rows += long_rows(options.device, folder)
    lines = ["| what | median | +- | unit |", "|---|---|---|---|"]
    lines += [f"| {what} | {value:.3g} | {spread:.2g} | {unit} |" for what, value, spread, unit in rows]
    load = f"load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    note = f"{SIZE[0]}x{SIZE[1]} simulated heart, default quality, device {options.device}. {provenance()}; {load}."
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "speed.md").write_text("\n".join(lines) + f"\n\n{note}\n")
    print("\n".join(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
