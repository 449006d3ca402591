"""Commands that write several files, and what must hold of them after a failure; tests/faults.py tries them.

Each is started again after the failure, undisturbed, and must then come to what a run without a failure gives.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmcodec.formats.pack import load_pack

Call = Callable[[list[str]], tuple[int, str]]


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, hidden files too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def pack_digest(folder: Path) -> str:
    """Of the pack that a training left."""
    return load_pack(folder / "x" / "pack").digest


def measured(folder: Path) -> list[tuple[str, ...]]:
    """What a benchmark measured, without its seconds."""
    with (folder / "x" / "rows.tsv").open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return sorted((row["clip"], row["codec"], row["size_bytes"], row["psnr_db"]) for row in rows)


def archived(folder: Path) -> list[tuple[str, int]]:
    """Files in an archive that is sound, and how they are kept."""
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.manifest import listed
    from lrmcodec.archive.verify import verify
    from lrmcodec.archive.workers import Workers

    archive = open_archive(str(folder / "x"))
    problems = verify(archive, Workers(), "100%").problems
    assert not problems, problems
    return sorted((entry.path, entry.size_bytes) for entry in listed(archive.store))


def forget_archives() -> None:
    """As in a new process: archives that workers keep open are opened again."""
    from lrmcodec.archive import restore, verify

    for module in (restore, verify):
        module._opened.cache_clear()


@dataclass(frozen=True)
class Command:
    """What is called, with what more when it goes on, and the outcome that must be equal; `exact` files are whole.

    Attributes
    ----------
    arguments : list of str
        IN/ and OUT/ stand for folders; the output is x.
    again : list of str
        Added to go on after a failure.
    outcome : callable
        Of the output's folder.
    exact : bool
        Files have the same bytes in every run, so that each one found after a failure must be that of a whole run.
    tables : tuple of str
        Files that list what was written, so that some lines are missing where something failed.
    """

    arguments: list[str]
    again: list[str]
    outcome: Callable[[Path], Any] = contents
    exact: bool = True
    tables: tuple[str, ...] = ()


COMMANDS = {
    "simulate": Command(["simulate", "--count", "2", "--frames", "3", "--size", "32x32", "--view", "lung_linear",
                         "--masks", "-o", "OUT/x"], ["--force"]),
    "archive": Command(["archive", "IN/clip.npz", "IN/note.txt", "-o", "OUT/x", "-j", "0"], [], archived, exact=False),
    "archive restore": Command(["archive", "restore", "IN/archive", "--all", "-o", "OUT/x", "-j", "0"], []),
    "archive report": Command(["archive", "report", "IN/archive", "-o", "OUT/x", "-j", "0"], []),
    "export": Command(["export", "IN/archive", "-o", "OUT/x", "-j", "0"], [],
                      tables=("x/FileList.csv", "x/Sources.csv")),
    "bench": Command(["bench", "IN/clip.npz", "--ranks", "1", "--ratios", "40", "--peers", "ffv1", "--no-report", "-o",
                      "OUT/x"], ["--resume"], measured, exact=False),
    "train": Command(["train", "IN/tiny.toml", "-o", "OUT/x"], ["--resume"], pack_digest, exact=False),
}
RECIPE = """name = "tiny"
structure = "framewise"
[data]
simulated = 2
preset = "lus_like"
size = 16
frames = 2
[network]
width = 8
depth = 3
channels = 2
motion_channels = 1
grid = 2
max_rank = 2
[training]
steps = 2
clips = 2
frames = 2
pixels = 16
ranks = [2]
check_every = 1
"""


def prepare(place: Path, call: Call) -> None:
    """Put what the commands read into `place`, beside the clip that is there."""
    (place / "note.txt").write_text("kept as it is")
    (place / "tiny.toml").write_text(RECIPE)
    code, said = call(["archive", str(place / "clip.npz"), str(place / "note.txt"), "-o", str(place / "archive"), "-j",
                       "0"])
    assert code == 0, said


def judge(command: Command, code: int, said: str, found: dict[str, bytes], whole: dict[str, bytes]) -> str:
    """What is wrong right after a failure; empty when all is well."""
    if code not in (0, 1, 3):
        return f"code {code}: {said[-600:]}"
    if code and not any(word in said for word in ("error: ", "problem: ", "failed: ", "warning: ")):
        return f"the message is {said!r}"
    left = sorted(set(found) - set(whole)) if command.exact else [name for name in found if "/." in f"/{name}"]
    if left:
        return f"left behind: {left}"
    torn = [name for name, data in found.items() if command.exact and name not in command.tables
            and data != whole[name]]
    return f"not whole: {torn}" if torn else ""


def go_on(command: Command, arguments: list[str], call: Call, out: Path, wanted: Any) -> str:
    """Start the command again, undisturbed; what is wrong with what it comes to."""
    begun = any((out / "x").iterdir()) if (out / "x").exists() else False
    resumable = "--resume" not in command.again or begun
    code, said = call([*arguments, *(command.again if resumable else [])])
    if code and "holds no checkpoint" in said:
        code, said = call(arguments)
    if code:
        return f"it does not go on: code {code}: {said[-600:]}"
    try:
        reached = command.outcome(out)
    except Exception as error:  # whatever it is, the output is not sound
        return f"gone on, but the output is not sound: {error!r}"
    return "" if reached == wanted else f"gone on to another outcome: {json.dumps(sorted(contents(out)))[:300]}"
