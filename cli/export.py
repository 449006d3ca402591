"""`lrmcodec export`: clips of an archive, or .lrm files, for training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrmcodec.cli.archive_shared import SOME_FAILED, json_option, make_workers, workers_options
from lrmcodec.cli.console import Console, pass_console

if TYPE_CHECKING:
    from lrmcodec.archive.export import Exported, Item


@click.command()
@click.argument("sources", metavar="ARCHIVE|FILE.lrm|FOLDER...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="DIR", required=True, help="Folder to write.")
@click.option("--layout", type=click.Choice(["echonet"]), default="echonet", show_default=True,
              help="echonet: Videos/*.avi of 112 x 112 pixels, FileList.csv with a split by patient or study.")
@workers_options
@json_option
@pass_console
def export(console: Console, sources: tuple[str, ...], output: str, layout: str, processes: int | None,
           scheduler: str | None, as_json: bool) -> int:
    """Export clips in a layout that training programs read.

    Give one archive, or .lrm files and folders of them. Pictures are cut to a square around what is not dark.
    Ejection fractions are not known, and their columns empty. What is there is not made again. The exit code is 3 when
    some clips failed.
    """
    from lrmcodec.archive.export import export_echonet

    place, items = _items(sources)

    def watch(done: Exported) -> None:
        count = len(done.rows) + len(done.failures)
        progress(count / max(len(items), 1), f"{count:,} of {len(items):,} clips")

    with console.progress() as progress:
        done = export_echonet(place, items, Path(output), make_workers(processes, scheduler), watch)
    if as_json:
        console.data({"output": output, "layout": layout, "clips": len(done.rows),
                      "failed": [{"name": name, "reason": reason} for name, reason in done.failures]})
    elif console.level >= 0:
        console.facts([("Written", output), ("Clips", f"{len(done.rows):,}, and {len(done.failures):,} failed")])
    for name, reason in done.failures if not as_json else ():
        click.echo(f"error: {name}: {reason}", err=True)
    return SOME_FAILED if done.failures else 0


def _items(sources: tuple[str, ...]) -> tuple[str, list[Item]]:
    """The archive's place, '' for files, and the clips."""
    from lrmcodec.archive.errors import ArchiveError
    from lrmcodec.archive.export import items_of_archive, items_of_files
    from lrmcodec.archive.home import HOME, open_archive
    from lrmcodec.archive.store import URL

    if len(sources) == 1 and (URL.match(sources[0]) or (Path(sources[0]) / HOME).exists()):
        archive = open_archive(sources[0])
        return archive.store.url, list(items_of_archive(archive))
    items = list(items_of_files(list(_lrm_files(sources))))
    if not items:
        raise ArchiveError("there is no .lrm file to export.", "Give an archive, .lrm files, or folders of them.")
    return "", items


def _lrm_files(sources: tuple[str, ...]) -> Iterator[Path]:
    for source in sources:
        path = Path(source)
        yield from sorted(path.rglob("*.lrm")) if path.is_dir() else (path,)
