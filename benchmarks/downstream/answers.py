"""Answers of a task: one a case, road and version, kept as tab-separated text that grows fold by fold."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from lrmcodec.benchmarks.table import tsv_line
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.errors import ClipError


@dataclass(frozen=True)
class Answer:
    """What a road told of one case that it was not trained on.

    Attributes
    ----------
    run : str
        Digest of the cases, the folds and the training; answers of other runs are dropped.
    task, road, version : str
    fold : int
    case, patient : str
    label, told : float
        Ejection fractions in percent, or 0 and 1 beside a probability.
    ratio, psnr_db : float
        Of the version's file.
    """

    run: str
    task: str
    road: str
    version: str
    fold: int
    case: str
    patient: str
    label: float
    told: float
    ratio: float
    psnr_db: float


NAMES = tuple(field.name for field in fields(Answer))
KINDS = (str, str, str, str, int, str, str, float, float, float, float)


def lines(answers: Iterable[Answer]) -> str:
    """Answers as lines of the table."""
    return "".join(tsv_line(astuple(answer)) for answer in answers)


def write_answers(answers: Iterable[Answer], path: Path) -> None:
    """Write the table whole or not at all."""
    write_atomic(path, (tsv_line(NAMES) + lines(answers)).encode(), force=True)


def read_answers(path: Path) -> list[Answer]:
    """Answers of a table; a last line that was cut short is left out.

    Raises
    ------
    ClipError
        When it is not such a table.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[:text.rfind("\n") + 1]
    rows = list(csv.reader(whole.splitlines(), delimiter="\t"))
    if not rows or tuple(rows[0]) != NAMES:
        raise ClipError(f"{path} is no table of answers.", "Choose another -o DIR, or pass --force to begin anew.")
    try:
        return [Answer(*(kind(cell) for kind, cell in zip(KINDS, row, strict=True))) for row in rows[1:]]
    except ValueError as error:
        raise ClipError(f"{path} is damaged ({error}).", "Pass --force to begin anew.") from error
