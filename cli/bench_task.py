"""`lrmcodec bench --task`: ejection fraction and B-lines told from originals, decoded clips and coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli.console import Console

if TYPE_CHECKING:
    from lrmcodec.benchmarks.downstream.run import TaskPlan

SOME_FAILED = 3
HEARTS = 1000
PACKS = ("spatial", "lrm-ortho-gated", "lrm-basic-gated", "vidfuncta-gated", "lrm-ortho", "lrm-basic", "vidfuncta",
         "medfuncta", "coinpp", "autoencoder")
RANKS, RATIOS = (2, 32), (100.0, 300.0, 1000.0)


def run_task(console: Console, clips: tuple[str, ...], folder: Path, given: dict[str, Any], as_json: bool) -> int:
    """Run a task with the options of `lrmcodec bench`; the exit code."""
    from lrmcodec.benchmarks.downstream import report, run
    from lrmcodec.benchmarks.downstream.cases import FIRST_SEED, find_cases

    if len(clips) > 1:
        raise click.UsageError("--task takes one folder.")
    plan = _plan(given)
    root = Path(clips[0]) if clips else None
    cases = find_cases(given["task"], root, given["count"] or (None if root else HEARTS), FIRST_SEED + given["seed"])
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


def _plan(given: dict[str, Any]) -> TaskPlan:
    from lrmcodec.benchmarks.downstream.roads import ROADS
    from lrmcodec.benchmarks.downstream.run import TaskPlan
    from lrmcodec.benchmarks.downstream.versions import versions

    ranks, ratios = given["ranks"], given["ratios"]
    if ranks is None and ratios is None:
        ranks, ratios = RANKS, RATIOS
    asked = versions(given["packs"] or PACKS, ranks or (), ratios or (), given["qualities"])
    return TaskPlan(given["task"], asked, given["roads"] or ROADS, given["side"], given["epochs"],
                    _device(given["device"]))


def _device(device: str) -> str:
    """'cpu' or 'cuda', where networks of tasks are trained."""
    import torch

    return "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"
