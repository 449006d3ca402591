"""`lrmcodec readout`: heart beats, end diastole and end systole from the coefficients of .lrm files."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, Rows, pass_console
from lrmcodec.cli.files import open_lrm

if TYPE_CHECKING:
    from lrmcodec.readout import Phase

CSV_HEAD = ("file", "event", "frame", "time_s", "quality", "polarity_confidence")


@click.command()
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@click.option("--signal", is_flag=True, help="With --json: include the signal, one value a frame.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one line an event, and nothing else on stdout.")
@options.pack_folder
@options.as_json
@pass_console
def readout(console: Console, sources: tuple[str, ...], signal: bool, as_csv: bool, pack: str | None,
            as_json: bool) -> None:
    """Tell heart beats, end diastole (ED) and end systole (ES) from the coefficients of .lrm files.

    No frame is decoded. A clip in which no heart beats is called 'not cardiac' and has no beats. With --json, one
    file gives an object and several give a list. Not a medical device.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if signal and not as_json:
        raise click.UsageError("--signal needs --json.")
    from lrmcodec.readout import read_phase

    found = [(source, read_phase(open_lrm(source, pack=pack))) for source in sources]
    if as_json:
        values = [{"input": source, **phase.as_dict(signal=signal)} for source, phase in found]
        if len(values) == 1:
            console.data(values[0])
        else:
            click.echo(json.dumps(values, indent=2, allow_nan=False))
    elif as_csv:
        _write_csv(found)
    else:
        for source, phase in found:
            _show(console, source, phase)


def _write_csv(found: list[tuple[str, Phase]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for source, phase in found:
        events = [("ED", *event) for event in zip(phase.ed_frames, phase.ed_times_s, strict=True)]
        events += [("ES", *event) for event in zip(phase.es_frames, phase.es_times_s, strict=True)]
        for name, frame, time_s in sorted(events, key=lambda event: event[2]):
            writer.writerow((source, name, frame, f"{time_s:.4f}", f"{phase.quality:.3f}",
                             f"{phase.polarity_confidence:.3f}"))


def _show(console: Console, source: str, phase: Phase) -> None:
    rows: Rows = [("File", source), ("Quality", f"{phase.quality_word} ({phase.quality:.2f})")]
    if phase.quality_word == "cardiac":
        rows = [
            *rows,
            ("Heart rate", "unknown" if phase.heart_rate_bpm is None else f"{phase.heart_rate_bpm:.0f} beats a minute"),
            ("ED frames", _list(phase.ed_frames)),
            ("ES frames", _list(phase.es_frames)),
            ("Sure of ED and ES", f"{100 * phase.polarity_confidence:.0f} %" if phase.polarity_confidence
             else "not at all: the file does not say which is which"),
        ]
    console.facts(rows)


def _list(frames: list[int]) -> str:
    return ", ".join(map(str, frames)) or "none"
