"""`lrmcodec archive report`: pages about an archive, for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrmcodec.cli.archive_shared import json_option, make_workers, place, workers_options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import amount

if TYPE_CHECKING:
    from lrmcodec.archive.home import Archive
    from lrmcodec.archive.overview import Study
    from lrmcodec.archive.workers import Workers


@click.command()
@place
@click.option("-o", "--output", metavar="DIR", required=True, help="Folder for the pages: new, or an earlier report.")
@workers_options
@json_option
@pass_console
def report(console: Console, place: str, output: str, processes: int | None, scheduler: str | None,
           as_json: bool) -> None:
    """Write pages about an archive: a strip of frames, readout and quality of each clip, the unusual ones first.

    index.html opens in any browser, without a network. Strips that are there are not made again.
    """
    from lrmcodec.archive.find import statistics
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.manifest import listed
    from lrmcodec.archive.overview import studies_of
    from lrmcodec.cli.show.archive_pages import INDEX, prepare_folder, write_pages

    archive, folder = open_archive(place), Path(output)
    workers = make_workers(processes, scheduler)
    prepare_folder(folder)
    studies = studies_of(listed(archive.store))
    missing = _make_strips(console, archive, folder, studies, workers)
    write_pages(folder, place, studies, statistics(archive))
    if as_json:
        console.data({"archive": place, "output": output, "index": str(folder / INDEX), "studies": len(studies),
                      "clips": sum(len(study.clips) for study in studies), "undecodable": missing})
    elif console.level >= 0:
        console.facts([("Written", f"{folder / INDEX}; open it in a browser"),
                       ("Studies", f"{len(studies):,}"),
                       ("Clips", f"{sum(len(study.clips) for study in studies):,}")])
    if missing:
        console.warn(f"{amount(missing, 'clip')} cannot be decoded; run 'lrmcodec archive verify'")


def _make_strips(console: Console, archive: Archive, folder: Path, studies: list[Study], workers: Workers) -> int:
    """Write the strips that are not there; how many clips cannot be decoded."""
    from lrmcodec.archive.entry import parse_line
    from lrmcodec.archive.overview import make_strip, strip_name
    from lrmcodec.archive.workers import closing
    from lrmcodec.cli.show.archive_pages import STRIPS
    from lrmcodec.formats.atomic import write_atomic

    wanted = {strip_name(judged.entry): judged.entry for study in studies for judged in study.clips}
    todo = [entry.to_line() for name, entry in wanted.items() if not (folder / STRIPS / name).exists()]
    missing = done = 0
    with console.progress() as progress, closing(workers.map(make_strip, archive.store.url, todo)) as results:
        for line, strip in results:
            if isinstance(strip, bytes):
                write_atomic(folder / STRIPS / strip_name(parse_line(line)), strip, force=True)
            else:
                missing += 1
            done += 1
            progress(done / len(todo), f"{done:,} of {len(todo):,} strips")
    return missing
