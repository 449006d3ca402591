"""A process of its own that encodes or decodes one clip repeatedly and measures time and memory.

python -m lrmcodec.benchmarks.studies.speed_probe encode CLIP.npz FILE.lrm PACK DEVICE RANK RATIO REPEATS
python -m lrmcodec.benchmarks.studies.speed_probe decode FRAMES FILE.lrm PACK DEVICE RANK RATIO REPEATS

RANK and RATIO may be empty. The first run is not counted, since it loads libraries, unless REPEATS is 0. Prints lists
of figures as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from lrmcodec import codec
from lrmcodec.benchmarks.measure.memory import peak_mib, reset_peak
from lrmcodec.formats.video import read_clip


class Cost(NamedTuple):
    """Of one run: seconds by the clock and of processors, and the largest resident size meanwhile in MiB."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def encoder(clip_path: str, path: str, pack: str, device: str, rank: int | None,
            ratio: float | None) -> Callable[[], None]:
    """What encodes the clip to the file, as the command line does."""
    clip = read_clip(clip_path)
    return lambda: codec.encode(clip, pack=pack, device=device, rank=rank, ratio=ratio).save(path, force=True)


def decoder(frames: str, path: str, pack: str, device: str, rank: int | None,
            ratio: float | None) -> Callable[[], None]:
    """What decodes the file block by block, as the command line does."""

    def decode() -> None:
        file = codec.open(path, pack=pack if "/" in pack else None, device=device)
        shown = sum(len(block) for block in file.blocks())
        assert shown == int(frames)

    return decode


TASKS = {"encode": encoder, "decode": decoder}


def once(task: Callable[[], None]) -> Cost:
    """What a task costs."""
    reset_peak()
    began, cpu_began = time.perf_counter(), time.process_time()
    task()
    return Cost(time.perf_counter() - began, time.process_time() - cpu_began, peak_mib())


def main(arguments: list[str]) -> None:
    """Measure as asked on the command line."""
    name, source, path, pack, device, rank, ratio, repeats = arguments
    task = TASKS[name](source, path, pack, device, int(rank) if rank else None, float(ratio) if ratio else None)
    runs = [once(task) for _ in range(int(repeats) + 1)]
    print(json.dumps(dict(zip(Cost._fields, zip(*(runs[1:] or runs), strict=True), strict=True))))


if __name__ == "__main__":
    main(sys.argv[1:])
