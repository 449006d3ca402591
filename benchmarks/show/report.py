"""One self-contained page about a run, and its pictures: `report.html`, `plots/*.png`, `summary.md`."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.measure.run import FILES
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.show import plots
from lrmcodec.benchmarks.show.exhibits import SHOWN_RATIO, Exhibit, exhibits
from lrmcodec.benchmarks.show.summary import (
    MISSING,
    Table,
    anchor_of,
    at_equal_bytes,
    bd_table,
    facts,
    lossless_table,
    name_of,
    ours_of,
    peers_of,
    phase_table,
    rank_table,
    speed_table,
    write_summary,
)
from lrmcodec.formats.atomic import write_atomic

PAGE, PLOTS = "report.html", "plots"

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 68rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0.2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p, li { max-width: 50rem; } figure { margin: 0.8rem 0; } .small { color: #666; font-size: 0.85rem; }
img { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; margin: 0.6rem 0; }
th, td { padding: 0.22rem 0.8rem; text-align: right; border-bottom: 1px solid #e5e5e5; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: #555; font-weight: 600; }
.failed { background: #fdf0ee; border-left: 4px solid #c0392b; padding: 0.5rem 1rem; }
"""

DEFINITIONS = (
    ("Ratio", "one byte for every pixel of the gray frames over all bytes: for lrmcodec the file on disk, for the "
              "others all packets and headers. Weights that all files share are not counted; 'spatial' has none."),
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
    ranked = [row for row in rows if row.codec == codec and "quality" in row.setting and row.size_bytes is not None]
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
        if any(row.codec == name and row.parts and row.setting.startswith("ratio") for row in rows):
            yield Section(f"Where the bytes go: {name_of(name)}", "Shares of the file at the ratios asked for.", (),
                          ((f"parts_{_slug(name)}", plots.png(plots.parts(rows, name))),))


def _slug(codec: str) -> str:
    return codec.split()[-1]


def page(rows: Sequence[Row], sections: Sequence[Section], failures: Sequence[tuple[str, str]]) -> str:
    """The whole page: no script, nothing loaded from elsewhere, pictures inside."""
    clips = dict.fromkeys((row.clip, row.frames, row.height, row.width, row.fps) for row in rows)
    listed = ", ".join(f"{_text(name)} ({frames} x {height} x {width}, {fps:.4g}/s)"
                       for name, frames, height, width, fps in clips)
    body = "".join(map(_section, sections))
    meanings = "".join(f"<li><b>{_text(word)}</b>: {_text(meaning)}</li>" for word, meaning in DEFINITIONS)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>lrmcodec benchmark</title><style>{STYLE}</style></head><body>\n<h1>lrmcodec benchmark</h1>\n"
            f"<p>{len(clips)} clips, {len(rows)} measurements. Every byte that has to be stored is counted.</p>\n"
            f"<ul>{_short(rows)}</ul>\n"
            f"{_failures(rows, failures)}{body}<h2>What the words mean</h2><ul>{meanings}</ul>\n"
            f'<h2>Clips</h2><p class="small">{listed}</p>\n<p class="small">{_text(facts(rows))}</p>\n</body></html>\n')


def _short(rows: Sequence[Row]) -> str:
    """The findings in a line each: quality at the ratio nearest to 1000, and BD-rates."""
    anchor = anchor_of(rows)
    mine = {name_of(name) for name in ours_of(rows)}
    tables = [at_equal_bytes(rows, name, peers_of(rows)) for name in ours_of(rows)]
    lines = [_at_shown_ratio(table) for table in tables if table.rows]
    lines += [f"{name} against {name_of(anchor)}: {psnr} bytes at equal PSNR, {ssim} bytes at equal SSIM3D, averaged "
              "over the qualities that both reach (BD-rate)."
              for name, psnr, ssim in bd_table(rows, anchor).rows if name in mine]
    return "".join(f"<li>{_text(line)}</li>" for line in lines)


def _at_shown_ratio(table: Table) -> str:
    """One line of `at_equal_bytes` in words."""
    ratio, size, ours, *peers = min(
        table.rows, key=lambda line: abs(math.log(float(line[0].replace(",", "")) / SHOWN_RATIO)))
    others = "; ".join(f"{name} {cell}" for name, cell in zip(table.head[3:], peers, strict=True) if cell != MISSING)
    return (f"At {ratio} to 1 ({size} bytes a clip; PSNR in dB / SSIM3D): {table.head[2]} {ours}; at the same bytes "
            f"{others or 'no other codec gets there'}.")


def _failures(rows: Sequence[Row], failures: Sequence[tuple[str, str]]) -> str:
    """What could not be measured, and what some clips or machines cannot do."""
    notes = dict.fromkeys(f"{name_of(row.codec)}, {row.setting}: {row.note}" for row in rows if row.note)
    lines = [f"<li>{_text(clip)}: {_text(why)}</li>" for clip, why in failures]
    boxes = f'<div class="failed"><b>Failed</b><ul>{"".join(lines)}</ul></div>\n' if lines else ""
    remarks = "".join(f"<li>{_text(note)}</li>" for note in notes)
    return boxes + (f"<h2>Not measured</h2><ul>{remarks}</ul>\n" if notes else "")


def _section(section: Section) -> str:
    pictures = "".join(f'<figure><img alt="{_text(section.title)}" src="data:image/png;base64,'
                       f'{base64.b64encode(data).decode()}"></figure>\n' for _, data in section.pictures)
    tables = "".join(map(_table, section.tables))
    return f"<h2>{_text(section.title)}</h2>\n<p>{_text(section.text)}</p>\n{pictures}{tables}"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in table.head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in line) + "</tr>" for line in table.rows)
    return (f'<h3 class="small">{_text(table.title)}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>\n")


def _text(value: str) -> str:
    return html.escape(value)
