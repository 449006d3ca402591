"""A process of its own that decodes .lrm files from disk and measures them: proof that a file stands alone.

python -m lrmcodec.benchmarks.measure.probe CLIP.npz DEVICE PACK_FOLDER_OR_NOTHING

Reads names of .lrm files from stdin, one a line, and answers each with one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.measure.memory import peak_mib, reset_peak
from lrmcodec.benchmarks.measure.quality import qualities
from lrmcodec.codec import open as open_lrm
from lrmcodec.formats.video import read_clip


def measure(path: str, original: NDArray[np.uint8], pack: str | None, device: str) -> dict[str, Any]:
    """Qualities, speed and memory of decoding one file."""
    reset_peak()
    began = time.perf_counter()
    decoded = open_lrm(path, pack=pack, device=device).frames()
    seconds = time.perf_counter() - began
    peak = peak_mib()
    return {**qualities(original, decoded), "decode_fps": len(decoded) / seconds, "decode_peak_mib": peak}


def main(arguments: list[str]) -> None:
    """Answer until stdin ends. The first file is decoded twice, so that libraries are loaded when it is measured."""
    clip_path, device, pack = arguments
    original = read_clip(clip_path).frames
    warm = False
    for line in sys.stdin:
        path = line.rstrip("\n")
        if not warm:
            open_lrm(path, pack=pack or None, device=device).frames()
            warm = True
        print(json.dumps(measure(path, original, pack or None, device)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
