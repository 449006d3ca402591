"""What a preset draws for one clip, and what comes with the clip: its exact ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec.formats.clip import Clip
from lrmcodec.simulate.scan import Echo, Probe, Scanner, Settings


@dataclass(frozen=True)
class Truth:
    """Ground truth of one simulated clip.

    Attributes
    ----------
    preset, view : str
    seed : int
    fps : float
    ed_frames, es_frames : list of int
        Frames of largest and smallest left-ventricular area, one a beat, as far as they lie in the clip; empty for
        lungs.
    lv_area_cm2 : list of float or None
        Area of the left-ventricular cavity in each frame; None for lungs.
    edv_ml, esv_ml, ef_percent : float or None
        Volumes by the area-length method of the apical views, 8 A^2 / (3 pi L), and the ejection fraction by them,
        means over beats; None where the view shows no long axis.
    heart_rate_bpm : float or None
    rhythm : str or None
        "sinus", "irregular" (atrial fibrillation) or "ectopic".
    findings : list of str
        What else was drawn, for example "dilated", "effusion", "wall motion: lateral", "consolidation".
    b_line_count : int or None
        None for hearts.
    """

    preset: str
    view: str
    seed: int
    fps: float
    ed_frames: list[int]
    es_frames: list[int]
    lv_area_cm2: list[float] | None
    edv_ml: float | None
    esv_ml: float | None
    ef_percent: float | None
    heart_rate_bpm: float | None
    rhythm: str | None
    findings: list[str]
    b_line_count: int | None

    def as_json(self) -> str:
        """Text of a JSON object with these fields, areas to a thousandth."""
        values: dict[str, Any] = asdict(self)
        if self.lv_area_cm2 is not None:
            values["lv_area_cm2"] = [round(area, 3) for area in self.lv_area_cm2]
        return json.dumps(values, indent=1) + "\n"


@dataclass(frozen=True)
class Simulated:
    """A simulated clip, its truth, and, when asked for, label masks (T, H, W) uint8 whose values `labels` names."""

    clip: Clip
    truth: Truth
    masks: NDArray[np.uint8] | None
    labels: Mapping[str, int]


class Scene(Protocol):
    """Anatomy in motion, independent of how it is scanned."""

    label_values: Mapping[str, int]
    """Values of the label masks by name."""

    def echo(self, scanner: Scanner, times_s: Tensor) -> Echo:
        """What comes back to the scan grid of `scanner` at times (N,) in seconds."""

    def labels(self, scanner: Scanner, times_s: Tensor) -> Tensor:
        """Label masks (N, H, W) uint8 at the scanner's pixels."""

    def truth(self, times_s: NDArray[np.float64]) -> dict[str, Any]:
        """Fields of `Truth` that the anatomy knows, for frames at times (T,)."""


@dataclass(frozen=True)
class Request:
    """What the caller fixed; None where the preset is to draw.

    `duration_s` is how long the clip will be, known before a scene is drawn.
    """

    view: str | None
    seed: int
    size: tuple[int, int]
    duration_s: float
    device: str


@dataclass(frozen=True)
class Plan:
    """A scene and how it is scanned."""

    view: str
    scene: Scene
    probe: Probe
    settings: Settings


@dataclass(frozen=True)
class Preset:
    """A kind of clip.

    Attributes
    ----------
    summary : str
        One line for people.
    views : tuple of str
        Views it can show; the first is the default.
    size : tuple of int
        Height and width in pixels unless asked otherwise.
    fps : float
    frames : tuple of int
        Least and largest frame count drawn.
    draw : callable
        Draws a plan from a generator and a request.
    """

    summary: str
    views: tuple[str, ...]
    size: tuple[int, int]
    fps: float
    frames: tuple[int, int]
    draw: Callable[[np.random.Generator, Request], Plan]
