"""`lrmcodec archive restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lrmcodec.cli import archive_shared as shared
from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import amount

if TYPE_CHECKING:
    from lrmcodec.archive.restore import Restored

KINDS = ("original", "dicom", "avi", "mp4", "lrm")


@click.command()
@shared.place
@click.argument("ids", metavar="[ID|PATH]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Restore every file.")
@click.option("-o", "--output", metavar="DIR", required=True, help="Folder to restore into.")
@click.option("--as", "kind", type=click.Choice(KINDS),
              help="original: the file itself, where it is stored; dicom, avi, mp4: the decoded clip; lrm: the coded "
                   "one. By default the file itself where it is stored, else a clip of the source's kind.")
@options.force
@shared.workers_options
@shared.json_option
@pass_console
def restore(console: Console, place: str, ids: tuple[str, ...], everything: bool, output: str, kind: str | None,
            force: bool, processes: int | None, scheduler: str | None, as_json: bool) -> int:
    """Restore files by id (or the beginning of one), by path, or all of them.

    Files appear whole or not at all; those that exist are left alone without --force, so that the same command goes on
    after an interruption. --as is about clips: stills, reports and the like come back as they were. The exit code is
    3 when some files failed.
    """
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.manifest import listed
    from lrmcodec.archive.restore import choose
    from lrmcodec.archive.restore import restore as run

    if everything == bool(ids):
        raise click.UsageError("Give either ids or --all.")
    archive = open_archive(place)
    entries = list(listed(archive.store)) if everything else choose(archive, ids)

    def watch(done: Restored) -> None:
        count = done.written + done.there + len(done.failures)
        progress(count / max(len(entries), 1), f"{count:,} of {len(entries):,} files")

    with console.progress() as progress:
        workers = shared.make_workers(processes, scheduler)
        done = run(archive, entries, output, kind or "", workers, force=force, watch=watch)
    if as_json:
        console.data({"archive": place, "output": output, "written": done.written, "exact": done.exact,
                      "there": done.there, "failed": shared.failure_rows(done.failures, "reason")})
    elif console.level >= 0:
        console.facts([
            ("Restored", f"{amount(done.written, 'file')}, {done.exact:,} of them byte for byte, to {output}"),
            ("Left alone", f"{done.there:,} that were there"),
            ("Failed", f"{len(done.failures):,}"),
        ])
    if not as_json:
        shared.tell_failures("error", done.failures)
    return shared.SOME_FAILED if done.failures else 0
