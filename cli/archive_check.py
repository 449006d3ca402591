"""`lrmcodec archive verify` and `repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lrmcodec.cli import archive_shared as shared
from lrmcodec.cli.console import Console, Rows, pass_console
from lrmcodec.cli.files import amount

if TYPE_CHECKING:
    from lrmcodec.archive.verify import Findings

SHOWN = 50


@click.command()
@shared.place
@click.option("--read-data-subset", "subset", default="100%", metavar="PART", show_default=True,
              help="Read and decode a random share such as 5%, or a fixed part such as 2/10. Names and sizes of all "
                   "objects are checked in any case.")
@shared.workers_options
@shared.json_option
@pass_console
def verify(console: Console, place: str, subset: str, processes: int | None, scheduler: str | None,
           as_json: bool) -> int:
    """Check that every file of an archive can be restored: read its objects, decode its clip, compare.

    The exit code is 0 only when all is sound, else 3, with a list.
    """
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.verify import verify as run

    def watch(findings: Findings, total: int) -> None:
        progress(findings.decoded / max(total, 1), f"{findings.decoded:,} of {total:,} files, "
                                                   f"{shared.amount_bytes(findings.read_bytes)}, "
                                                   f"{amount(len(findings.problems), 'problem')}")

    with console.progress() as progress:
        findings = run(open_archive(place), shared.make_workers(processes, scheduler), subset, watch)
    problems = [(each.id, each.path, each.what) for each in findings.problems]
    if as_json:
        console.data({"archive": place, "valid": not problems, "files": findings.files, "decoded": findings.decoded,
                      "read_bytes": findings.read_bytes, "differing": findings.differing,
                      "loose_objects": findings.loose, "problems": shared.failure_rows(problems, "problem")})
    elif console.level >= 0:
        _show(console, findings)
    if problems and not as_json:
        shared.tell_failures("problem", problems, SHOWN)
        more = f" ({len(problems) - SHOWN:,} more, see --json)" if len(problems) > SHOWN else ""
        click.echo(f"  Run 'lrmcodec archive repair {place}', then archive the sources again.{more}", err=True)
    return shared.SOME_FAILED if problems else 0


def _show(console: Console, findings: Findings) -> None:
    rows: Rows = [
        ("Files", f"{findings.files:,} in the manifest"),
        ("Read and decoded", f"{findings.decoded:,}, {shared.amount_bytes(findings.read_bytes)}"),
        ("Problems", f"{len(findings.problems):,}" if findings.problems else "none"),
    ]
    if findings.differing:
        rows = [*rows, ("Rounding", f"{amount(findings.differing, 'clip')} within the rounding of another machine")]
    if findings.loose:
        rows = [*rows, ("Loose objects", f"{findings.loose:,}, of runs that were cut off; harmless")]
    console.facts(rows)


@click.command()
@shared.place
@click.option("--pack", "packs", multiple=True, metavar="FOLDER", help="Decoder pack to put back; may be repeated.")
@shared.json_option
@pass_console
def repair(console: Console, place: str, packs: tuple[str, ...], as_json: bool) -> int:
    """Mend an archive from what is left of it.

    The manifest is made again from the objects, decoder packs are put back, damaged objects are moved to 'damaged/'.
    What is gone is made again by archiving its source with the same command as before. The exit code is 3 when
    something cannot be restored.
    """
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.repair import repair as run

    with console.progress() as progress:
        progress(None, "reading all objects")
        done = run(open_archive(place), packs)
    if as_json:
        console.data({"archive": place, "lines": done.lines, "records": done.records, "packs": done.packs,
                      "moved": done.moved, "lost": shared.failure_rows(done.lost, "what")})
    elif console.level >= 0:
        console.facts([
            ("Manifest lines", f"{done.lines:,} made again from records"),
            ("Records", f"{done.records:,} made again from the manifest"),
            ("Decoder packs", f"{', '.join(done.packs) or 'none'} put back"),
            ("Damaged", f"{amount(len(done.moved), 'object')} moved to damaged/"),
            ("Not restorable", f"{amount(len(done.lost), 'file')}"),
        ])
    if done.lost and not as_json:
        shared.tell_failures("problem", done.lost, SHOWN)
        click.echo("  Archive their sources again, with the same command as before.", err=True)
    return shared.SOME_FAILED if done.lost else 0
