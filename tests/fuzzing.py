"""Mutated files for readers: what comes out, how long it takes and how much memory; see docs/reliability.md.

By hand, from the checkout: python -P tests/fuzzing.py KIND COUNT [FIRST], KIND one of lrm, dcm, avi, mp4, mkv, gif,
npz, webp, tif, png. Input number i depends on KIND and i alone.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lrmcodec.decoders.base import Decoder
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import MAGIC, PREFIX_BYTES, VERSION
from lrmcodec.formats.errors import LrmError
from lrmcodec.formats.pack import Pack

MAX_SECONDS, MAX_BYTES = 10.0, 1 << 30
CHUNK = 500
"""Inputs of one child process."""

MEASURED = 20
"""Inputs from one look at the memory to the next: it takes longer than to refuse a file."""

RENDERED = 1 << 22
"""Pixels of the frames rendered of a mutated .lrm file; its header may ask for hours."""

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass
class Outcome:
    """What became of the inputs: how often they were read and refused, the slowest, and what must not be.

    `most_bytes` is what the process may have had: a gigabyte, or half of one beside what other tests left behind.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    peak_bytes: int = 0
    most_bytes: int = MAX_BYTES
    faults: list[str] = field(default_factory=list)


def mutate(data: bytes, draw: random.Random) -> bytes:
    """Change a few places: bits, bytes, numbers, pieces moved, left out or doubled, the end cut off."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        if not out:
            break
        at, kind = draw.randrange(len(out)), draw.randrange(8)
        if kind <= 1:
            out[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            out[at] = draw.choice(EXTREMES)
        elif kind == 3:
            out[at] = draw.randrange(256)
        elif kind == 4:
            out[at : at + 4] = draw.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        elif kind == 5:
            del out[at : at + draw.randrange(1, 9)]
        elif kind == 6:
            out[at:at] = out[at : at + draw.randrange(1, 17)]
        else:
            del out[at + draw.randrange(1, 1 + len(out) - at) :]
    return bytes(out)


def sealed(body: bytes) -> bytes:
    """A .lrm file of `body` with its checksum right."""
    return MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body


def small_lrm() -> list[bytes]:
    """Small files with everything that a file can hold; more of those that are read quickly."""
    import pytest
    import quick_coder

    from lrmcodec import codec

    y, x = np.mgrid[:16, :16]
    frames = np.stack([127 + 100 * np.sin(x / 5 + k / 3) * np.cos(y / 4) for k in range(8)]).astype(np.uint8)
    uneven = np.cumsum([0, 0.04, 0.04, 0.05, 0.04, 0.03, 0.04, 0.04])
    with pytest.MonkeyPatch.context() as patch:
        quick_coder.quick_stills(patch.setattr)
        plain = codec.encode(Clip.from_fps(frames, 25), rank=1, quality=10)
        quick_coder.quick_pictures(patch.setattr)
        full = codec.encode(Clip(frames, uneven, warnings=("odd",)), rank=3, quality=30,
                            metadata={"a": [1, {"b": None}]}, study=b"\x08\0\x05\0CS\0\0")
        patch.setattr(codec, "SEGMENT_FRAMES", 4)
        parts = codec.encode(Clip.from_fps(frames, 30), rank=2, quality=20)
    return [*[full.data, parts.data] * 8, plain.data]  # wavelets take much longer to read than all else


@cache
def usual_pack() -> Pack:
    """The default decoder pack."""
    from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack

    return find_pack(DEFAULT_PACK)


@cache
def usual_decoder() -> Decoder:
    """Its decoder."""
    from lrmcodec.decoders.registry import make_decoder

    return make_decoder(usual_pack(), "cpu")


def read_lrm(data: bytes, path: Path) -> None:
    """Read everything of a .lrm file, and render its first frames."""
    from lrmcodec.reader import LrmFile

    file = LrmFile(data)
    if file.coded.pack_id == usual_pack().pack_id:  # whose digest is not taken anew for each
        file._given = usual_decoder()
    json.dumps([file.fps, file.duration_s, file.metadata, file.warnings])
    height, width = file.size
    if sum((segment.rank + 1) for segment in file.coded.segments[:4]) * height * width <= RENDERED:
        for block in file.blocks(file.times_s[: max(1, RENDERED // 64 // (height * width))]):
            assert block.dtype == np.uint8


def small_clips(kind: str) -> list[bytes]:
    """Small clips of one kind; of DICOM one a syntax and kind of pixels."""
    from PIL import Image

    from lrmcodec.formats.video import write_clip

    frames = np.random.default_rng(7).integers(0, 256, (6, 4, 6), np.uint8).repeat(8, 1).repeat(8, 2)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "dcm":
            from dicom_files import small_files

            return [path.read_bytes() for path in small_files(Path(folder))]
        path = Path(folder) / f"a.{kind}"
        if kind in ("webp", "tif", "png"):
            pictures = [Image.fromarray(frame) for frame in frames]
            options: dict[str, Any] = {"tif": {"compression": "tiff_lzw"}, "webp": {"lossless": True}}.get(kind, {})
            pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
        else:
            write_clip(Clip.from_fps(frames, 25), path)
        return [path.read_bytes()]


def read_any(data: bytes, path: Path) -> None:
    """Read a clip by its name."""
    from lrmcodec.formats.video import read_clip

    path.write_bytes(data)
    read_clip(path, gray=True)


def check(data: bytes, read: Callable[[bytes, Path], None], path: Path, name: str, outcome: Outcome) -> None:
    """Read one input; anything but a result or an error of ours, in time and within memory, is a fault."""
    began = time.monotonic()
    try:
        read(data, path)
        outcome.counts["read"] += 1
    except LrmError as error:
        outcome.counts["refused"] += 1
        if not error.what:
            outcome.faults.append(f"{name}: an empty message")
    except Exception as error:
        outcome.counts["failed"] += 1
        outcome.faults.append(f"{name}: {type(error).__name__}: {error}"[:300])
    seconds = time.monotonic() - began
    outcome.seconds = max(outcome.seconds, seconds)
    if seconds > MAX_SECONDS:
        outcome.faults.append(f"{name}: {seconds:.0f} s")
    if outcome.counts.total() % MEASURED == 0:
        measure(name, outcome)


def peak_bytes() -> int:
    """Most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name: str, outcome: Outcome) -> None:
    """Note the most memory that the process has had."""
    peak = peak_bytes()
    if peak > outcome.most_bytes >= outcome.peak_bytes:
        outcome.faults.append(f"{name} or up to {MEASURED} before: {peak >> 20} MB")
    outcome.peak_bytes = max(outcome.peak_bytes, peak)


