"""`lrmcodec bench --task`: ejection fraction and B-lines told from originals, decoded clips and coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli.console import Console

if TYPE_CHECKING:
    from lrmcodec.benchmarks.downstream.cases import Case
    from lrmcodec.benchmarks.downstream.run import TaskPlan

SOME_FAILED = 3
HEARTS = 1000
OTHER_PACKS = ("spatial", "lrm-ortho-gated", "lrm-basic-gated", "vidfuncta-gated", "lrm-ortho", "lrm-basic",
               "vidfuncta", "medfuncta", "coinpp", "autoencoder")
"""Beside the default pack."""

RANKS, RATIOS = (2, 32), (100.0, 300.0, 1000.0)


def run_task(console: Console, clips: tuple[str, ...], folder: Path, given: dict[str, Any], as_json: bool) -> int:
    """Run a task with the options of `lrmcodec bench`; the exit code."""
    from lrmcodec.benchmarks.downstream import report, run

    if len(clips) > 1:
        raise click.UsageError("--task takes one folder.")
    cases, training = _cases(clips, given)
    plan = _plan(given, training)
    failures: list[tuple[str, str]] = []

    def failed(clip: str, why: str) -> None:
        failures.append((clip, why))
        console.warn(why, about=clip)

    with console.progress() as progress:
        answers = run.measure(cases, plan, folder, resume=given["resume"], force=given["force"], failed=failed,
                              progress=progress)
    written = [str(path) for path in report.write_report(answers, plan, folder)]
    table = report.score_table(answers)
    if as_json:
        console.data({"scores": [dict(zip(table.head, line, strict=True)) for line in table.rows],
                      "output": [str(folder / run.ANSWERS), *written],
                      "failed": [{"clip": clip, "why": why} for clip, why in failures]})
    elif console.level >= 0:
        console.table(table.rows, table.head)
        console.facts([("Written", name) for name in written])
    return SOME_FAILED if failures else 0


def _cases(clips: tuple[str, ...], given: dict[str, Any]) -> tuple[list[Case], list[Case]]:
    """Those that are asked, and those that only train."""
    from lrmcodec.benchmarks.downstream.cases import B_LINES, FIRST_SEED, find_cases, split_training

    training, task = given["training"], given["task"]
    if training and task == B_LINES:
        raise click.UsageError("--training is for ejection fraction: lung clips are split by patient.")
    root = Path(clips[0]) if clips else None
    count = given["count"] or (None if root else HEARTS)
    cases = find_cases(task, root, None if count is None else count + training, FIRST_SEED + given["seed"])
    return split_training(cases, training)


def _plan(given: dict[str, Any], training: list[Case]) -> TaskPlan:
    from lrmcodec.benchmarks.downstream.roads import ROADS
    from lrmcodec.benchmarks.downstream.run import TaskPlan
    from lrmcodec.benchmarks.downstream.versions import versions
    from lrmcodec.decoders.registry import DEFAULT_PACK

    ranks, ratios = given["ranks"], given["ratios"]
    if ranks is None and ratios is None:
        ranks, ratios = RANKS, RATIOS
    asked = versions(given["packs"] or (DEFAULT_PACK, *OTHER_PACKS), ranks or (), ratios or (), given["qualities"])
    return TaskPlan(given["task"], asked, given["roads"] or ROADS, given["side"], given["epochs"],
                    given["width"], given["folds"], training, _device(given["device"]))


def _device(device: str) -> str:
    """'cpu' or 'cuda', where networks of tasks are trained."""
    import torch

    return "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"
