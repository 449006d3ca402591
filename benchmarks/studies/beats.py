"""How well beats are read from coefficients: ED and ES against labels, the sign, clips without a heart.

python -m lrmcodec.benchmarks.studies.beats -o DIR [--hearts echonet_like:0:200 ...] [--echonet ROOT] [--lung CLIP...]
                                            [--ratio 1000] [--ranks best,2,4,8,32] [--cache DIR]

Plans over the run of `lrmcodec bench`: DIR/rows.tsv has a row an encode, and a run that was stopped goes on where it
was. Simulated clips are kept in the cache. DIR/beats.md holds the tables.

All beats count, at the clips' ends too: events are matched one to one within half a beat, and what is not matched is a
miss or a false alarm. With oracle polarity each signal is turned to the sign that follows the true volume. Clips of
EchoNet-Dynamic have one labelled pair of several beats, so false alarms are unknown there; their second table follows
the protocol of the LRM-Functa paper (polarity from the label, nearest event, clips without one left out).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from lrmcodec.benchmarks.measure.asks import Plan
from lrmcodec.benchmarks.measure.campaign import ROWS, bench
from lrmcodec.benchmarks.measure.readout_error import with_right_sign
from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.measure.sets import Source, echonet, files, simulated
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show.summary import event_share, matched_bias, matched_error
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.provenance import provenance

PAGE = "beats.md"
LUNG, LUNG_SIZE, LUNG_RATIO = "lung", (112, 112), 300.0
REAL = "EchoNet-Dynamic test"
FRAME_MS = 20.0
"""Length of a frame at 50 frames a second, in which limits are given."""

PHASE_PARTS = ("phase", "ventricle", "heart")  # components of the direction
CONFIDENCES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
EVENT_HEAD = ("error", "at 50/s", "bias", "misses", "false alarms")
HEAD = ("clips", "rank", "way", "n", "bytes", "not cardiac", "right sign", *(f"ED {EVENT_HEAD[0]}", *EVENT_HEAD[1:]),
        *(f"ES {EVENT_HEAD[0]}", *EVENT_HEAD[1:]))

Groups = dict[tuple[str, Setting], list[Row]]


def hearts(spec: str, cache: Path | None) -> list[Source]:
    """Simulated clips of PRESET:FIRST:COUNT."""
    preset, first, count = spec.split(":")
    return [replace(source, group=preset, cache=str(cache or ""))
            for source in simulated(int(count), int(first), preset)]


def measure(options: argparse.Namespace) -> list[Row]:
    """Rows of everything asked for: those that stand in the folder are not measured again."""
    settings = tuple(Setting("ratio", options.ratio, rank) for rank in _ranks(options.ranks))
    bare = (Setting("ratio", options.ratio, without="phase"),)
    presets = [hearts(spec, options.cache) for spec in options.hearts]
    real = [] if options.echonet is None else [
        replace(source, group=REAL) for source in echonet(options.echonet, options.echonet_count) if source.labels]
    lung = [replace(source, size=LUNG_SIZE, gray=True, group=LUNG) for source in files(options.lung)]
    steps = [([source for sources in presets for source in sources], settings),
             ([source for sources in presets for source in sources[:options.without]], bare),
             (real, settings), (lung, (Setting("ratio", LUNG_RATIO),))]
    rows: list[Row] = []
    for sources, asked in steps:
        if sources:
            found = bench(sources, output=options.output, plan=Plan(peers=(), settings=asked, device="cpu"),
                          resume=(options.output / ROWS).exists(), progress=_tell)
            rows += [row for row in found if row.setting in asked]
    return rows


def _ranks(words: str) -> list[int | None]:
    return [None if word == "best" else int(word) for word in words.split(",")]


def _tell(fraction: float, label: str) -> None:
    print(f"{100 * fraction:3.0f} % {label}", file=sys.stderr)


def grouped(rows: Sequence[Row]) -> Groups:
    """Rows by kind of clips and setting; irregular rhythms at the best rank once more by themselves."""
    groups: Groups = {}
    for row in rows:
        groups.setdefault((row.group, row.setting), []).append(row)
        if row.rhythm not in ("", "sinus") and row.setting.is_ratio_at_best_rank and not row.setting.without:
            groups.setdefault((f"{row.group}, irregular rhythm", row.setting), []).append(row)
    return dict(sorted(groups.items(), key=lambda item: item[0][0]))


def beat_table(groups: Groups) -> Table:
    """Errors of every group of rows, without and, where a sign was wrong, with oracle polarity."""
    lines = []
    for (clips, setting), rows in groups.items():
        lines.append((clips, _rank_word(setting, rows), _way(setting), *_sign_cells(rows), *_event_cells(rows)))
        if any(row.sign_right is False for row in rows):
            right = [with_right_sign(row) for row in rows]
            n, size, refused, _ = _sign_cells(rows)
            lines.append((clips, _rank_word(setting, rows), f"{_way(setting)}, oracle polarity", n, size, refused,
                          MISSING, *_event_cells(right)))
    return Table("Beats", HEAD, lines)


def _way(setting: Setting) -> str:
    return "no component" if setting.without == "phase" else "stored direction"


def _rank_word(setting: Setting, rows: Sequence[Row]) -> str:
    ranks = [row.rank for row in rows if row.rank is not None]
    return f"best ({min(ranks)} to {max(ranks)})" if setting.asked_rank is None else str(setting.asked_rank)


def _sign_cells(rows: Sequence[Row]) -> tuple[str, str, str, str]:
    """How many clips, bytes of the direction, how many are said to be no heart, share of right signs."""
    wrong = sum(row.sign_right is False for row in rows)
    return (str(len(rows)), f"{np.mean([phase_bytes(row) for row in rows]):.1f}",
            str(sum(row.verdict != "cardiac" for row in rows)), f"{100 * (1 - wrong / len(rows)):.1f} %")


def phase_bytes(row: Row) -> int:
    """Bytes that the direction takes in the file, 0 where none is stored."""
    return sum(count for name, count in row.part_bytes.items() if name in PHASE_PARTS)


def _event_cells(rows: Sequence[Row]) -> Iterator[str]:
    """For ED and ES: error in frames of the clip and of 50 a second, bias of the latter, misses and false alarms."""
    for event in ("ed", "es"):
        yield _cell(matched_error(rows, event, "frames"), ".2f")
        yield _cell(matched_error(rows, event, "ms"), ".2f", 1 / FRAME_MS)
        yield _cell(matched_bias(rows, event), "+.2f", 1 / FRAME_MS)
        for what in ("misses", "false_alarms"):
            yield _cell(event_share(rows, event, what), ".1f", 100, " %")


def _cell(value: float | None, form: str, factor: float = 1, unit: str = "") -> str:
    return MISSING if value is None else f"{factor * value:{form}}{unit}"


def paper_table(rows: Sequence[Row]) -> Table:
    """The paper's protocol: polarity from the label, nearest event at any distance, clips without events left out."""
    lines = []
    right = [with_right_sign(row) for row in rows]
    for event in ("ed", "es"):
        errors = [min(abs(found - labels[0]) for found in events) for row in right
                  if (labels := getattr(row, f"{event}_labels")) and (events := getattr(row, f"{event}_found"))]
        mean = f"{np.mean(errors):.2f}" if errors else MISSING
        lines.append((event.upper(), str(len(errors)), str(len(rows) - len(errors)), mean))
    return Table("The paper's protocol", ("event", "n", "left out", "mean absolute error, frames"), lines)


