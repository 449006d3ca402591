"""Commands whose n-th call of the system fails, for every n; see docs/reliability.md.

Run by tests/reliability/test_faults.py as a process of its own, under the library that is made of tests/faults.c:
PYTHONPATH=tests LD_PRELOAD=faults.so python -P tests/faults.py FOLDER [--thorough [COMMAND]...] prints what it did
as JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import shutil
import sys
import traceback
from collections import Counter
from pathlib import Path

import fault_folders
import numpy as np
import quick_coder

from lrmcodec.cli.main import main

KINDS = ("open", "write", "fsync", "rename", "close", "mkdir")
ERRORS = {"open": (errno.EACCES, errno.ENOSPC, errno.EIO), "write": (errno.ENOSPC, errno.EIO),
          "fsync": (errno.EIO, errno.ENOSPC), "rename": (errno.EACCES, errno.EIO), "close": (errno.EIO, errno.ENOSPC),
          "mkdir": (errno.ENOSPC, errno.EACCES)}
COMMANDS = {
    "encode": ["encode", "IN/clip.npz", "--rank", "1", "-o", "OUT/x.lrm"],
    "decode avi": ["decode", "IN/a.lrm", "-o", "OUT/x.avi"],
    "decode mkv": ["decode", "IN/a.lrm", "-o", "OUT/x.mkv"],
    "decode mp4": ["decode", "IN/a.lrm", "-o", "OUT/x.mp4"],
    "decode gif": ["decode", "IN/a.lrm", "-o", "OUT/x.gif"],
    "decode npy": ["decode", "IN/a.lrm", "-o", "OUT/x.npy"],
    "decode npz": ["decode", "IN/a.lrm", "-o", "OUT/x.npz"],
    "decode dcm": ["decode", "IN/a.lrm", "-o", "OUT/x.dcm"],
    "decode folder": ["decode", "IN/a.lrm", "-o", "OUT/x"],
    "readout plot": ["readout", "IN/a.lrm", "--plot", "OUT/x.png"],
    "plot": ["plot", "IN/a.lrm", "-o", "OUT/x.png"],
    "walk": ["walk", "IN/a.lrm", "--steps", "3", "-o", "OUT/x.gif"],
    "report": ["report", "IN/a.lrm", "-o", "OUT/x.html"],
    "wrap": ["wrap", "IN/a.lrm", "-o", "OUT/x.dcm"],
    "unwrap": ["unwrap", "IN/a.dcm", "-o", "OUT/x.lrm"],
}
"""Every command that writes one output; x is what it writes."""

SIMILAR = ("decode gif", "decode npy", "readout plot", "plot", "walk")
"""Commands that write as others do; only a thorough run has them."""

QUICK = {"archive": 30, "archive restore": 7}
"""Commands that write several files, and which part of their calls fails in a run that is not thorough."""

CHANGING = ("decode dcm", "wrap")
"""DICOM outputs, with new identifiers of differing lengths each time: they are compared by size."""

SINGLE = {*COMMANDS, "archive verify"} - {*SIMILAR}
ALL = (*COMMANDS, *fault_folders.COMMANDS, "archive verify")

ABOUT = 200
"""Bytes by which sizes may differ."""


def call(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what was said; a traceback counts as code -1."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            return main(arguments), said.getvalue()
        except BaseException:
            return -1, traceback.format_exc()


def same(name: str, found: dict[str, bytes], wanted: dict[str, bytes]) -> bool:
    """Whether a folder holds what it should."""
    if name not in CHANGING:
        return found == wanted
    return found.keys() == wanted.keys() and all(
        abs(len(data) - len(wanted[key])) <= ABOUT and data[128:132] == b"DICM" for key, data in found.items())


def judge(name: str, code: int, said: str, number: int, found: dict[str, bytes], old: dict[str, bytes],
          new: dict[str, bytes]) -> str:
    """What is wrong after a failure; empty when all is well."""
    if code not in (0, 1):
        return f"code {code}: {said[-300:]}"
    if code == 0:
        return "" if same(name, found, new) else f"done, but the output is {sorted(found)}"
    if not (found == old or same(name, found, new)):
        return f"neither the old nor the new output: {sorted(found)}"
    if not ("x" in said and os.strerror(number) in said and said.startswith("error: ")):
        return f"the message is {said!r}"
    return ""


def try_all(name: str, library: ctypes.CDLL, place: Path, counts: Counter[str], thorough: bool) -> list[str]:
    """Every call of every kind fails once, over an output that is there already and, where `thorough`, without one."""
    out, faults = place / "out", []
    arguments = [part.replace("IN/", f"{place}/in/").replace("OUT/", f"{out}/") for part in COMMANDS[name]]

    def attempt(kind: int, number: int, error: int, old: dict[str, bytes]) -> tuple[int, str, dict[str, bytes]]:
        shutil.rmtree(out, ignore_errors=True)
        for key, data in old.items():
            (out / key).parent.mkdir(parents=True, exist_ok=True)
            (out / key).write_bytes(data)
        out.mkdir(exist_ok=True)
        library.arm(str(out).encode(), kind, number, error)
        code, said = call([*arguments, "--force"] if old else arguments)
        calls = {part: library.calls(index) for index, part in enumerate(KINDS)}
        library.arm(b"", -1, 0, 0)
        attempt.calls = calls  # type: ignore[attr-defined]
        return code, said, fault_folders.contents(out)

    code, said, new = attempt(-1, 0, 0, {})
    if code:
        return [f"{name} failed by itself: {said[-300:]}"]
    before = dict.fromkeys(new, b"old") if name != "decode folder" else {"x/frame_000000.png": b"old"}
    for old in ({}, before) if thorough else (before,):
        attempt(-1, 0, 0, old)
        made = attempt.calls  # type: ignore[attr-defined]
        for kind, part in enumerate(KINDS):
            for number in range(1, made[part] + 1):
                error = ERRORS[part][number % len(ERRORS[part])]
                code, said, found = attempt(kind, number, error, old)
                counts[part] += 1
                counts["old kept" if code else "new made"] += 1
                wrong = judge(name, code, said, error, found, old, new)
                if wrong:
                    faults.append(f"{name}, {part} {number} of {made[part]}, {errno.errorcode[error]}: {wrong}")
    return faults


def try_folder(name: str, library: ctypes.CDLL, place: Path, counts: Counter[str], stride: int) -> list[str]:
    """Every `stride`-th call of a command that writes several files fails once; then it is called again."""
    command, out, faults = fault_folders.COMMANDS[name], place / "out", []
    arguments = [part.replace("IN/", f"{place}/in/").replace("OUT/", f"{out}/") for part in command.arguments]

    def attempt(kind: int, number: int, error: int) -> tuple[int, str]:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        fault_folders.forget_archives()
        library.arm(str(out).encode(), kind, number, error)
        done = call(arguments)
        made.update({part: library.calls(index) for index, part in enumerate(KINDS)})
        library.arm(b"", -1, 0, 0)
        return done

    made: dict[str, int] = {}
    code, said = attempt(-1, 0, 0)
    if code:
        return [f"{name} failed by itself: {said[-600:]}"]
    whole, wanted, total = fault_folders.contents(out), command.outcome(out), dict(made)
    for kind, part in enumerate(KINDS):
        for number in range(1 + total[part] % stride, total[part] + 1, stride):
            error = ERRORS[part][number % len(ERRORS[part])]
            code, said = attempt(kind, number, error)
            wrong = fault_folders.judge(command, code, said, fault_folders.contents(out), whole)
            wrong = wrong or fault_folders.go_on(command, arguments, call, out, wanted)
            counts[part] += 1
            counts["told and gone on" if code else "made whole at once"] += 1
            if wrong:
                faults.append(f"{name}, {part} {number} of {total[part]}, {errno.errorcode[error]}: {wrong}")
    return faults


def try_reading(library: ctypes.CDLL, place: Path, counts: Counter[str]) -> list[str]:
    """Every open of an archive that is verified fails once: it is said, and the archive stays as it is."""
    archive, faults = place / "in" / "archive", []
    whole = fault_folders.contents(archive)

    def attempt(kind: int, number: int) -> tuple[int, str, int]:
        fault_folders.forget_archives()
        library.arm(str(archive).encode(), kind, number, errno.EIO)
        done, opened = call(["archive", "verify", str(archive), "-j", "0"]), library.calls(0)
        library.arm(b"", -1, 0, 0)
        return *done, opened

    code, said, total = attempt(-1, 0)
    assert code == 0, said
    for number in range(1, total + 1):
        code, said, _ = attempt(0, number)
        counts["open"] += 1
        counts["told of an archive"] += 1
        if code not in (1, 3) or os.strerror(errno.EIO) not in said or fault_folders.contents(archive) != whole:
            faults.append(f"archive verify, open {number} of {total}: code {code}, {said[-600:]!r}")
    return faults


def run(place: Path, thorough: bool, names: list[str]) -> None:
    """Try all commands, or those of some names, and print the counts and faults."""
    from lrmcodec.formats.clip import Clip
    from lrmcodec.formats.video import write_clip

    quick_coder.cavities_found_once()
    quick_coder.quick_pictures()
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    (place / "in").mkdir(parents=True)
    y, x = np.mgrid[:32, :32]
    frames = np.stack([127 + 100 * np.sin(x / 6 + k / 2) * np.cos(y / 5) for k in range(10)]).astype(np.uint8)
    write_clip(Clip.from_fps(frames, 20), place / "in" / "clip.npz")
    coded = call(["-q", "encode", str(place / "in" / "clip.npz"), "--rank", "2", "-o", str(place / "in" / "a.lrm")])
    assert coded[0] == 0, coded
    assert call(["-q", "wrap", str(place / "in" / "a.lrm"), "-o", str(place / "in" / "a.dcm")])[0] == 0
    fault_folders.prepare(place / "in", call)
    counts: Counter[str] = Counter()
    faults = []
    for name in names or (list(ALL) if thorough else [name for name in ALL if name in QUICK or name in SINGLE]):
        if name in COMMANDS:
            faults += try_all(name, library, place, counts, thorough)
        elif name in fault_folders.COMMANDS:
            faults += try_folder(name, library, place, counts, 1 if thorough else QUICK[name])
        else:
            faults += try_reading(library, place, counts)
    print(json.dumps({"counts": counts, "faults": faults}))


if __name__ == "__main__":
    run(Path(sys.argv[1]), "--thorough" in sys.argv, sys.argv[3:])
