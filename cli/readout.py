"""`lrmcodec readout`: heart beats, end diastole and end systole from the coefficients of .lrm files."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, Rows, pass_console, printable
from lrmcodec.cli.files import check_suffix, open_lrm, refuse_same

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lrmcodec.cardiac.readout import Phase

SOME_FAILED = 3
MAX_ROWS = 100
CSV_HEAD = ("file", "event", "frame", "time_s", "confidence", "quality", "polarity_confidence")
RESEARCH = "for research only: a rough figure from areas in one plane, never for a patient"


@dataclass(frozen=True)
class Read:
    """What one file said, its frame times (T,) in seconds, and what was warned of when its clip was read."""

    source: str
    phase: Phase
    times_s: NDArray[np.float64]
    warnings: tuple[str, ...] = ()


@click.command()
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@click.option("--signal", is_flag=True, help="With --json: include the signal, one value a frame.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one line an event, and nothing else on stdout.")
@click.option("--plot", "picture", metavar="PNG", help="Draw the signals and events, a row a file.")
@click.option("--sync", is_flag=True, help="Pair the frames of two files that show the same moment of the beat.")
@options.pack_folder
@options.force
@options.as_json
@pass_console
def readout(console: Console, sources: tuple[str, ...], signal: bool, as_csv: bool, picture: str | None, sync: bool,
            pack: str | None, force: bool, as_json: bool) -> int:
    """Tell heart beats, end diastole (ED) and end systole (ES) from the coefficients of .lrm files.

    No frame is decoded. A clip in which no heart beats is called 'not cardiac', one whose events are not clear 'not
    sure'; neither has beats. With --json, one file gives an object and several give a list. A file that cannot be read
    does not stop the others; the exit code is then 3. Not a medical device.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if signal and not as_json:
        raise click.UsageError("--signal needs --json.")
    if sync and (len(sources) != 2 or signal or picture is not None):
        raise click.UsageError("--sync needs two files, and goes with --json or --csv only.")
    if picture is not None:
        _check_picture(picture, sources, force)
    found = list(_read_all(sources, pack))
    if sync:
        return _sync(console, found, as_csv=as_csv, as_json=as_json) if len(found) == 2 else SOME_FAILED
    if picture is not None and found:
        _draw(picture, found, force)
    if as_json:
        _write_json(console, found, signal=signal, as_list=len(sources) > 1)
    elif as_csv:
        _write_csv(found)
    else:
        for one in found:
            _show(console, one)
    return 0 if len(found) == len(sources) else SOME_FAILED


def _read_all(sources: tuple[str, ...], pack: str | None) -> Iterator[Read]:
    """Read one file after the other; of several, those that fail are named on stderr and left out."""
    from lrmcodec.cardiac.readout import read_phase
    from lrmcodec.formats.errors import LrmError

    for source in sources:
        try:
            file = open_lrm(source, pack=pack)
            yield Read(source, read_phase(file), file.times_s, file.warnings)
        except LrmError as error:
            if len(sources) == 1:
                raise
            click.echo(f"error: {printable(source)}: {printable(error)}", err=True)


def _check_picture(path: str, sources: Sequence[str], force: bool) -> None:
    """Refuse now what could not be drawn or written later."""
    from lrmcodec.cli.show.figures import new_figure
    from lrmcodec.formats.atomic import check_writable

    if len(sources) > MAX_ROWS:
        raise click.UsageError(f"--plot draws at most {MAX_ROWS} files; {len(sources)} are given.")
    check_suffix(path, (".png",))
    refuse_same(path, *sources)
    check_writable(path, force)
    new_figure(1, 1)


def _draw(path: str, found: list[Read], force: bool) -> None:
    from lrmcodec.cli.show.figures import draw_signals, png
    from lrmcodec.formats.atomic import write_atomic

    rows = [(Path(one.source).name, one.phase, one.times_s) for one in found]
    write_atomic(path, png(draw_signals(rows)), force=force)


def _write_json(console: Console, found: list[Read], *, signal: bool, as_list: bool) -> None:
    values = [{"input": one.source, "warnings": list(one.warnings), **one.phase.as_dict(signal=signal)}
              for one in found]
    if as_list:
        click.echo(json.dumps(values, indent=2, allow_nan=False))
    else:
        console.data(values[0])


def _write_csv(found: list[Read]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for one in found:
        phase = one.phase
        ed = zip(phase.ed_frames, phase.ed_times_s, phase.ed_confidences, strict=True)
        es = zip(phase.es_frames, phase.es_times_s, phase.es_confidences, strict=True)
        events = [("ED", *event) for event in ed] + [("ES", *event) for event in es]
        for name, frame, time_s, confidence in sorted(events, key=lambda event: event[2]):
            writer.writerow((one.source, name, frame, f"{time_s:.4f}", f"{confidence:.3f}", f"{phase.quality:.3f}",
                             f"{phase.polarity_confidence:.3f}"))


def _sync(console: Console, found: list[Read], *, as_csv: bool, as_json: bool) -> int:
    """Tell which frames of the second file show the same moment as those of the first."""
    from lrmcodec.cardiac.sync import same_moments, whole_beats
    from lrmcodec.formats.errors import ClipError

    first, second = found
    for one in found:
        if not whole_beats(one.phase):
            raise ClipError(f"{one.source} shows no whole beat, so its frames have no place in one.",
                            "Give clips in which the readout finds an ED, an ES and the next ED.")
    pairs = same_moments(first.phase, first.times_s, second.phase, second.times_s)
    if as_json:
        console.data({"first": first.source, "second": second.source, "pairs": [list(pair) for pair in pairs]})
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([("first_frame", "second_frame"), *pairs])
    else:
        console.table([(str(a), str(b)) for a, b in pairs], (f"Frame of {first.source}", f"of {second.source}"))
    return 0


def _show(console: Console, one: Read) -> None:
    phase = one.phase
    rows: Rows = [("File", one.source), ("Quality", f"{phase.quality_word} ({phase.quality:.2f})")]
    if phase.quality_word == "not sure":
        rows = [*rows, ("Events", "a heart seems to beat, but where ED and ES lie is not clear; none is listed")]
    if phase.quality_word == "cardiac":
        rows = [*rows, *_beats(phase), ("Sure of ED and ES", f"{100 * phase.polarity_confidence:.0f} %")]
    if phase.ejection_fraction_percent is not None:
        rows = [*rows, ("Ejection fraction", f"about {phase.ejection_fraction_percent:.0f} %; {RESEARCH}")]
    console.facts(rows)


def _beats(phase: Phase) -> Rows:
    """Rows on rate, variability, systole and the events."""
    rate = "unknown" if phase.heart_rate_bpm is None else f"{phase.heart_rate_bpm:.0f} beats a minute"
    if phase.interval_sd_s is not None:
        rate += f", varying by {1000 * phase.interval_sd_s:.0f} ms (standard deviation)"
    rows: Rows = [("Heart rate", rate)]
    if phase.systolic_fraction is not None:
        rows = [*rows, ("Systole", f"{100 * phase.systolic_fraction:.0f} % of the beat")]
    return [*rows, ("ED frames", _list(phase.ed_frames)), ("ES frames", _list(phase.es_frames))]


def _list(frames: list[int]) -> str:
    return ", ".join(map(str, frames)) or "none"
