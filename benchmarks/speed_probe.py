"""A process of its own that encodes and decodes one clip repeatedly and measures time and memory.

python -m lrmcodec.benchmarks.speed_probe CLIP.npz PACK DEVICE RANK_OR_NOTHING REPEATS

The first run is not counted: it loads libraries. Prints lists of `repeats` figures as JSON.
"""

from __future__ import annotations

import json
import sys
import time

from lrmcodec import codec
from lrmcodec.benchmarks.memory import peak_mib, reset_peak
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import read_clip

NAMES = ("encode_seconds", "encode_peak_mib", "decode_seconds", "decode_peak_mib")


def once(clip: Clip, pack: str, device: str, rank: int | None) -> tuple[float, float, float, float]:
    """Encode, then decode block by block as the command line does: the figures of NAMES."""
    reset_peak()
    began = time.perf_counter()
    data = codec.encode(clip, pack=pack, device=device, rank=rank).data
    encode_seconds, encode_peak = time.perf_counter() - began, peak_mib()
    reset_peak()
    began = time.perf_counter()
    file = codec.open(data, pack=pack if "/" in pack else None, device=device)
    shown = sum(len(block) for block in file.blocks())
    assert shown == len(clip.frames)
    return encode_seconds, encode_peak, time.perf_counter() - began, peak_mib()


def main(arguments: list[str]) -> None:
    """Measure as asked on the command line."""
    path, pack, device, rank, repeats = arguments
    clip = read_clip(path)
    runs = [once(clip, pack, device, int(rank) if rank else None) for _ in range(int(repeats) + 1)]
    print(json.dumps(dict(zip(NAMES, map(list, zip(*runs[1:], strict=True)), strict=True))))


if __name__ == "__main__":
    main(sys.argv[1:])