def reliability(rows: Sequence[Row]) -> Table:
    """How often the sign was right, by the confidence that files state."""
    lines = []
    for low, high in pairwise(CONFIDENCES):
        inside = [row for row in rows if row.polarity_confidence is not None
                  and low <= row.polarity_confidence < high and row.verdict == "cardiac"]
        if inside:
            right = 100 * np.mean([row.sign_right is not False for row in inside])
            mean = np.mean([row.polarity_confidence or 0 for row in inside])
            lines.append((f"{low:g} to {min(high, 1):g}", str(len(inside)), f"{mean:.2f}", f"{right:.1f} %"))
    return Table("Signs", ("confidence", "n", "mean of it", "sign right"), lines)


def lung_table(rows: Sequence[Row]) -> Table:
    """Word and quality of clips without a heart, under a sentence of how many were called so."""
    right = sum(row.verdict != "cardiac" for row in rows)
    stored = sum(phase_bytes(row) > 0 for row in rows)
    title = (f"Lung clips at {LUNG_RATIO:g} to 1, resized to {LUNG_SIZE[0]}x{LUNG_SIZE[1]}: 'not cardiac' in "
             f"{right} of {len(rows)}; the encoder saw a heart in {stored}.")
    return Table(title, ("clip", "word", "quality"),
                 [(row.clip, row.verdict, f"{row.readout_quality:.2f}") for row in rows])


def page(rows: Sequence[Row], spec: Sequence[str], ratio: float) -> str:
    """Everything that was measured, as Markdown."""
    cardiac, lung = ([row for row in rows if (row.group == LUNG) == side] for side in (False, True))
    real = [row for row in cardiac if row.group == REAL]
    stored = [row for row in cardiac if not row.setting.without and row.ed_labels]
    parts = ["# Cardiac phase readout",
             f"Simulated clips {', '.join(spec)} (preset, first seed, count) at {ratio:g} to 1; errors in frames, "
             f"found minus true, of the clip and of 50 a second. {provenance()}."]
    if cardiac:
        parts.append(beat_table(grouped(cardiac)).markdown())
    if real:
        first = [row for row in real if row.setting == real[0].setting]
        parts += ["The same clips by the paper's protocol:", paper_table(first).markdown()]
    if stored:
        parts += ["How often the sign was right, by the confidence in the file, of all files above with a stored "
                  "direction:", reliability(stored).markdown()]
    if lung:
        table = lung_table(lung)
        parts += [table.title, table.markdown()]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hearts", nargs="*", default=[], metavar="PRESET:FIRST:COUNT", help="simulated clips")
    parser.add_argument("--echonet", type=Path, metavar="ROOT", help="folder of EchoNet-Dynamic")
    parser.add_argument("--echonet-count", type=int, metavar="N", help="at most N of its clips")
    parser.add_argument("--lung", nargs="*", default=[], metavar="CLIP")
    parser.add_argument("--ratio", type=float, default=1000)
    parser.add_argument("--ranks", default="best", help="for example best,2,4,8,32")
    parser.add_argument("--without", type=int, default=0, metavar="N",
                        help="encode the first N clips of each preset without a phase component, too")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep simulated clips here")
    options = parser.parse_args()
    text = page(measure(options), options.hearts, options.ratio)
    write_atomic(options.output / PAGE, text.encode(), force=True)
    print(text, end="")


if __name__ == "__main__":
    main()
