"""What a run of a task found, for people: a table of scores by road and version, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.downstream.answers import Answer
from lrmcodec.benchmarks.downstream.cases import B_LINES, EF, LOOK_FRAMES
from lrmcodec.benchmarks.downstream.folds import PLACES, SCORES, scores
from lrmcodec.benchmarks.downstream.roads import ROADS, WITH_NETWORK
from lrmcodec.benchmarks.downstream.run import TaskPlan
from lrmcodec.benchmarks.show.plots import png
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.provenance import provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, PICTURE = "summary.md", "scores.png"
TITLES = {EF: "Ejection fraction", B_LINES: "B-lines"}
UNITS = {EF: "MAE and RMSE in points of ejection fraction", B_LINES: "scores in percent"}
USUAL = "nothing (mean of the others)"
"""Row of the answer that needs no clip."""

COLORS = dict(zip(ROADS, ("#1f5f99", "#17a2b8", "#c0392b", "#e67e22", "#8e44ad"), strict=True))

Groups = dict[tuple[str, str], list[Answer]]


def grouped(answers: Sequence[Answer]) -> Groups:
    """Answers by road and version, roads in their order."""
    groups: Groups = {}
    for answer in sorted(answers, key=lambda answer: ROADS.index(answer.road)):
        groups.setdefault((answer.road, answer.version), []).append(answer)
    return groups


def fold_scores(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """Scores (folds, 3) of the answers of one road and version; a fold with one kind of label has NaN."""
    task = answers[0].task
    return np.array([scores(task, *_columns([answer for answer in answers if answer.fold == fold]))
                     for fold in sorted({answer.fold for answer in answers})])


def _columns(answers: Sequence[Answer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([answer.label for answer in answers]), np.array([answer.told for answer in answers])


def score_table(answers: Sequence[Answer]) -> Table:
    """A line a road and version: mean and standard deviation of each score over folds."""
    task = answers[0].task
    lines = []
    for (road, version), of_group in grouped(answers).items():
        ratio = np.mean([answer.ratio for answer in of_group])
        psnr = np.mean([answer.psnr_db for answer in of_group])
        lines.append((road, version, f"{ratio:.0f}", f"{psnr:.1f}" if np.isfinite(psnr) else MISSING,
                      *_cells(task, fold_scores(of_group))))
    usual = _usual(next(iter(grouped(answers).values())))
    lines.append((USUAL, MISSING, MISSING, MISSING, *_cells(task, fold_scores(usual))))
    return Table(TITLES[task], ("road", "clips", "ratio", "PSNR dB", *SCORES[task]), lines)


def _usual(answers: Sequence[Answer]) -> list[Answer]:
    """The same cases answered by the mean label of the other folds."""
    return [Answer(**{**vars(answer), "told": float(np.mean([other.label for other in answers
                                                             if other.fold != answer.fold]))}) for answer in answers]


def _cells(task: str, found: NDArray[np.float64]) -> list[str]:
    cells = []
    for name, column in zip(SCORES[task], found.T, strict=True):
        known, places = column[~np.isnan(column)], PLACES[name]
        cells.append(f"{known.mean():.{places}f} +- {known.std():.{places}f}" if len(known) else MISSING)
    return cells


def page(answers: Sequence[Answer], plan: TaskPlan) -> str:
    """The table as Markdown, with what it is of."""
    table = score_table(answers)
    cases, patients = {answer.case for answer in answers}, {answer.patient for answer in answers}
    positive = len({answer.case for answer in answers if answer.label > 0})
    of_these = f", {positive} with B-lines" if plan.task == B_LINES else ""
    networks = _of_networks(plan) if any(answer.road in WITH_NETWORK for answer in answers) else ""
    return "\n\n".join([
        f"# {table.title}",
        f"{len(cases)} clips of {len(patients)} patients{of_these}, {plan.folds} folds by patient; {UNITS[plan.task]}, "
        f"mean +- standard deviation over folds.{networks} What the roads are: docs/downstream.md.",
        table.markdown(), f"{provenance(plan.device)}."]) + "\n"


def _of_networks(plan: TaskPlan) -> str:
    further = f"; those of originals saw {len(plan.training)} further clips in every fold" if plan.training else ""
    return (f" Networks have {plan.width} channels in their first stage, see {LOOK_FRAMES} frames of "
            f"{plan.side}x{plan.side} and were trained for {plan.epochs} epochs{further}.")


def picture(answers: Sequence[Answer]) -> Figure:
    """The first score of every road and version as bars, a mark for each fold, beside the answer without a clip."""
    from matplotlib.figure import Figure

    task, groups = answers[0].task, grouped(answers)
    figure = Figure(figsize=(9, 1.2 + 0.3 * len(groups)), layout="constrained")
    panel = figure.subplots()
    which = 0 if task == EF else 2
    for place, ((road, _), of_group) in enumerate(groups.items()):
        found = fold_scores(of_group)[:, which]
        panel.barh(place, np.nanmean(found), color=COLORS[road], height=0.7)
        panel.plot(found, [place] * len(found), "k|", markersize=9)
    usual = np.nanmean(fold_scores(_usual(next(iter(groups.values()))))[:, which])
    panel.axvline(float(usual), color="#555555", linestyle="--", linewidth=1)
    panel.set_yticks(range(len(groups)), [f"{road}: {version}" for road, version in groups], fontsize=7)
    panel.invert_yaxis()
    panel.set_xlabel({EF: "mean absolute error, points of ejection fraction (less is better)",
                      B_LINES: "AUROC, percent"}[task] + "; dashed: without a clip")
    return figure


def write_report(answers: Sequence[Answer], plan: TaskPlan, folder: Path) -> list[Path]:
    """Write `summary.md` and `scores.png`."""
    written = [folder / PAGE, folder / PICTURE]
    write_atomic(written[0], page(answers, plan).encode(), force=True)
    write_atomic(written[1], png(picture(answers)), force=True)
    return written
