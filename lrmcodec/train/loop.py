"""The loop of a training run: steps until the recipe or the time is at its end, rows of a log, checkpoints."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lrmcodec.decoders.base import Progress
from lrmcodec.provenance import tool_versions
from lrmcodec.train.checkpoint import append_log, load_state, save_state
from lrmcodec.train.recipe import Recipe, RecipeError

CHECKPOINT_S = 60.0
REPORT_STEPS = 20
CLIPS_SHARE = 0.02
"""Of the progress shown: making the clips, before the first step."""


class Learner(Protocol):
    """Trains one network; `state` holds all that a resumed run needs besides recipe and clips."""

    step_count: int

    def step(self) -> float:
        """Train on one batch; returns its error."""

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state` of the same recipe and clips."""


class Job(Protocol):
    """A learner with its clips, and what is said and measured of it.

    Jobs are made of a recipe, a folder for what is made once (clips, pages), a device and a progress.
    """

    recipe: Recipe

    @property
    def trainer(self) -> Learner:
        """Who learns."""

    def clips(self) -> dict[str, str]:
        """Digest of the clips to train on, under its name in checkpoints."""

    def start(self, pack: str) -> None:
        """Take the network of a pack over."""

    def words(self, errors: list[float]) -> str:
        """The error of the last steps, for people."""

    def row(self, errors: list[float]) -> dict[str, float]:
        """Columns of the log: the error since the last row, and held-out clips."""

    def write(self, folder: Path, log: Mapping[str, Any]) -> None:
        """Write the pack as it stands now; `log` is the last row."""


def resume(job: Job, path: Path) -> None:
    """Go on from a checkpoint; RecipeError when it is of another recipe or of other clips."""
    state = load_state(path)
    for what, mine in (("recipe", {"recipe": job.recipe.portable()}), ("set of clips", job.clips())):
        if any(state.get(key) != value for key, value in mine.items()):
            raise RecipeError(f"the checkpoint belongs to another {what}.", "Choose another folder with -o.")
    job.trainer.load(state["trainer"])


def train(job: Job, state: Path, log: Path, minutes: float | None, progress: Progress) -> bool:
    """Train to the end of the recipe or of the time; whatever ends it, a checkpoint is left.

    Returns whether the recipe is at its end.
    """
    trainer, training = job.trainer, job.recipe.training
    errors: list[float] = []
    begin = saved = time.monotonic()
    first = trainer.step_count
    try:
        while trainer.step_count < training.steps and (minutes is None or time.monotonic() - begin < 60 * minutes):
            errors.append(trainer.step())
            done = trainer.step_count
            if done % REPORT_STEPS == 0:
                left_s = (time.monotonic() - begin) / (done - first) * (training.steps - done)
                progress(CLIPS_SHARE + (1 - CLIPS_SHARE) * done / training.steps,
                         f"step {done} of {training.steps}, {job.words(errors[-REPORT_STEPS:])}, "
                         f"{left_s / 60:.0f} min left")
            if done % training.check_every == 0 or done == training.steps:
                append_log(log, {"step": done, "seconds": round(time.monotonic() - begin, 1), **job.row(errors)})
                errors.clear()
            if time.monotonic() - saved > CHECKPOINT_S:
                _save(job, state)
                saved = time.monotonic()
    finally:
        _save(job, state)
    return trainer.step_count >= training.steps


def _save(job: Job, path: Path) -> None:
    save_state({"trainer": job.trainer.state(), "recipe": job.recipe.portable(), **job.clips()}, path)


def card_of_run(trainer: Learner, device: str, log: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says about every run."""
    return {"steps": trainer.step_count, "device": device, "machine": platform.machine(), "log": dict(log),
            "versions": tool_versions(("torch", "numpy"))}
