"""What the sub-commands of `lrmcodec archive` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options

if TYPE_CHECKING:
    from lrmcodec.archive.workers import Workers

SOME_FAILED = 3
json_option = options.as_json
place = click.argument("place", metavar="ARCHIVE")


def workers_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options --processes and --scheduler."""
    function = click.option("--scheduler", metavar="ADDRESS", help="Work on a Dask cluster (needs the extra 'scale'); "
                            "its workers must see the files under the same names.")(function)
    return click.option("-j", "--processes", type=click.IntRange(0, 1024), metavar="N",
                        help="Processes, one thread each; default: one a processor. 0: work in this one.")(function)


def make_workers(processes: int | None, scheduler: str | None) -> Workers:
    """Who does the work."""
    from lrmcodec.archive.workers import Workers, usual_processes

    options.at_most_one(processes=processes, scheduler=scheduler)
    if scheduler:
        return Workers(scheduler=scheduler)
    return Workers(usual_processes() if processes is None else processes)


def tell_failures(word: str, failures: Sequence[tuple[str, str, str]], shown: int | None = None) -> None:
    """A line on stderr for each id, path and reason, the first `shown` of them."""
    for id_, path, reason in failures[:shown]:
        click.echo(": ".join([word, *filter(None, [f"{id_} {path}".strip()]), reason]), err=True)


def failure_rows(failures: Sequence[tuple[str, str, str]], key: str) -> list[dict[str, str]]:
    """The same for JSON, the reason under `key`."""
    return [{"id": id_, "path": path, key: reason} for id_, path, reason in failures]


def amount_bytes(count: float) -> str:
    """Bytes in words: '512 bytes', '3.1 MB'."""
    if count < 1000:
        return f"{count:.0f} bytes"
    units = ["kB", "MB", "GB", "TB"]
    while len(units) > 1 and count >= 999_950:
        count /= 1000
        units.pop(0)
    return f"{count / 1000:,.1f} {units[0]}"


def ratio_words(before: int, after: int) -> str:
    """', 45.1 to 1', or '' where nothing is stored."""
    return f", {before / after:,.1f} to 1" if after else ""
