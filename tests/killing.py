"""Commands that are killed at random moments; see docs/reliability.md.

By hand, from the checkout: python -P tests/killing.py COUNT [SEED]. Each command writes over an old output in a child
process that is killed (SIGKILL) after a random part of the time that it takes; then the old or the new output must be
there, whole.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from lrmcodec.cli.main import main
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import write_clip

COMMANDS = {
    "x.lrm": ["encode", "IN/clip.npz", "--rank", "1", "--force", "-o", "OUT/x.lrm"],
    **{f"x{suffix}": ["decode", "IN/a.lrm", "--force", "-o", f"OUT/x{suffix}"]
       for suffix in (".avi", ".mkv", ".mp4", ".gif", ".npy", ".npz", "")},
}


def contents(path: Path) -> dict[str, bytes]:
    """A file, or the files of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return {file.name: file.read_bytes() for file in files}


def start(arguments: list[str]) -> int:
    """A child process that runs a command, with nothing to say."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os._exit(main(["-q", *arguments]))
    return child


def wait_until(child: int, moment: float) -> bool:
    """Whether the child has ended by itself before a moment of the monotonic clock."""
    while time.monotonic() < moment:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.0005)
    return False


def kill_often(count: int, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Kill `count` commands; give the numbers of outputs by their state, and what was wrong."""
    draw, counts, faults = random.Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        inputs, out = Path(folder) / "in", Path(folder) / "out"
        inputs.mkdir()
        y, x = np.mgrid[:64, :64]
        frames = np.stack([127 + 100 * np.sin(x / 9 + k / 3) * np.cos(y / 7) for k in range(40)]).astype(np.uint8)
        write_clip(Clip.from_fps(frames, 20), inputs / "clip.npz")
        assert main(["-q", "encode", str(inputs / "clip.npz"), "--rank", "2", "-o", str(inputs / "a.lrm")]) == 0
        whole: dict[str, tuple[float, dict[str, bytes]]] = {}
        for number in range(count):
            name = list(COMMANDS)[number % len(COMMANDS)]
            arguments = [part.replace("IN/", f"{inputs}/").replace("OUT/", f"{out}/") for part in COMMANDS[name]]
            if name not in whole:
                whole[name] = _reference(arguments, out / name)
            seconds, new = whole[name]
            _old(out / name)
            child = start(arguments)
            if not wait_until(child, time.monotonic() + draw.uniform(0, 1.2 * seconds)):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            found = contents(out / name)
            state = "new" if found == new else "old" if set(found.values()) == {b"old"} else "neither"
            counts[state] += 1
            if state == "neither" and not (name == "x" and not found and _set_aside(out)):
                faults.append(f"{number}, {name}: {sorted(found)} of {sorted(entry.name for entry in out.iterdir())}")
    return counts, faults


def _reference(arguments: list[str], path: Path) -> tuple[float, dict[str, bytes]]:
    """Seconds that a command takes by itself, and what it writes."""
    _old(path)
    began = time.monotonic()
    assert os.waitpid(start(arguments), 0)[1] == 0
    return time.monotonic() - began, contents(path)


def _old(path: Path) -> None:
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    if path.suffix:
        path.write_bytes(b"old")
    else:
        path.mkdir()
        (path / "frame_000000.png").write_bytes(b"old")


def _set_aside(out: Path) -> bool:
    """Whether an old folder lies under its hidden name: two renames replace a folder, and no one call does."""
    return any(entry.name.endswith(".old") for entry in out.iterdir())


if __name__ == "__main__":
    numbers, wrong = kill_often(*map(int, sys.argv[1:]))
    print(dict(numbers), f"{len(wrong)} faults", *wrong, sep="\n")
    sys.exit(bool(wrong))
