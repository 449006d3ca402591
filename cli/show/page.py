"""The report as one HTML page that needs nothing else: no network and no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.readout import Phase
from lrmcodec.cardiac.trajectory import Motion, end_words, picked_frames
from lrmcodec.cli.files import amount
from lrmcodec.cli.info import PARTS
from lrmcodec.cli.show import player, svg

TEMPLATE = "report.html"
LEAST_SURE = 0.5
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
    def events(self) -> list[tuple[str, str, list[int]]]:
        """Class, word and frames of ED and ES."""
        return [("ed", "ED", self.phase.ed_frames), ("es", "ES", self.phase.es_frames)]


def render(report: Report) -> str:
    """The page as text."""
    layout = player.plan(len(report.frames), report.frames.shape[1:])
    screens = _screens(report)
    motion, places = _motion(report)
    template = Template(files("lrmcodec.cli.show").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(report.name), subtitle=_subtitle(report), facts=_facts(report),
        screens="".join(f'<figure><canvas id="screen{index}" role="img" aria-label="{title}"></canvas><figcaption>'
                        f"{title}</figcaption></figure>" for index, (title, _) in enumerate(screens)),
        last=len(layout.frames) - 1, player_note=_player_note(report, layout), notes=_notes(report),
        heart=_heart(report), motion=motion, quality=_quality(report), bytes=_bytes(report), details=_details(report),
        data=_data(report, layout, [frames for _, frames in screens], places))


def _screens(report: Report) -> list[tuple[str, NDArray[np.uint8]]]:
    """Captions and frames shown side by side."""
    decoded = ("Decoded from the file", report.frames)
    if report.quality is None:
        return [decoded]
    original = report.quality.original
    return [("Original", original), decoded,
            (f"Difference, {player.ERROR_GAIN} times enlarged", player.error_frames(original, report.frames))]


def _data(report: Report, layout: player.Layout, screens: Sequence[NDArray[np.uint8]], places: Array | None) -> str:
    """What the player's script needs, as JSON that may stand inside a script element."""
    start = report.motion.start if report.motion is not None else 0
    path = [[round(float(value), 1) for value in places[frame - start]]
            if places is not None and 0 <= frame - start < len(places) else None for frame in layout.frames]
    times_s = report.times_s[layout.frames]
    values = {
        "times": [round(float(time), 4) for time in times_s], "frames": layout.frames.tolist(),
        "count": len(report.frames), "gap": float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0,
        "width": layout.width, "height": layout.height, "columns": layout.columns, "per_sheet": layout.per_sheet,
        "ed": report.phase.ed_frames, "es": report.phase.es_frames, "path": path,
        "chart": svg.WIDTH, "left": svg.LEFT, "right": svg.RIGHT,
        "screens": [player.sheets(frames[layout.frames], layout) for frames in screens],
    }
    return json.dumps(values, allow_nan=False).replace("<", "\\u003c")


def _subtitle(report: Report) -> str:
    facts = report.facts
    return (f"An ultrasound clip of {amount(facts['frames'], 'frame')}, {facts['width']} x {facts['height']} pixels, "
            f"{facts['duration_s']:.2f} s at {facts['fps']:.4g} frames a second.")


def _facts(report: Report) -> str:
    facts, phase = report.facts, report.phase
    tiles = [(f"{facts['size_bytes']:,} bytes", "the whole file"),
             (f"{facts['ratio']:,.0f} : 1", "smaller than its pixels")]
    if report.quality is not None:
        tiles += [(f"{report.quality.psnr_db:.1f} dB", "PSNR, higher is closer"),
                  (f"{report.quality.ssim3d:.3f}", "SSIM3D, 1 is the same")]
    if report.is_heart and phase.heart_rate_bpm is not None:
        tiles.append((f"{phase.heart_rate_bpm:.0f} a minute", "heart beats"))
    return "".join(f"<div><b>{value}</b>{word}</div>" for value, word in tiles)


def _player_note(report: Report, layout: player.Layout) -> str:
    words = []
    if len(layout.frames) < len(report.frames):
        words.append(f"The player shows {len(layout.frames):,} of {len(report.frames):,} frames.")
    if layout.width < report.frames.shape[2]:
        words.append(f"Frames are reduced to {layout.width} x {layout.height} pixels here.")
    return f'<p class="soft">{" ".join(words)}</p>' if words else ""


def _notes(report: Report) -> str:
    phase = report.phase
    notes = [CAUTION, "The file is lossy: fine grain is smoothed away, the more so the smaller the file.",
             "Text that stood in the picture stands on this page too, names included."]
    if report.is_heart and phase.polarity_confidence < LEAST_SURE:
        notes.insert(0, "It is not certain which moments are ED and which are ES "
                        f"({100 * phase.polarity_confidence:.0f} % sure): they may be mixed up.")
    items = "".join(f"<li>{note}</li>" for note in notes)
    return f'<h2>Please note</h2><div class="notes"><ul>{items}</ul></div>'


def _heart(report: Report) -> str:
    if not report.is_heart:
        return ("<h2>The heart</h2><p>No heartbeat was found in this clip, so no beats are given. That is as it should "
                "be for clips of the lung; in a clip of the heart, the motion was too irregular or too short.</p>")
    chart = svg.time_chart(report.times_s, report.phase.signal, "ventricle", report.events)
    return ('<h2>The heart</h2><p><span class="ed-word">ED</span>, end diastole, is when the left ventricle is full, '
            'just before it contracts; <span class="es-word">ES</span>, end systole, when it is emptied. The curve, '
            "read from the coefficients alone, is high when the ventricle is large. Click on it to go to a moment.</p>"
            f"{chart}{_pair(report)}{_beats(report)}")


