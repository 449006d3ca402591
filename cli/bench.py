"""`lrmcodec bench`: measure the codec beside its peers and write rows and a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console

if TYPE_CHECKING:
    from lrmcodec.benchmarks.measure.asks import Plan
    from lrmcodec.benchmarks.measure.rows import Row
    from lrmcodec.benchmarks.measure.sets import Source

SOME_FAILED = 3
SETS = ("demo", "simulated", "echonet")
SET_COUNT = 10


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of numbers, for example 1,2,4.") from error


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers, for example 1,2,4.") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


@click.command()
@click.argument("clips", metavar="[CLIPS]...", nargs=-1)
@click.option("--set", "chosen_set", type=click.Choice(SETS),
              help="Clips to use: demo (bundled lung clip and a simulated heart), simulated, or echonet, the test "
                   "clips of the EchoNet-Dynamic folder that is given as CLIPS.")
@click.option("--count", type=click.IntRange(min=1), metavar="N",
              help=f"Simulated clips ({SET_COUNT} by default), or at most so many of EchoNet-Dynamic.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the first simulated clip.")
@click.option("--preset", default="echonet_like", show_default=True, help="Kind of simulated clips.")
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="Only the first N frames of every clip.")
@click.option("--whole-range", is_flag=True,
              help="Ratios from 10 to 3000 and no loss at all, without the rank axis, beside AV1 (presets 2 and 5, 10 "
                   "bits), x265 and what codes without loss.")
@click.option("--ranks", type=_integers, metavar="R,R,...", help="Ranks of the rank axis; default 1,2,4,8,16,32,64.")
@click.option("--ratios", type=_numbers, metavar="X,X,...",
              help="Ratios asked of our codec at its best rank; default 30,60,100,180,300,600,1000,2000,3000.")
@click.option("--packs", type=_names, metavar="P,P,...",
              help="Decoder packs, by name or folder; default refined. Networks take long on a CPU.")
@click.option("--peers", type=_names, metavar="C,C,...",
              help="Of av1, x265, x264, vp9, jpeg2000, jpeg, ffv1, x265-lossless, lowrank-av1, by default; av1-10bit, "
                   "av1-preset5, av1-lossless, jpeg-ls; '' none.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="LABELS",
              help="End-diastolic and end-systolic frames: JSON, CSV, or a folder of JSON files named as the clips.")
@click.option("-o", "--output", metavar="DIR", default="bench", show_default=True, help="Folder for rows and report.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Clips measured at a time; more than 1 makes times worthless.")
@click.option("--resume", is_flag=True, help="Go on with the rows in DIR.")
@click.option("--report/--no-report", default=True, help="Write report.html and its plots; default: write them.")
@click.option("--frames/--no-frames", default=True,
              help="Show frames of the clips in the report; --no-frames for pictures that must not be passed on.")
@click.option("--speed", is_flag=True, help="Measure speed and memory on simulated frames instead; CLIPS are not used.")
@click.option("--task", type=click.Choice(["ef", "b-lines"]),
              help="Tell ejection fraction or B-lines from originals, decoded clips and coefficients instead; CLIPS: a "
                   "folder of EchoNet-Dynamic or of lung clips, or nothing for simulated hearts. docs/downstream.md")
@click.option("--roads", type=_names, metavar="R,R,...",
              help="With --task, of network, network-original, coefficients, ventricle, readout; default all.")
@click.option("--qualities", type=_numbers, default="80", show_default=True, metavar="Q,Q,...",
              help="With --task: how finely files of a given rank are coded.")
@click.option("--epochs", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
              help="With --task: passes of a network over its clips.")
@click.option("--width", type=click.IntRange(4, 128), default=64, show_default=True, metavar="N",
              help="With --task: channels of a network's first stage; few are quicker.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, metavar="N",
              help="With --task: parts of the clips, each asked of what was trained on the others.")
@click.option("--training", type=click.IntRange(min=0), default=0, metavar="N",
              help="With --task ef: so many further clips that networks of originals are trained on and that are "
                   "never coded.")
@click.option("--side", type=click.IntRange(16, 256), default=112, show_default=True, metavar="PIXELS",
              help="With --task: of the frames that networks see.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, metavar="N",
              help="With --speed: runs of which the median is taken.")
@options.device
@options.size("Resize the frames first.")
@options.gray
@options.force
@options.as_json
@pass_console
def bench(console: Console, /, clips: tuple[str, ...], chosen_set: str | None, output: str, speed: bool, repeats: int,
          as_json: bool, **given: Any) -> int:
    """Measure the codec beside its peers: rate, distortion, rank, cardiac readout, speed.

    CLIPS are files, folders of clips, or NAME=PATH to give a clip another name. DIR gets rows.tsv, one row a clip,
    codec and setting, summary.md, plots and report.html, one page to open in a browser. Exit code 3: some clips
    failed.
    """
    if given["task"]:
        from lrmcodec.cli.bench_task import run_task

        return run_task(console, clips, Path(output), given, as_json)
    if speed:
        return _speed(console, Path(output), repeats, given, as_json)

    from lrmcodec.benchmarks.measure.campaign import bench as measure

    sources = _sources(clips, chosen_set, given)
    plan = _plan(given)
    failures: list[tuple[str, str]] = []
    with console.progress() as progress:
        rows = measure(sources, output=output, plan=plan, resume=given["resume"], force=given["force"],
                       failed=lambda clip, why: _failed(console, failures, clip, why), progress=progress)
    written = _report(Path(output), rows, sources, plan, failures, given) if rows else []
    _tell(console, rows, failures, output, written, as_json)
    if not rows:
        return 1
    return SOME_FAILED if failures else 0


def _sources(clips: tuple[str, ...], chosen_set: str | None, given: dict[str, Any]) -> list[Source]:
    """Clips that are named, with size, gray and labels as asked."""
    from lrmcodec.benchmarks.measure import sets
    from lrmcodec.benchmarks.measure.labels import read_labels

    if chosen_set == "echonet":
        if len(clips) != 1:
            raise click.UsageError("--set echonet needs one argument, the folder of EchoNet-Dynamic.")
        sources = sets.echonet(Path(clips[0]), given["count"])
    else:
        sources = sets.demo() if chosen_set == "demo" else []
        if chosen_set == "simulated":
            sources = sets.simulated(given["count"] or SET_COUNT, given["seed"], given["preset"])
        sources += sets.files(clips)
    labels = read_labels(given["labels"]) if given["labels"] is not None else {}
    return [replace(source, size=given["size"] or source.size, gray=given["gray"], frame_limit=given["first"],
                    labels=labels.get(source.name, source.labels)) for source in sources]


def _plan(given: dict[str, Any]) -> Plan:
    from lrmcodec.benchmarks.measure.asks import Plan

    chosen = {name: given[name] for name in ("ranks", "ratios", "packs", "peers") if given[name] is not None}
    make = Plan.whole_range if given["whole_range"] else Plan
    return make(**chosen, device=given["device"], jobs=given["jobs"])


def _failed(console: Console, failures: list[tuple[str, str]], clip: str, why: str) -> None:
    failures.append((clip, why))
    console.warn(why, about=clip)


def _report(folder: Path, rows: list[Row], sources: list[Source], plan: Plan, failures: list[tuple[str, str]],
            given: dict[str, Any]) -> list[str]:
    """Write what a person reads."""
    from lrmcodec.benchmarks.show import results_page, summary

    if not given["report"]:
        summary.write_summary(folder, rows)
        return [str(folder / summary.SUMMARY)]
    page = results_page.write_report(folder, rows, sources, plan.packs, failures, show_frames=given["frames"])
    return [str(folder / summary.SUMMARY), str(page)]


def _tell(console: Console, rows: list[Row], failures: list[tuple[str, str]], output: str, written: list[str],
          as_json: bool) -> None:
    table = str(Path(output) / "rows.tsv")
    if as_json:
        console.data({"rows": [{"setting": row.setting.words, **row.as_dict()} for row in rows],
                      "output": [table, *written],
                      "failed": [{"clip": clip, "why": why} for clip, why in failures]})
    elif console.level >= 0:
        names = {row.clip for row in rows}
        console.facts([("Rows", f"{len(rows)} of {len(names)} clips: {table}"),
                       *(("Written", name) for name in written),
                       *(("Failed", f"{clip}: {why}") for clip, why in failures)])


def _speed(console: Console, folder: Path, repeats: int, given: dict[str, Any], as_json: bool) -> int:
    from lrmcodec.benchmarks.studies import speed
    from lrmcodec.decoders.registry import DEFAULT_PACK

    with console.progress() as progress:
        measured = speed.measure(folder, packs=given["packs"] or (DEFAULT_PACK,), device=given["device"],
                                 repeats=repeats, force=given["force"], progress=progress)
    if as_json:
        console.data({"speed": [row._asdict() for row in measured], "output": str(folder / speed.TABLE)})
    elif console.level >= 0:
        console.table([row.cells() for row in measured], speed.HEAD)
        console.facts([("Written", str(folder / speed.TABLE))])
    return 0
