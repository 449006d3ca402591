"""The run of a task: looks at every case through every version, then folds by every road.

cases --looks--> kept frames and features --folds--> roads --answers.tsv--> report
further cases --looks at originals--> networks of originals, in every fold

A run that was stopped goes on where it was: looks are kept one by one, answers a road, version and fold at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.downstream.answers import Answer, lines, read_answers, write_answers
from lrmcodec.benchmarks.downstream.cases import Case
from lrmcodec.benchmarks.downstream.folds import FOLDS, folds
from lrmcodec.benchmarks.downstream.looks import Look, Looks
from lrmcodec.benchmarks.downstream.roads import NETWORK, OF_ORIGINALS, ROADS, WITH_NETWORK, leads, without_network
from lrmcodec.benchmarks.downstream.versions import ORIGINAL, Version
from lrmcodec.formats.errors import LrmError, OutputError, TargetError

ANSWERS, LOOKS = "answers.tsv", "looks"
SIDE, EPOCHS, WIDTH = 112, 20, 64
LOOKS_SHARE = 0.5  # of the time, for the progress shown

Report = Callable[[float, str], None]
Failure = Callable[[str, str], None]


@dataclass(frozen=True)
class TaskPlan:
    """What is asked of a run.

    Attributes
    ----------
    task : str
        'ef' or 'b-lines'.
    versions : sequence of Version
    roads : sequence of str
        Of `roads.ROADS`.
    side : int
        Of the frames that networks see; the paper's are 112.
    epochs : int
        Passes of a network over its training cases; the paper's are 20.
    width : int
        Channels of a network's first stage; the paper's are 64.
    folds : int
        2 at least.
    training : sequence of Case
        Further cases that networks of originals are trained on in every fold; none is coded or asked.
    device : str
        'cpu' or 'cuda', for networks of both kinds.
    """

    task: str
    versions: Sequence[Version]
    roads: Sequence[str] = ROADS
    side: int = SIDE
    epochs: int = EPOCHS
    width: int = WIDTH
    folds: int = FOLDS
    training: Sequence[Case] = ()
    device: str = "cpu"

    def check(self) -> None:
        """Refuse roads that are not known; raises TargetError."""
        unknown = [road for road in self.roads if road not in ROADS]
        if unknown or not self.roads:
            raise TargetError(f"there is no road '{(unknown or [''])[0]}'.", f"Known are {', '.join(ROADS)}.")

    def run_of(self, cases: Sequence[Case]) -> str:
        """Digest of all that answers depend on beside road, version and fold."""
        return hashlib.sha256(f"{self.task} {self.side} {self.epochs} {self.width} {self.folds} {list(self.training)} "
                              f"{list(cases)}".encode()).hexdigest()[:12]


def measure(cases: Sequence[Case], plan: TaskPlan, output: Path, *, resume: bool = False, force: bool = False,
            failed: Failure = lambda case, why: None,
            progress: Report = lambda fraction, label: None) -> list[Answer]:
    """Answers of every road to every version; they also stand in `output`/answers.tsv.

    Parameters
    ----------
    cases : sequence of Case
        Those that cannot be read are told to `failed` and left out.
    plan : TaskPlan
    output : Path
        Folder; made if it is not there. Looks are kept in `output`/looks.
    resume, force : bool
        Go on with the answers there, or drop them; without either, answers there are refused. Looks are always used.
    failed, progress : callable, optional

    Raises
    ------
    LrmError
        When a package is missing, there are too few patients, or the folder cannot be written.
    """
    plan.check()
    path = output / ANSWERS
    answers = _begin(path, resume, force)
    looks = Looks(output / LOOKS, plan.side, plan.device)
    wanted = dict.fromkeys(cases, plan.versions) | dict.fromkeys(plan.training, (ORIGINAL,))
    seen = _look(wanted, looks, failed, progress)
    kept = [case for case in cases if case in seen]
    plan = replace(plan, training=[case for case in plan.training if case in seen])
    run = _Run(plan, kept, looks, plan.run_of(kept), path, answers)
    run.measure(lambda fraction, label: progress(LOOKS_SHARE + (1 - LOOKS_SHARE) * fraction, label))
    return read_answers(path)


def _begin(path: Path, resume: bool, force: bool) -> list[Answer]:
    if path.exists() and not (resume or force):
        raise OutputError(f"{path} exists.", "Pass --resume to go on with it or --force to begin anew.")
    answers = read_answers(path) if resume and path.exists() else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_answers(answers, path)
    except OSError as error:
        raise OutputError(f"{path.parent} cannot be written ({error.strerror}).", "Choose another -o DIR.") from error
    return answers


def _look(wanted: Mapping[Case, Sequence[Version]], looks: Looks, failed: Failure, progress: Report) -> set[Case]:
    """Cases all of whose looks are there."""
    kept = set()
    for index, (case, versions) in enumerate(wanted.items()):
        progress(LOOKS_SHARE * index / len(wanted), case.name)
        try:
            looks.make(case, versions)
        except LrmError as error:
            failed(case.name, str(error))
        else:
            kept.add(case)
    return kept


@dataclass(frozen=True)
class _Job:
    """One training on a version, for one fold, and the roads and versions that it answers for."""

    fold: int
    test: NDArray[np.intp]
    trained_on: Version
    answers_for: Sequence[tuple[str, Version]]

    @property
    def is_of_originals(self) -> bool:
        """Whether a network is trained on originals."""
        return self.trained_on == ORIGINAL and self.answers_for[0][0] in WITH_NETWORK

    @property
    def words(self) -> str:
        """As people read it."""
        road, version = self.answers_for[0]
        return f"fold {self.fold + 1}: {road}, {version.words}"


@dataclass
class _Run:
    """Folds of one run; `answers` grows."""

    plan: TaskPlan
    cases: Sequence[Case]
    looks: Looks
    run: str
    path: Path
    answers: list[Answer]
    seen: dict[Version, list[Look]] = field(default_factory=dict)

    def measure(self, progress: Report) -> None:
        """Answer whatever is not answered yet; answers of other runs, and of folds cut short, are dropped."""
        labels = np.array([look.label for look in self._seen(ORIGINAL)])
        tests = folds(self.plan.task, labels, [case.patient for case in self.cases],
                      self.plan.folds)
        self.answers = self._whole(tests)
        write_answers(self.answers, self.path)
        jobs = [job for fold, test in enumerate(tests) for job in self._jobs(fold, test)]
        for index, job in enumerate(jobs):
            progress(index / len(jobs), job.words)
            self._do(job)

    def _whole(self, tests: Sequence[NDArray[np.intp]]) -> list[Answer]:
        groups: dict[tuple[str, str, int], list[Answer]] = {}
        for answer in self.answers:
            if answer.run == self.run:
                groups.setdefault((answer.road, answer.version, answer.fold), []).append(answer)
        return [answer for (_, _, fold), group in groups.items() if len(group) == len(tests[fold]) for answer in group]

    def _jobs(self, fold: int, test: NDArray[np.intp]) -> Iterator[_Job]:
        """A job a training; a network of originals answers for the originals and for all versions at once."""
        done = {(answer.road, answer.version) for answer in self.answers if answer.fold == fold}
        wanted = [(road, version) for road in self.plan.roads for version in self.plan.versions
                  if leads(road, self.plan.task, version) and (road, version.words) not in done]
        at_once = [(road, version) for road, version in wanted
                   if road == OF_ORIGINALS or (road == NETWORK and version == ORIGINAL)]
        if at_once:
            yield _Job(fold, test, ORIGINAL, at_once)
        for road, version in wanted:
            if (road, version) not in at_once:
                yield _Job(fold, test, version, [(road, version)])

    def _do(self, job: _Job) -> None:
        trained_on, everyone = self._seen(job.trained_on), np.arange(len(self.cases))
        train = [trained_on[index] for index in np.setdiff1d(everyone, job.test)]
        if job.is_of_originals:
            train += [self.looks.get(case, ORIGINAL) for case in self.plan.training]
        tests = [[self._seen(version)[index] for index in job.test] for _, version in job.answers_for]
        fresh = []
        for (road, version), looks, told in zip(job.answers_for, tests, self._told(job, train, tests), strict=True):
            fresh += [self._answer(job.fold, road, version, index, look, float(value))
                      for index, look, value in zip(job.test, looks, told, strict=True)]
        self.answers += fresh
        with self.path.open("a", encoding="utf-8") as table:
            table.write(lines(fresh))

    def _told(self, job: _Job, train: Sequence[Look], tests: Sequence[Sequence[Look]]) -> list[NDArray[np.float64]]:
        road = job.answers_for[0][0]
        if road not in WITH_NETWORK:
            return [without_network(road, self.plan.task, train, test) for test in tests]
        from lrmcodec.benchmarks.downstream import network

        trained = network.train(self.plan.task, np.stack([look.frames for look in train]),
                                np.array([look.label for look in train]),
                                network.Training(self.plan.epochs, self.plan.width, device=self.plan.device))
        return [trained.predict(np.stack([look.frames for look in test])) for test in tests]

    def _answer(self, fold: int, road: str, version: Version, index: int, look: Look, told: float) -> Answer:
        case = self.cases[index]
        return Answer(self.run, self.plan.task, road, version.words, fold, case.name, case.patient, look.label,
                      told, look.ratio, look.psnr_db)

    def _seen(self, version: Version) -> list[Look]:
        """Looks of all cases through one version."""
        if version not in self.seen:
            self.seen[version] = [self.looks.get(case, version) for case in self.cases]
        return self.seen[version]
