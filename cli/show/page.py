"""The report as one HTML page that needs nothing else: no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from lrmcodec.cardiac.readout import Phase
from lrmcodec.cardiac.trajectory import Motion, end_words, picked_frames
from lrmcodec.cli.info import PARTS
from lrmcodec.cli.show import player, svg

TEMPLATE = "report.html"
LEAST_SURE = 0.9
COLORS = ("#4c78a8", "#e0913f", "#5ba08c", "#b279a2", "#9d755d", "#8a8f98", "#d8626a")
CAUTION = "This page is not a medical device, and its pictures are not for diagnosis."

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """Comparison with the clip that a file was made from: its name, bytes on disk (if a file), frames and figures."""

    name: str
    source_bytes: int | None
    original: NDArray[np.uint8]
    psnr_db: float
    ssim3d: float
    frame_psnr_db: Array

    @property
    def typical_error(self) -> float:
        """Root of the mean squared error that the PSNR stands for, in gray levels of 255."""
        return float(255 * 10 ** (-self.psnr_db / 20))


class Part(NamedTuple):
    """A part of the file: what it is, its bytes, and its color in the bar."""

    name: str
    size_bytes: int
    color: str


class Picture(NamedTuple):
    """A frame shown alone: its number, its time, what it is called, and its data URI."""

    frame: int
    time_s: float
    word: str
    source: str


@dataclass(frozen=True)
class Report:
    """All that a page tells; `motion` is None where nothing moves, `quality` where nothing was compared.

    `facts` are those of `lrmcodec info`.
    """

    name: str
    times_s: Array
    frames: NDArray[np.uint8]
    phase: Phase
    motion: Motion | None
    quality: Quality | None
    facts: Mapping[str, Any]

    @property
    def is_heart(self) -> bool:
        """Whether beats were found."""
        return self.phase.quality_word == "cardiac"

    @property
    def is_unsure(self) -> bool:
        """Whether ED and ES may be mixed up."""
        return self.is_heart and self.phase.polarity_confidence < LEAST_SURE

    @property
    def events(self) -> list[tuple[str, str, list[int]]]:
        """Class, word and frames of ED and ES."""
        return [("ed", "ED", self.phase.ed_frames), ("es", "ES", self.phase.es_frames)]


def render(report: Report) -> str:
    """The page as text; names, metadata and everything else are escaped by the template."""
    layout = player.plan(len(report.frames), report.frames.shape[1:])
    screens = _screens(report)
    path, places = _path(report)
    pages = Environment(loader=PackageLoader("lrmcodec.cli.show", "."), autoescape=True, trim_blocks=True,
                        lstrip_blocks=True, undefined=StrictUndefined)
    return pages.get_template(TEMPLATE).render(
        report=report, facts=report.facts, phase=report.phase, quality=report.quality, caution=CAUTION, layout=layout,
        screens=[title for title, _ in screens], heart_chart=_heart_chart(report), pair=_pair(report), path_chart=path,
        quality_chart=_quality_chart(report), parts=_parts(report), details=_details(report),
        data=_data(report, layout, [frames for _, frames in screens], places))


def _screens(report: Report) -> list[tuple[str, NDArray[np.uint8]]]:
    """Captions and frames shown side by side."""
    decoded = ("Decoded from the file", report.frames)
    if report.quality is None:
        return [decoded]
    original = report.quality.original
    return [("Original", original), decoded,
            (f"Difference, {player.ERROR_GAIN} times enlarged", player.error_frames(original, report.frames))]


def _data(report: Report, layout: player.Layout, screens: Sequence[NDArray[np.uint8]],
          places: Array | None) -> dict[str, Any]:
    """What the player's script needs, as plain values."""
    start = report.motion.start if report.motion is not None else 0
    path = [[round(float(value), 1) for value in places[frame - start]]
            if places is not None and 0 <= frame - start < len(places) else None for frame in layout.frames]
    times_s = report.times_s[layout.frames]
    return {
        "times": [round(float(time), 4) for time in times_s], "frames": layout.frames.tolist(),
        "count": len(report.frames), "gap": float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0,
        "width": layout.width, "height": layout.height, "columns": layout.columns, "per_sheet": layout.per_sheet,
        "ed": report.phase.ed_frames, "es": report.phase.es_frames, "path": path,
        "chart": svg.WIDTH, "left": svg.LEFT, "right": svg.RIGHT,
        "screens": [player.sheets(frames[layout.frames], layout) for frames in screens],
    }


def _heart_chart(report: Report) -> Markup:
    if not report.is_heart:
        return Markup()
    return svg.time_chart(report.times_s, report.phase.signal, "ventricle", report.events)


def _pair(report: Report) -> list[Picture]:
    """Frames at ED and at ES, or at the two ends of the motion; none where nothing moves."""
    if report.motion is None:
        return []
    return [Picture(frame, float(report.times_s[frame]), word, player.webp(report.frames[frame])) for frame, word in
            zip(picked_frames(report.phase, report.motion), end_words(report.phase), strict=True)]


def _path(report: Report) -> tuple[Markup | None, Array | None]:
    """Chart of the path, and the places of its points in it; None where nothing moves."""
    if report.motion is None:
        return None, None
    upper, lower = end_words(report.phase)
    return svg.path_chart(report.motion.plane(), report.motion.start, (lower, upper), report.events)


def _quality_chart(report: Report) -> Markup:
    if report.quality is None or len(report.times_s) < 2:
        return Markup()
    return svg.time_chart(report.times_s, report.quality.frame_psnr_db, "PSNR, dB")


def _parts(report: Report) -> list[Part]:
    counts = [(PARTS.get(part, part), count) for part, count in report.facts["bytes"].items() if count]
    return [Part(name, count, COLORS[index % len(COLORS)]) for index, (name, count) in enumerate(counts)]


def _details(report: Report) -> list[tuple[str, str]]:
    facts, phase = report.facts, report.phase
    ranks, indices = (sorted(set(facts[key])) for key in ("ranks", "q"))
    rows = [("Coefficients a frame (rank)", ", ".join(map(str, ranks))), ("Segments", str(facts["segments"])),
            ("Quantizer index", ", ".join(f"{index:g}" for index in indices)),
            ("Decoder pack", f"{facts['pack']} ({facts['pack_id']})"),
            ("Regularity of the motion (0 to 1)", f"{phase.quality:.2f}, called {phase.quality_word}"),
            ("Sure of ED and ES (0 to 1)", f"{phase.polarity_confidence:.2f}")]
    return rows + [(f"Metadata: {key}", str(value)) for key, value in facts["metadata"].items()]
