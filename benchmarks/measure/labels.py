"""Labels of the cardiac cycle: where a clip's end-diastolic and end-systolic frames are known to be.

A file of labels is one of

* JSON: an object from clip names to `{"ed_frames": [...], "es_frames": [...], "heart_rate_bpm": 72.0}`; the rate
  may be missing. `"every_beat": false` says that other beats are in the clip too, so that further events are not
  false;
* CSV with the columns `clip` (or `file`), `event` (ED or ES) and `frame`, one line an event, as `lrmcodec readout
  --csv` prints and a person may have corrected;
* a folder of JSON files named after the clips, each one such object, as `lrmcodec simulate` writes.

Frames count from 0. Clips are known by their names without folder and suffix.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrmcodec.formats.errors import ClipError

HINT = "The forms of label files are described in docs/benchmarks.md."


@dataclass(frozen=True)
class Labels:
    """What is known of one clip.

    Attributes
    ----------
    ed_frames, es_frames : tuple of int
    heart_rate_bpm : float or None
    every_beat : bool
        Whether all beats are labelled.
    rhythm : str
        'sinus' or another; empty where it is unknown.
    area : tuple of float
        Area of the ventricle in every frame; empty where it is unknown.
    """

    ed_frames: tuple[int, ...]
    es_frames: tuple[int, ...]
    heart_rate_bpm: float | None = None
    every_beat: bool = True
    rhythm: str = ""
    area: tuple[float, ...] = ()

    @staticmethod
    def from_json(values: dict[str, Any]) -> Labels:
        """Undo `dataclasses.asdict` on its way through JSON."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return Labels(**plain)

    def rate_bpm(self, fps: float) -> float | None:
        """Heart rate as labelled, else from the median distance of equal events where every beat is labelled."""
        if self.heart_rate_bpm is not None or not self.every_beat:
            return self.heart_rate_bpm
        gaps = [*np.diff(self.ed_frames), *np.diff(self.es_frames)]
        return float(60 * fps / np.median(gaps)) if gaps else None


def read_labels(path: Path) -> dict[str, Labels]:
    """Labels by clip name.

    Raises
    ------
    ClipError
        When the file is missing or of another form.
    """
    try:
        if path.is_dir():
            return {file.stem: from_values(json.loads(file.read_text(encoding="utf-8")))
                    for file in sorted(path.glob("*.json"))}
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return _from_csv(text)
        return {Path(name).stem: from_values(values) for name, values in json.loads(text).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"the labels {path} cannot be read ({error}).", "Check the path.") from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, csv.Error) as error:
        raise ClipError(f"{path} does not hold labels ({type(error).__name__}: {error}).", HINT) from error


def from_values(values: Mapping[str, Any]) -> Labels:
    """Labels from one JSON object; raises KeyError, TypeError or ValueError when it is none."""
    rate = values.get("heart_rate_bpm")
    return Labels(_frames(values["ed_frames"]), _frames(values["es_frames"]), None if rate is None else float(rate),
                  bool(values.get("every_beat", True)), str(values.get("rhythm") or ""),
                  tuple(map(float, values.get("lv_area_cm2") or ())))


def _frames(values: Any) -> tuple[int, ...]:
    frames = tuple(sorted(int(value) for value in values))
    if frames and frames[0] < 0:
        raise ValueError("frames count from 0")
    return frames


def _from_csv(text: str) -> dict[str, Labels]:
    events: dict[str, dict[str, list[int]]] = {}
    for line in csv.DictReader(text.splitlines()):
        name = Path(line["clip"] if "clip" in line else line["file"]).stem
        kinds = events.setdefault(name, {"ED": [], "ES": []})
        kinds[line["event"].strip().upper()].append(int(line["frame"]))
    return {name: Labels(_frames(kinds["ED"]), _frames(kinds["ES"])) for name, kinds in events.items()}
