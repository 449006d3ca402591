"""Cases of a task: clips, whose they are, and what is to be told from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.echonet import EchoNetDynamic, read_table
from lrmcodec.formats.errors import ClipError, TargetError
from lrmcodec.train.data import TEST_SEED

EF, B_LINES = "ef", "b-lines"
TASKS = (EF, B_LINES)
SIZE = (112, 112)

PRESET = "echonet_like"
FIRST_SEED = TEST_SEED + 10_000
"""Of simulated hearts, by default: nothing was trained on seeds from TEST_SEED on."""

HEART_FRAMES, HEART_FPS = 64, 32.0
"""Two seconds of a simulated heart: one beat at least from 45 beats a minute on."""

LOOK_FRAMES, LOOK_SPAN_S = 16, 1.28
"""Frames that a network sees, spread over so many seconds from the clip's start, or over all of a shorter clip."""

MOST_FRAMES = 128
"""Of a clip that comes as a file only so many frames are looked at."""

LUNG_TABLE, LUNG_COLUMNS = "ATTRIBUTION.csv", ("file", "patient", "b_lines")


@dataclass(frozen=True)
class Case:
    """One clip of a task.

    Attributes
    ----------
    name : str
    patient : str
        Cases of one patient never stand on both sides of a fold.
    path : str
        File of the clip; empty for a simulated heart.
    label : float or None
        Ejection fraction in percent, or 1 with B-lines and 0 without; None where the simulator knows it.
    seed : int
        Of a simulated heart.
    only_seen : bool
        Never coded; a simulated heart then has no more frames than a network sees.
    """

    name: str
    patient: str
    path: str = ""
    label: float | None = None
    seed: int = 0
    only_seen: bool = False

    def load(self) -> tuple[Clip, float]:
        """The clip at 112x112, gray, and its label.

        Raises
        ------
        ClipError
            When it cannot be read.
        """
        if not self.path:
            return _simulated(self.seed, self.only_seen)
        from lrmcodec.formats.video import read_clip

        clip = read_clip(self.path, gray=True, size=SIZE)
        assert self.label is not None
        return Clip(clip.frames[:MOST_FRAMES], clip.times_s[:MOST_FRAMES]), self.label


def _simulated(seed: int, only_seen: bool) -> tuple[Clip, float]:
    from lrmcodec.simulate import simulate

    count, fps = (LOOK_FRAMES, (LOOK_FRAMES - 1) / LOOK_SPAN_S) if only_seen else (HEART_FRAMES, HEART_FPS)
    made = simulate(PRESET, seed, frame_count=count, size=SIZE, fps=fps)
    if made.truth.ef_percent is None:
        raise ClipError(f"the simulated heart of seed {seed} has no ejection fraction.", "Begin with another --seed.")
    return made.clip, made.truth.ef_percent


def find_cases(task: str, folder: Path | None, count: int | None, seed: int = FIRST_SEED) -> list[Case]:
    """Cases of a task, at most `count`.

    Parameters
    ----------
    task : str
        'ef': hearts of EchoNet-Dynamic in `folder`, all splits, or without a folder simulated ones of consecutive
        seeds. 'b-lines': lung clips in `folder` with ATTRIBUTION.csv, columns file, patient and b_lines.
    folder : Path or None
    count : int or None
        Needed for simulated hearts.
    seed : int
        Of the first simulated heart.

    Raises
    ------
    ClipError, TargetError
        When the folder does not hold what the task needs.
    """
    if task == B_LINES:
        if folder is None:
            raise TargetError("the task b-lines needs a folder of lung clips.", f"Name one that holds {LUNG_TABLE}.")
        return _lungs(folder)[:count]
    if folder is not None:
        return _hearts(folder)[:count]
    if count is None:
        raise TargetError("how many hearts are to be simulated is not said.", "Give --count.")
    return [Case(f"{PRESET}_{seed + index}", str(seed + index), seed=seed + index) for index in range(count)]


def split_training(cases: Sequence[Case], training: int) -> tuple[list[Case], list[Case]]:
    """Cases to be asked, and the last `training` of them, which only train networks of originals.

    Raises
    ------
    TargetError
        When none would be left to ask.
    """
    asked = len(cases) - training
    if training and asked < 1:
        raise TargetError(f"{training} clips for training leave none of {len(cases)} to be asked.",
                          "Give a lower --training.")
    return list(cases[:asked]), [replace(case, only_seen=True) for case in cases[asked:]]


def _hearts(folder: Path) -> list[Case]:
    found = [Case(clip.name, clip.name, str(clip.path), clip.ejection_fraction)
             for clip in EchoNetDynamic(folder).clips if clip.ejection_fraction is not None]
    if not found:
        raise ClipError(f"no clip in {folder} has an ejection fraction.", "Its FileList.csv needs the column EF.")
    return found


def _lungs(folder: Path) -> list[Case]:
    """Lung clips whose column `b_lines` is 1 or 0."""
    rows = read_table(folder / LUNG_TABLE, LUNG_COLUMNS)
    try:
        return [Case(Path(row["file"]).stem, row["patient"], str(folder / row["file"]),
                     1.0 if float(row["b_lines"]) > 0 else 0.0) for row in rows if row["b_lines"].strip()]
    except ValueError as error:
        raise ClipError(f"{folder / LUNG_TABLE} has a label that is no number ({error}).",
                        "The column b_lines holds 0 or 1.") from error
