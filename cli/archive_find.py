"""`lrmcodec archive list`, `find` and `stats`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli.archive_shared import amount_bytes, json_option, place
from lrmcodec.cli.console import Console, pass_console, printable
from lrmcodec.cli.files import amount

if TYPE_CHECKING:
    from lrmcodec.archive.entry import Entry
    from lrmcodec.archive.home import Archive

HEAD = (f"{'Id':8}  {'What':9}  {'Mod':4}  {'Date':10}  {'Frames':>6}  {'Bytes':>11}  {'Stored':>11}  {'PSNR':>5}  "
        f"{'SSIM3D':>6}  {'HR':>3}  Path")

PRINTED = 100  # entries at a time


@click.command("list")
@place
@json_option
def list_files(place: str, as_json: bool) -> None:
    """List the files of an archive."""
    from lrmcodec.archive.find import Query

    _print(place, Query(), as_json)


@click.command()
@place
@click.option("--modality", default="", metavar="M", help="DICOM modality, for example US.")
@click.option("--date", metavar="DAYS", help="Study date: 2024-05-17, 2024-05, 2024, or two with .. between.")
@click.option("--view", default="", metavar="V", help="Name of the view; a pattern, for example '*four chamber*'.")
@click.option("--hr", metavar="BPM", help="Heart rate read from the clip: 60..100, ..60 or 100...")
@click.option("--kind", default="", metavar="K", help="clip, kept, still, report, waveform, color, policy, uncodable.")
@click.option("--path", default="", metavar="P", help="Path in the archive; a pattern, for example '*/2024/*'.")
@click.option("--study", default="", metavar="UID", help="Study's unique id, or folder.")
@json_option
@pass_console
def find(console: Console, /, place: str, date: str | None, hr: str | None, as_json: bool, **patterns: str) -> None:
    """List the files that fit all conditions given.

    Dates are known only where the archive keeps them (--keep-study).
    """
    from lrmcodec.archive.find import Query, parse_days, parse_rates

    query = Query(dates=None if date is None else parse_days(date),
                  heart_rate=None if hr is None else parse_rates(hr), **patterns)
    archive = _print(place, query, as_json)
    if date is not None and not archive.policy.keep_study:
        console.warn("this archive keeps no study dates; it was made without --keep-study")


@click.command()
@place
@json_option
@pass_console
def stats(console: Console, place: str, as_json: bool) -> None:
    """Show an archive in numbers."""
    from lrmcodec.archive.find import statistics
    from lrmcodec.archive.home import open_archive

    values = statistics(open_archive(place))
    if as_json:
        console.data(values)
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in values["kinds"].items())
    rows = [
        ("Archive", place),
        ("Files", f"{values['files']:,} in {amount(values['studies'], 'study or folder')}: {kinds}"),
        ("Modalities", ", ".join(f"{count:,} {name}" for name, count in values["modalities"].items())),
        ("Sources", amount_bytes(values["source_bytes"])),
        ("Stored", f"{amount_bytes(values['stored_bytes'])}, and {amount_bytes(values['other_bytes'])} of manifest, "
                   f"records and packs; {values['ratio']:,.1f} to 1"),
        ("Stored once", f"{amount_bytes(values['shared_bytes'])} saved"),
    ]
    clips = values["clips"]
    if clips["count"]:
        psnr, ssim = clips["psnr_db"], clips["ssim3d"]
        rows += [("Clips", f"{clips['count']:,}, {clips['pixel_ratio']:,.1f} to 1, of one byte a pixel"),
                 ("PSNR", f"{psnr['0']:.1f} to {psnr['100']:.1f} dB, median {psnr['50']:.1f}"),
                 ("SSIM3D", f"{ssim['0']:.3f} to {ssim['100']:.3f}, median {ssim['50']:.3f}")]
    if values["failed"]:
        rows.append(("Not coded", f"{values['failed']:,} that look like clips and are damaged or not supported"))
    console.facts(rows)


def _print(place: str, query: Any, as_json: bool) -> Archive:
    from lrmcodec.archive.find import select
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.manifest import listed

    archive = open_archive(place)
    entries = select(listed(archive.store), query)
    if as_json:
        _print_json(entries)
    else:
        _print_lines(entries)
    return archive


def _print_json(entries: Iterable[Entry]) -> None:
    """One object with a list, a part at a time."""
    from lrmcodec.archive.find import public

    encode = json.JSONEncoder(allow_nan=False).encode
    before = '{"files": [\n'
    for part in batched(entries):
        click.echo(before + ",\n".join(encode(public(entry)) for entry in part), nl=False)
        before = ",\n"
    click.echo("\n]}" if before == ",\n" else '{"files": []}')


def _print_lines(entries: Iterable[Entry]) -> None:
    """Columns of fixed widths, so that nothing waits for the last line."""
    head = [HEAD]
    for part in batched(entries):
        click.echo("\n".join([*head, *map(_line, part)]))
        head = []


def batched(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """PRINTED entries at a time, since every write costs."""
    left = iter(entries)
    while part := list(islice(left, PRINTED)):
        yield part


def _line(entry: Entry) -> str:
    coding = entry.coding
    rate = coding.readout.get("heart_rate_bpm") if coding is not None else None
    frames, psnr, ssim = ((f"{coding.frames:,}", f"{coding.psnr_db:.1f}", f"{coding.ssim3d:.3f}")
                          if coding is not None else ("", "", ""))
    return printable(f"{entry.id[:8]:8}  {entry.why or entry.kind:9}  {entry.modality:4}  {entry.date:10}  "
                     f"{frames:>6}  {entry.size_bytes:>11,}  {entry.stored_bytes:>11,}  {psnr:>5}  {ssim:>6}  "
                     f"{f'{rate:.0f}' if rate is not None else '':>3}  {entry.path}")