def _pair(report: Report) -> str:
    """Frames at ED and at ES, or at the two ends of the motion."""
    if report.motion is None:
        return ""
    figures = "".join(f'<figure><img src="{player.webp(report.frames[frame])}" alt="Frame {frame}"><figcaption>{word}: '
                      f"frame {frame}, {report.times_s[frame]:.2f} s</figcaption></figure>" for frame, word in
                      zip(picked_frames(report.phase, report.motion), end_words(report.phase), strict=True))
    return f'<div class="pair">{figures}</div>'


def _beats(report: Report) -> str:
    if not report.phase.beats:
        return "<p>No beat lies in the clip from end to end.</p>"
    rows = [(str(index + 1), str(beat.ed), str(beat.es), f"{beat.systolic_s:.2f} s",
             "" if beat.diastolic_s is None else f"{beat.diastolic_s:.2f} s")
            for index, beat in enumerate(report.phase.beats)]
    return "<p></p>" + _table(("Beat", "ED frame", "ES frame", "ED to ES", "ES to next ED"), rows)


def _motion(report: Report) -> tuple[str, Array | None]:
    """Section on the path, and the places of its points in the chart."""
    if report.motion is None:
        return "<h2>The path of the coefficients</h2><p>Nothing moves in this file: there is no path.</p>", None
    upper, lower = end_words(report.phase)
    chart, places = svg.path_chart(report.motion.plane(), report.motion.start, (lower, upper), report.events)
    words = ("A heart that beats regularly runs through the same loop again and again: full on the right, emptied on "
             "the left." if report.is_heart else
             "Motion that repeats comes back to the same places; motion that does not, wanders.")
    pair = "" if report.is_heart else _pair(report)
    return ('<h2>The path of the coefficients</h2><div class="two"><div>'
            f"<p>Every frame is a point; frames that look alike lie near each other. {words} The line starts dark and "
            "ends yellow. The dashed line is the direction of the main motion; the other direction is the next "
            f"strongest motion. The dot is the frame shown above.</p>{pair}</div>{chart}</div>"), places


def _quality(report: Report) -> str:
    quality = report.quality
    if quality is None:
        return ("<h2>Quality</h2><p>Not measured: the original was not given. With "
                "<code>lrmcodec report FILE --against CLIP</code> this page compares the two.</p>")
    typical = 255 * 10 ** (-quality.psnr_db / 20)
    source = "" if quality.source_bytes is None else f" ({quality.source_bytes:,} bytes as it came)"
    chart = svg.time_chart(report.times_s, quality.frame_psnr_db, "PSNR, dB") if len(report.times_s) > 1 else ""
    low, high = quality.frame_psnr_db.min(), quality.frame_psnr_db.max()
    return (f"<h2>Quality</h2><p>Compared with {escape(quality.name)}{source}. PSNR is {quality.psnr_db:.2f} dB: a "
            f"pixel is typically off by {typical:.1f} of 255 gray levels. SSIM3D, likeness of structure, is "
            f"{quality.ssim3d:.4f}; 1 is the same. Frame by frame, PSNR lies between {low:.1f} and {high:.1f} dB.</p>"
            f"{chart}")


def _bytes(report: Report) -> str:
    counts = {PARTS.get(part, part): count for part, count in report.facts["bytes"].items() if count}
    total = report.facts["size_bytes"]
    colors = [COLORS[index % len(COLORS)] for index in range(len(counts))]
    bar = "".join(f'<span style="flex:{count};background:{color}"></span>'
                  for count, color in zip(counts.values(), colors, strict=True))
    rows = "".join(f'<tr><td><span class="key" style="background:{color}"></span>{escape(part)}</td>'
                   f'<td class="number">{count:,}</td><td class="number">{100 * count / total:.1f} %</td></tr>'
                   for (part, count), color in zip(counts.items(), colors, strict=True))
    raw = report.facts["frames"] * report.facts["height"] * report.facts["width"]
    return (f"<h2>Where the bytes go</h2><p>{total:,} bytes in all; the pixels, at one byte each, would take {raw:,}."
            "</p>"
            f'<div class="bar">{bar}</div><table><tr><th>Part</th><th class="number">Bytes</th><th class="number">Share'
            f"</th></tr>{rows}</table>")


def _details(report: Report) -> str:
    facts, phase = report.facts, report.phase
    ranks, indices = (sorted(set(facts[key])) for key in ("ranks", "q"))
    rows = [("Coefficients a frame (rank)", ", ".join(map(str, ranks))), ("Segments", str(facts["segments"])),
            ("Quantizer index", ", ".join(f"{index:g}" for index in indices)),
            ("Decoder pack", f"{facts['pack']} ({facts['pack_id']})"),
            ("Regularity of the motion (0 to 1)", f"{phase.quality:.2f}, called {phase.quality_word}"),
            ("Sure of ED and ES (0 to 1)", f"{phase.polarity_confidence:.2f}")]
    rows += [(f"Metadata: {key}", str(value)) for key, value in facts["metadata"].items()]
    return _table((), [(escape(name), escape(value)) for name, value in rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "<tr>" + "".join(f"<th>{word}</th>" for word in head) + "</tr>" if head else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
