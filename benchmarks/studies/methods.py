"""The paper's methods: every shipped pack on clips that none was trained on, quality, bytes, speed, beats, paths.

python -m lrmcodec.benchmarks.studies.methods -o DIR [--videos DIR] [--lung DIR] [--simulated N] [--parasternal N]
                                              [--lungs N] [--packs a,b] [--ranks 2,4,8,32]

A plan over the run of `lrmcodec bench`: DIR/rows.tsv has a row a clip, pack and rank, DIR/methods.md the tables. Each
clip is fitted once a pack at the highest rank, by networks with gates at each rank, and coded with one quantizer index
(`measure/one_fit`). Quality is a mean over clips +- the standard deviation among them. A run that was stopped goes on.
Parasternal clips are of the preset `pocus_plax`: a view, a scanner and a rate that no pack was trained on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lrmcodec.benchmarks.measure.asks import Plan
from lrmcodec.benchmarks.measure.campaign import ROWS, bench
from lrmcodec.benchmarks.measure.rows import OURS, Row
from lrmcodec.benchmarks.measure.sets import Source, simulated
from lrmcodec.benchmarks.peers import MEAN_PICTURE
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show.summary import event_share, matched_error
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.decoders.registry import shipped_packs
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.train.data import TEST_SEED, VideoFolder, lung_files

PAGE = "methods.md"
SIZE = (112, 112)
SIMULATED, PARASTERNAL, CARDIAC, LUNG = "simulated", "parasternal", "cardiac", "lung"
UNSEEN_PRESET = "pocus_plax"
FIRST_SEED = TEST_SEED + 500
"""Apart from the seeds that training looks at on its way."""

LUNG_CLIPS = 5
COLUMNS = (("bytes", "size_bytes", ".0f"), ("ratio", "ratio", ".0f"), ("fit s", "fit_seconds", ".1f"),
           ("decode frames/s", "decode_fps", ".0f"))
SPREAD_COLUMNS = (("PSNR dB", "psnr_db", ".2f"), ("SSIM3D", "ssim3d", ".3f"))
GAIN = "over the mean picture dB"
INTRO = (
    "No pack was trained on these clips; that the fit does better with short steps was first seen on clips of which "
    "two are among the lung clips here, its settings were then chosen on others. Made with `python -m "
    "lrmcodec.benchmarks.studies.methods`. What it means: docs/paper.md. Times of different packs do not compare: "
    "they were measured one after the other under changing load."
)
QUALITY = 80.0
"""At which quantization costs packs with networks next to nothing."""

SHAPE_RANK = 2
"""Of the files whose paths are looked at."""


def sources(videos: Path | None, lung: Path | None, count: int, frames: int, parasternal: int = 0,
            lungs: int = LUNG_CLIPS) -> list[Source]:
    """Clips of all groups, at most `frames` frames of each, 112x112."""
    found = [replace(source, group=SIMULATED) for source in simulated(count, FIRST_SEED)]
    found += [replace(source, group=PARASTERNAL, size=SIZE)
              for source in simulated(parasternal, FIRST_SEED, UNSEEN_PRESET)]
    if videos:
        found += [Source(f"{CARDIAC}_{index}", str(path), size=SIZE, group=CARDIAC)
                  for index, path in enumerate(VideoFolder(videos).paths, 1)]
    if lung:
        files = lung_files(lung, test=True)
        chosen = pick_evenly(files, lungs)
        found += [Source(path.stem, str(path), size=SIZE, group=LUNG) for path in chosen]
    return [replace(source, frame_limit=frames) for source in found]


def pick_evenly(files: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of some files, the first and the last among them."""
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [files[index] for index in chosen.tolist()]


def plan(packs: Sequence[str], ranks: Sequence[int]) -> Plan:
    """Every pack at every rank, and the mean picture beside them."""
    settings = tuple(Setting("quality", QUALITY, rank) for rank in ranks)
    return Plan(packs=tuple(packs), peers=(MEAN_PICTURE,), settings=settings, one_fit=True, device="cpu")


def quality_tables(rows: Sequence[Row]) -> list[Table]:
    """A table for every group of clips: means over clips of every pack and rank, +- deviation of their quality."""
    tables = []
    head = ("pack", "rank", "clips", *(name for name, _, _ in SPREAD_COLUMNS), GAIN, *(name for name, _, _ in COLUMNS))
    for group in dict.fromkeys(row.group for row in rows):
        of_group = [row for row in rows if row.group == group and row.psnr_db is not None]
        still = {row.clip: row.psnr_db for row in of_group if row.codec == MEAN_PICTURE and row.psnr_db is not None}
        lines = []
        for codec, setting in dict.fromkeys((row.codec, row.setting) for row in of_group):
            same = [row for row in of_group if (row.codec, row.setting) == (codec, setting)]
            spreads = [_spread([getattr(row, column) for row in same], form) for _, column, form in SPREAD_COLUMNS]
            gains = [row.psnr_db - still[row.clip] for row in same if row.psnr_db is not None and row.clip in still]
            lines.append((codec.removeprefix(OURS), str(setting.asked_rank), str(len(same)), *spreads,
                          _spread(gains, "+.2f"), *(_mean(same, column, form) for _, column, form in COLUMNS)))
        tables.append(Table(f"**{group}**, {len({row.clip for row in of_group})} clips", head, lines))
    return tables


