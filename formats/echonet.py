"""EchoNet-Dynamic as it is distributed: which clips there are, their split, and the frames traced by hand.

Ouyang et al. 2020 (10.1038/s41586-020-2145-8). `FileList.csv` lists the clips, `VolumeTracings.csv` the tracings of one
beat a clip: the first frame traced is end systole, the last one end diastole.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lrmcodec.formats.errors import ClipError

FILES, TRACINGS, VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"
HINT = f"Give the folder of EchoNet-Dynamic that holds {FILES}, {TRACINGS} and {VIDEOS}."


@dataclass(frozen=True)
class EchoClip:
    """One clip of EchoNet-Dynamic.

    Attributes
    ----------
    name : str
        Without suffix.
    path : Path
    split : str
        "TRAIN", "VAL" or "TEST".
    ejection_fraction : float or None
        In percent.
    traced_frames : tuple of int
        Frames with a tracing, in the order of the file: the first is end systole, the last end diastole.
    """

    name: str
    path: Path
    split: str
    ejection_fraction: float | None
    traced_frames: tuple[int, ...]


class EchoNetDynamic:
    """The tables of the data set.

    Parameters
    ----------
    root : Path
        Folder with `FileList.csv`, `Videos/` and, optionally, `VolumeTracings.csv`. Names may stand in either table
        with or without `.avi`.

    Attributes
    ----------
    listed : list of EchoClip
        All that `FileList.csv` names.
    clips : list of EchoClip
        Those whose video is there.
    missing : list of str
        Names of those whose video is not.

    Raises
    ------
    ClipError
        When `FileList.csv` is missing or has no columns FileName and Split.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        traced = self._traced_frames()
        self.listed = [self._clip(row, traced) for row in read_table(self.root / FILES, ("FileName", "Split"), HINT)]
        self.clips = [clip for clip in self.listed if clip.path.is_file()]
        self.missing = [clip.name for clip in self.listed if not clip.path.is_file()]

    def split(self, name: str) -> list[EchoClip]:
        """Clips of the split "TRAIN", "VAL" or "TEST" whose video is there."""
        return [clip for clip in self.clips if clip.split == name.upper()]

    def _clip(self, row: dict[str, str], traced: dict[str, tuple[int, ...]]) -> EchoClip:
        name = _stem(row["FileName"])
        return EchoClip(name, self.root / VIDEOS / f"{name}.avi", row["Split"].strip().upper(),
                        _number(row.get("EF")), traced.get(name, ()))

    def _traced_frames(self) -> dict[str, tuple[int, ...]]:
        path = self.root / TRACINGS
        frames: dict[str, dict[int, None]] = {}
        if path.is_file():
            for row in read_table(path, ("FileName", "Frame"), HINT):
                number = _number(row["Frame"])
                if number is not None:
                    frames.setdefault(_stem(row["FileName"]), {})[int(number)] = None
        return {name: tuple(found) for name, found in frames.items()}


def read_table(path: Path, columns: Iterable[str],
               hint: str = "Give the folder that holds it.") -> list[dict[str, str]]:
    """Rows of a CSV file with a head that has at least `columns`.

    Raises
    ------
    ClipError
        When it cannot be read or a column is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise ClipError(f"{path} cannot be read ({why}).", hint) from error
    lacking = [column for column in columns if column not in (reader.fieldnames or ())]
    if lacking:
        raise ClipError(f"{path} has no column '{lacking[0]}'.", f"Needed are {', '.join(columns)}.")
    return rows


def _stem(name: str) -> str:
    name = name.strip()
    return name[:-4] if name.lower().endswith(".avi") else name


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
