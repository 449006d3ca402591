"""One self-contained page about a run, and its pictures: `report.html`, `plots/*.png`, `summary.md`.

The page has no script and loads nothing from elsewhere; its template stands beside this module.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lrmcodec.benchmarks.measure.campaign import FILES
from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.show import plots
from lrmcodec.benchmarks.show.exhibits import SHOWN_RATIO, Exhibit, exhibits
from lrmcodec.benchmarks.show.names import name_of
from lrmcodec.benchmarks.show.summary import (
    anchor_of,
    at_equal_bytes,
    bd_table,
    facts,
    lossless_table,
    ours_of,
    peers_of,
    phase_table,
    rank_groups,
    rank_table,
    speed_table,
    write_summary,
)
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.formats.atomic import write_atomic

PAGE, PLOTS, TEMPLATE = "report.html", "plots", "results_page.html"

DEFINITIONS = (
    ("Ratio", "one byte for every pixel of the gray frames over all bytes: for lrmcodec the file on disk, for the "
              "others all packets and headers. Weights that all files share are not counted."),
    ("PSNR", "mean over frames of the frame's PSNR, peak 255. SSIM3D: mean of the three-dimensional SSIM map, Gaussian "
             "window of 11 x 11 x 11, sigma 1.5."),
    ("Curves", "upper hull of a codec's points on each clip, interpolated over the logarithm of size, then averaged "
               "over clips at equal ratio. A curve ends where one of the clips cannot follow."),
    ("AV1, x265, x264, VP9", "with all that a careful user does at low rates: every 2nd, 4th, 8th or 16th frame with "
                             "linear blending, reduced size with cubic restoration."),
    ("Low rank + AV1 still", "the floor: singular pictures in one AV1 still, coefficients counted at their ideal cost; "
                             "nothing trained, nothing searched."),
    ("BD-rate", "percent of bytes more (+) or less (-) than the anchor at equal quality, averaged over the quality "
                "that both reach (Bjontegaard 2001, monotone piecewise cubic)."),
)


@dataclass(frozen=True)
class Section:
    """A part of the page: heading, a paragraph, tables, and pictures by name."""

    title: str
    text: str
    tables: tuple[Table, ...] = ()
    pictures: tuple[tuple[str, bytes], ...] = ()


def write_report(folder: Path, rows: Sequence[Row], sources: Sequence[Source], packs: Sequence[str],
                 failures: Sequence[tuple[str, str]], *, show_frames: bool = True) -> Path:
    """Write page, pictures and summary of a run into its folder, replacing older ones; returns the page's path.

    `show_frames` false leaves out pictures of the clips themselves, for clips whose pictures may not be passed on.
    """
    shown = exhibits(sources, rows, folder / FILES, packs[0]) if show_frames and packs else []
    sections = list(_sections(rows, shown))
    (folder / PLOTS).mkdir(exist_ok=True)
    for section in sections:
        for name, data in section.pictures:
            write_atomic(folder / PLOTS / f"{name}.png", data, force=True)
    write_summary(folder, rows)
    write_atomic(folder / PAGE, page(rows, sections, failures).encode(), force=True)
    return folder / PAGE


def _sections(rows: Sequence[Row], shown: Sequence[Exhibit]) -> Iterator[Section]:
    ours = ours_of(rows)
    peers = peers_of(rows)
    tables = (*(at_equal_bytes(rows, name, peers) for name in ours), bd_table(rows, anchor_of(rows)))
    yield Section("Rate and distortion", "Quality against the honest ratio, on logarithmic scale. Dots: the ratios "
                  "asked of lrmcodec, with the rank that it chose. The table gives the peers at the bytes of our files "
                  "(PSNR in dB / SSIM3D).", tables,
                  (("rate_distortion", plots.png(plots.rate_distortion(rows))),))
    for name in ours:
        yield from _rank_sections(rows, name)
    yield from _shown_sections(rows, shown, ours)
    others = [table for table in (lossless_table(rows), speed_table(rows)) if table.rows]
    if others:
        yield Section("Lossless peers, time and memory", "Times are wall time while other work may have run.",
                      tuple(others))


def _rank_sections(rows: Sequence[Row], codec: str) -> Iterator[Section]:
    ranked = [row for group in rank_groups(rows, codec) for row in group if row.size_bytes is not None]
    if not ranked:
        return
    yield Section(f"Rank: {name_of(codec)}", "Each rank at four qualities of quantization, from fine (95) to coarse "
                  "(30). 'Scalars alone' is compression as the LRM-Functa paper counts it: pixels a frame over "
                  "coefficients a frame, without latent, basis and number format. The ratio counts every byte.",
                  (rank_table(rows, codec),), ((f"ranks_{_slug(codec)}", plots.png(plots.rank_axis(rows, codec))),))
    if any(row.ed_events for row in ranked):
        yield Section(f"End diastole and end systole from the coefficients: {name_of(codec)}",
                      "Read from the stored coefficients without decoding a pixel, against labels: events matched one "
                      "to one within half a beat. Errors are of matched events; the others are missed or false.",
                      (phase_table(rows, codec),),
                      ((f"phase_{_slug(codec)}", plots.png(plots.phase_errors(rows, codec))),))


def _shown_sections(rows: Sequence[Row], shown: Sequence[Exhibit], ours: Sequence[str]) -> Iterator[Section]:
    if shown:
        yield Section("What it looks like", "The middle frame of the first clips: the original, ours, and AV1 at as "
                      "many bytes as its whole steps of quality reach from below. Gray in the error pictures is no "
                      "error.", (),
                      (("strip", plots.png(plots.strip(shown))),))
        yield Section("Trajectories", "The coefficients are functions of time. Left: the first two as a path. Right: "
                      "the signal that the cardiac readout takes from them.", (),
                      (("trajectories", plots.png(plots.trajectories(shown))),))
    for name in ours:
        if any(row.codec == name and row.parts and row.setting.is_ratio_at_best_rank for row in rows):
            yield Section(f"Where the bytes go: {name_of(name)}", "Shares of the file at the ratios asked for.", (),
                          ((f"parts_{_slug(name)}", plots.png(plots.parts(rows, name))),))


def _slug(codec: str) -> str:
    return codec.split()[-1]


def page(rows: Sequence[Row], sections: Sequence[Section], failures: Sequence[tuple[str, str]]) -> str:
    """The whole page; names and everything else are escaped by the template."""
    clips = dict.fromkeys((row.clip, row.frames, row.height, row.width, row.fps) for row in rows)
    pages = Environment(loader=PackageLoader("lrmcodec.benchmarks.show", "."), autoescape=True, trim_blocks=True,
                        lstrip_blocks=True, undefined=StrictUndefined)
    pages.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return pages.get_template(TEMPLATE).render(
        clips=[f"{name} ({frames} x {height} x {width}, {fps:.4g}/s)" for name, frames, height, width, fps in clips],
        row_count=len(rows), findings=list(_findings(rows)), failures=failures, notes=_notes(rows), sections=sections,
        definitions=DEFINITIONS, facts=facts(rows))


def _findings(rows: Sequence[Row]) -> Iterator[str]:
    """A line each: quality at the ratio nearest to 1000, and BD-rates."""
    anchor = anchor_of(rows)
    mine = {name_of(name) for name in ours_of(rows)}
    tables = [at_equal_bytes(rows, name, peers_of(rows)) for name in ours_of(rows)]
    yield from (_at_shown_ratio(table) for table in tables if table.rows)
    for name, psnr, ssim in bd_table(rows, anchor).rows:
        if name in mine:
            yield (f"{name} against {name_of(anchor)}: {psnr} bytes at equal PSNR, {ssim} bytes at equal SSIM3D, "
                   "averaged over the qualities that both reach (BD-rate).")


def _at_shown_ratio(table: Table) -> str:
    """One line of `at_equal_bytes` in words."""
    ratio, size, ours, *peers = min(
        table.rows, key=lambda line: abs(math.log(float(line[0].replace(",", "")) / SHOWN_RATIO)))
    others = "; ".join(f"{name} {cell}" for name, cell in zip(table.head[3:], peers, strict=True) if cell != MISSING)
    return (f"At {ratio} to 1 ({size} bytes a clip; PSNR in dB / SSIM3D): {table.head[2]} {ours}; at the same bytes "
            f"{others or 'no other codec gets there'}.")


def _notes(rows: Sequence[Row]) -> list[str]:
    """What some clips or machines cannot do."""
    return list(dict.fromkeys(f"{name_of(row.codec)}, {row.setting.words}: {row.note}" for row in rows if row.note))