def inputs(kind: str, seeds: list[bytes], numbers: range) -> Iterator[tuple[str, bytes]]:
    """Mutated files and their names."""
    for number in numbers:
        draw = random.Random(f"{kind} {number}")
        seed = draw.choice(seeds)
        changed = sealed(mutate(seed[PREFIX_BYTES:], draw)) if kind == "lrm" else mutate(seed, draw)
        yield f"{kind} {number}", changed


def run(kind: str, numbers: range) -> Outcome:
    """Read mutated files of a kind in this process."""
    outcome = Outcome(most_bytes=max(MAX_BYTES, peak_bytes() + MAX_BYTES // 2))
    seeds, read = (small_lrm(), read_lrm) if kind == "lrm" else (small_clips(kind), read_any)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        for name, data in inputs(kind, seeds, numbers):
            check(data, read, path, name, outcome)
    return outcome


def main(kind: str, count: int, first: int = 0) -> int:
    """Read `count` mutated files in child processes, so that a crash is seen and memory is measured."""
    total = Outcome()
    chunk = CHUNK * (20 if kind == "lrm" else 1)
    began = time.monotonic()
    for start in range(first, first + count, chunk):
        numbers = range(start, min(start + chunk, first + count))
        child = subprocess.run([sys.executable, "-P", __file__, kind, "--child", str(numbers.start), str(numbers.stop)],
                               capture_output=True, text=True, check=False, timeout=3600)
        try:
            found = json.loads(child.stdout)
        except ValueError:
            found = {"counts": {}, "seconds": 0, "peak_bytes": 0, "faults": [
                f"{kind} {numbers.start} to {numbers.stop}: died with {child.returncode}: {child.stderr[-300:]}"]}
        total.counts.update(found["counts"])
        total.seconds = max(total.seconds, found["seconds"])
        total.peak_bytes = max(total.peak_bytes, found["peak_bytes"])
        total.faults += found["faults"]
        print(f"{kind} {numbers.stop - first:,} of {count:,} in {time.monotonic() - began:.0f} s:",
              dict(total.counts), f"slowest {total.seconds:.2f} s,", f"peak {total.peak_bytes >> 20} MB,",
              len(total.faults), "faults", flush=True)
        for fault in found["faults"]:
            print("   ", fault, flush=True)
    return 1 if total.faults else 0


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent))  # which -P leaves out
    if "--child" in sys.argv:
        done = run(sys.argv[1], range(int(sys.argv[3]), int(sys.argv[4])))
        print(json.dumps({"counts": done.counts, "seconds": done.seconds, "peak_bytes": done.peak_bytes,
                          "faults": done.faults}))
    else:
        sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
