"""What the user sees: results on stdout, notes and progress on stderr.

Rich is imported only when something is drawn, so that --json, --help and errors stay quick.
"""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PROGRESS_AFTER_S = 0.5
WIDE = 4096
"""Columns assumed where the output is no terminal, so that nothing is wrapped or cut in files and pipes."""

Rows = Sequence[tuple[str, ...]]


def printable(text: object) -> str:
    """Text that any terminal takes; bytes of file names that are no text become question marks."""
    return str(text).encode("utf-8", "replace").decode()


def _finite(value: Any) -> Any:
    """The value with null for the numbers that JSON lacks: NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def take_any_text(*streams: TextIO) -> None:
    """Let consoles show question marks for what they lack, instead of failing."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@dataclass
class Console:
    """How much to say.

    Attributes
    ----------
    level : int
        -1 quiet, 0 normal, 1 verbose.
    interrupted : bool
        Whether Ctrl-C was pressed. An exception raised while foreign code calls back is lost there, so the next
        report of progress looks here.
    warnings : list of str
        Everything warned of so far; `data` hands it on to machines.
    """

    level: int = 0
    interrupted: bool = False
    warnings: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Print a remark on stderr, unless quiet."""
        if self.level >= 0:
            click.echo(f"note: {printable(text)}", err=True)

    def warn(self, text: str, *, about: str = "") -> None:
        """Keep a warning, a sentence without full stop, and print it on stderr, unless quiet."""
        text = text.rstrip(".")
        self.warnings.append(text)
        if self.level >= 0:
            click.echo(printable(f"warning: {about}: {text}." if about else f"warning: {text}."), err=True)

    def data(self, values: Mapping[str, Any]) -> None:
        """Print one JSON object on stdout, with the warnings given so far where `values` has none."""
        click.echo(json.dumps(_finite({"warnings": self.warnings, **values}), indent=2, allow_nan=False))

    def facts(self, rows: Rows, *, err: bool = False) -> None:
        """Print pairs of a name and a value in two columns."""
        self.table(rows, err=err)

    def table(self, rows: Rows, head: Sequence[str] = (), *, err: bool = False) -> None:
        """Print rows in columns; columns of numbers are aligned to the right."""
        from rich.console import Console as Rich
        from rich.table import Table
        from rich.text import Text

        stream = sys.stderr if err else sys.stdout
        drawn = Table(box=None, show_header=bool(head), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for index in range(len(rows[0])):
            numbers = len(head) > 0 and all(row[index][:1].isdigit() for row in rows)
            drawn.add_column(head[index] if head else "", justify="right" if numbers else "left",
                             style="" if index or head else "dim")
        for row in rows:
            drawn.add_row(*(Text(printable(cell)) for cell in row))
        rich = Rich(file=stream, width=None if stream.isatty() else WIDE)
        with rich.capture() as text:
            rich.print(drawn)
        click.echo("\n".join(line.rstrip() for line in text.get().splitlines()), file=stream)

    def progress(self) -> Progress:
        """Progress of one step, to be used in a `with` statement."""
        return Progress(self, sys.stderr)

    def stop_if_interrupted(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed and has gone unnoticed."""
        if self.interrupted:
            raise KeyboardInterrupt


class Progress:
    """A bar with the time left on a terminal, from half a second on; lines of text where verbose without one."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console, self._stream = console, stream
        self._terminal = stream.isatty() and console.level >= 0
        self._began = time.monotonic()
        self._bar: Bar | None = None
        self._last: tuple[float, str] = (0.0, "")

    def __enter__(self) -> Callable[[float | None, str], None]:
        return self._update

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._console.stop_if_interrupted()

    def _update(self, fraction: float | None, label: str) -> None:
        self._console.stop_if_interrupted()
        if not self._terminal:
            if self._console.level > 0 and label != self._last[1]:
                click.echo(label, file=self._stream)
            self._last = (0.0, label)
        elif self._bar is not None or time.monotonic() - self._began > PROGRESS_AFTER_S:
            self._draw(fraction, label)

    def _draw(self, fraction: float | None, label: str) -> None:
        if self._bar is None:
            self._bar = self._start(label)
        task = self._bar.task_ids[0]
        if fraction is not None and fraction < self._last[0]:  # another stage began
            self._bar.reset(task)
        self._bar.update(task, description=label, completed=fraction, total=None if fraction is None else 1.0)
        self._last = (fraction or 0.0, label)

    def _start(self, label: str) -> Bar:
        from rich.console import Console as Rich
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"),
                  TimeRemainingColumn(), console=Rich(file=self._stream), transient=True)
        bar.add_task(label, total=1.0)
        bar.start()
        return bar


pass_console = click.make_pass_decorator(Console, ensure=True)