def beat_tables(rows: Sequence[Row]) -> list[Table]:
    """ED and ES read from the files, for every group with labels; pack and rank a line."""
    tables = []
    for group in dict.fromkeys(row.group for row in rows):
        ours = [row for row in rows if row.group == group and row.is_ours and row.ed_events and not row.setting.without]
        lines = []
        for codec, setting in dict.fromkeys((row.codec, row.setting) for row in ours):
            same = [row for row in ours if (row.codec, row.setting) == (codec, setting)]
            lines.append((codec.removeprefix(OURS), str(setting.asked_rank),
                          *(cell for event in ("ed", "es") for cell in _event_cells(same, event)),
                          str(sum(row.verdict == "cardiac" for row in same))))
        if lines:
            head = [f"{event} {what}" for event in ("ED", "ES") for what in ("error", "misses", "false alarms")]
            tables.append(Table(f"**{group}**, {len({row.clip for row in ours})} clips; errors in frames of the clip",
                                ("pack", "rank", *head, "read"), lines))
    return tables


def _event_cells(rows: Sequence[Row], event: str) -> tuple[str, str, str]:
    error = matched_error(rows, event, "frames")
    shares = [event_share(rows, event, what) for what in ("misses", "false_alarms")]
    missed, false = (MISSING if share is None else f"{100 * share:.0f} %" for share in shares)
    return MISSING if error is None else f"{error:.2f}", missed, false


def findings(rows: Sequence[Row]) -> Table:
    """The paper's qualitative statements beside what the simulated clips show."""
    ours = [row for row in rows if row.group == SIMULATED and row.is_ours and row.psnr_db is not None]
    ranks = sorted({row.setting.asked_rank or 0 for row in ours})
    lines = []
    for codec in dict.fromkeys(row.codec for row in ours):
        by_rank = {rank: [row for row in ours if (row.codec, row.setting.asked_rank) == (codec, rank)]
                   for rank in {*ranks, SHAPE_RANK}}
        lines.append((codec.removeprefix(OURS), *(_mean(by_rank[rank], "psnr_db", ".2f") for rank in ranks),
                      _mean(by_rank[SHAPE_RANK], "second_share", ".3f"), _mean(by_rank[SHAPE_RANK], "turning", ".2f")))
    return Table("**Trajectories and ranks**, simulated clips, PSNR in dB",
                 ("pack", *(f"r = {rank}" for rank in ranks), "second share", "turning"), lines)


def _mean(rows: Sequence[Row], column: str, form: str) -> str:
    values = [value for row in rows if (value := getattr(row, column)) is not None]
    return format(float(np.mean(values)), form) if values else MISSING


def _spread(values: Sequence[float | None], form: str) -> str:
    """Mean, and +- the standard deviation where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return MISSING
    mean = format(float(np.mean(known)), form)
    return f"{mean} +- {float(np.std(known)):{form.removeprefix('+')}}" if len(known) > 1 else mean


def page(rows: Sequence[Row]) -> str:
    """All tables as Markdown."""
    longest = max(row.frames for row in rows)
    setting = next(row.setting for row in rows if row.is_ours)
    parts = ["# The paper's methods",
             f"Packs on up to {longest} frames of a clip at {SIZE[0]}x{SIZE[1]}, quality {setting.target_value:g}; a "
             "clip is fitted once a pack, by networks with gates for each rank. Means over clips, +- the standard "
             f"deviation among them. {INTRO}"]
    for table in quality_tables(rows):
        parts += [table.title, table.markdown()]
    beats = beat_tables(rows)
    if beats:
        parts.append("ED and ES, read from coefficients along the direction that the encoder settled from the pixels:")
    for table in (*beats, findings(rows)):
        parts += [table.title, table.markdown()]
    tools = "; ".join(dict.fromkeys(f"{row.versions}; {row.hardware}" for row in rows))
    parts.append(f"{tools}, one CPU thread of a machine shared with other work: times are upper bounds.")
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for rows.tsv and methods.md")
    parser.add_argument("--videos", type=Path, help="folder of cardiac clips")
    parser.add_argument("--lung", type=Path, help="folder of lung clips with ATTRIBUTION.csv")
    parser.add_argument("--lungs", type=int, default=LUNG_CLIPS, help="how many of the lung clips held out")
    parser.add_argument("--simulated", type=int, default=20)
    parser.add_argument("--parasternal", type=int, default=0, help="simulated clips of a view nothing was trained on")
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--packs", help="names separated by commas; default: all shipped")
    parser.add_argument("--ranks", default="2,4,8,32")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the workers, for times that can be told
    packs = options.packs.split(",") if options.packs else [pack.name for pack in shipped_packs()]
    clips = sources(options.videos, options.lung, options.simulated, options.frames, options.parasternal,
                    options.lungs)
    rows = bench(clips, output=options.output,
                 plan=plan(packs, [int(rank) for rank in options.ranks.split(",")]),
                 resume=(options.output / ROWS).exists(),
                 progress=lambda fraction, label: print(f"{100 * fraction:3.0f} % {label}", file=sys.stderr))
    write_atomic(options.output / PAGE, page(rows).encode(), force=True)


if __name__ == "__main__":
    main()
