"""A process of its own that encodes or decodes one clip repeatedly and measures time and memory.

python -m lrmcodec.benchmarks.studies.speed_probe encode CLIP.npz FILE.lrm PACK DEVICE RANK_OR_NOTHING REPEATS
python -m lrmcodec.benchmarks.studies.speed_probe decode FRAMES FILE.lrm PACK DEVICE RANK_OR_NOTHING REPEATS

The first run is not counted: it loads libraries. Prints lists of REPEATS figures as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from lrmcodec import codec
from lrmcodec.benchmarks.measure.memory import peak_mib, reset_peak
from lrmcodec.formats.video import read_clip


def encoder(clip_path: str, path: str, pack: str, device: str, rank: int | None) -> Callable[[], None]:
    """What encodes the clip to the file, as the command line does."""
    clip = read_clip(clip_path)
    return lambda: codec.encode(clip, pack=pack, device=device, rank=rank).save(path, force=True)


def decoder(frames: str, path: str, pack: str, device: str, rank: int | None) -> Callable[[], None]:
    """What decodes the file block by block, as the command line does."""

    def decode() -> None:
        file = codec.open(path, pack=pack if "/" in pack else None, device=device)
        shown = sum(len(block) for block in file.blocks())
        assert shown == int(frames)

    return decode


TASKS = {"encode": encoder, "decode": decoder}


def once(task: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and the largest resident size meanwhile in MiB."""
    reset_peak()
    began = time.perf_counter()
    task()
    return time.perf_counter() - began, peak_mib()


def main(arguments: list[str]) -> None:
    """Measure as asked on the command line."""
    name, source, path, pack, device, rank, repeats = arguments
    task = TASKS[name](source, path, pack, device, int(rank) if rank else None)
    runs = [once(task) for _ in range(int(repeats) + 1)][1:]
    print(json.dumps({"seconds": [seconds for seconds, _ in runs], "peak_mib": [peak for _, peak in runs]}))


if __name__ == "__main__":
    main(sys.argv[1:])
