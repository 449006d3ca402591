"""The one writer of tables: Markdown for people, tab-separated text for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MISSING = "-"
"""Cell of what does not apply or is not known."""


@dataclass(frozen=True)
class Table:
    """A heading, the names of the columns, and cells as text."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """The table without its heading."""
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def tsv(self) -> str:
        """A line of names and a line a row."""
        return "".join(map(tsv_line, (self.head, *self.rows)))


def tsv_line(cells: Iterable[object]) -> str:
    """Tab-separated cells with a line end.

    Floats have seven digits, None is empty, lists are separated by blanks, and white space in text becomes a blank.
    """
    return "\t".join(map(_cell, cells)) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return " ".join(str(value).split())
