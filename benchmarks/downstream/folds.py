"""Folds by patient, and how well a task was done on each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.downstream.cases import B_LINES, EF
from lrmcodec.formats.errors import LrmError, TargetError

Array = NDArray[np.float64]

FOLDS = 5
SCORES = {EF: ("MAE", "RMSE", "R2"), B_LINES: ("accuracy", "F1", "AUROC")}
PLACES = {"MAE": 2, "RMSE": 2, "R2": 3, "accuracy": 1, "F1": 1, "AUROC": 1}


def folds(task: str, labels: Array, patients: Sequence[str], count: int = FOLDS,
          seed: int = 0) -> list[NDArray[np.intp]]:
    """Indices of the cases that each of `count` folds is tested on.

    No patient stands in two of them; of B-lines each has about the same share, as far as the patients allow.

    Raises
    ------
    TargetError
        When there are too few patients, or too few of either kind.
    """
    selection = need("sklearn.model_selection")
    kinds = labels > 0 if task == B_LINES else np.zeros(len(labels), bool)
    for kind in dict.fromkeys(kinds.tolist()):
        there = len({patient for patient, this in zip(patients, kinds, strict=True) if this == kind})
        if there < count:
            raise TargetError(f"{count} folds need {count} patients of each kind, {there} are there.",
                              "Give more clips.")
    if task == B_LINES and len(set(kinds.tolist())) == 1:
        raise TargetError("all clips have the same label.", "Give clips with B-lines and without.")
    split = (selection.StratifiedGroupKFold if task == B_LINES else selection.GroupKFold)(
        count, shuffle=True, random_state=seed)
    return [test for _, test in split.split(np.zeros((len(labels), 1)), kinds, list(patients))]


def scores(task: str, labels: Array, predicted: Array) -> tuple[float, float, float]:
    """Scores of `SCORES`: of ejection fractions in points, of B-lines in percent, from probabilities.

    NaN where a fold has but one kind of label.
    """
    metrics = need("sklearn.metrics")
    if task == EF:
        return (float(metrics.mean_absolute_error(labels, predicted)),
                float(metrics.root_mean_squared_error(labels, predicted)), float(metrics.r2_score(labels, predicted)))
    said = predicted >= 0.5
    area = metrics.roc_auc_score(labels, predicted) if len(set(labels.tolist())) == 2 else np.nan
    return (100 * float(metrics.accuracy_score(labels > 0, said)),
            100 * float(metrics.f1_score(labels > 0, said, zero_division=0.0)), 100 * float(area))


def need(module: str):  # type: ignore[no-untyped-def]
    """Import a module of the extra `downstream`; an LrmError that says what to install where it is missing."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as missing:
        name = {"sklearn": "scikit-learn", "monai": "MONAI"}.get((missing.name or "").partition(".")[0], missing.name)
        raise LrmError(f"downstream tasks need {name}, which is not installed.",
                       "Install it with: pip install 'lrmcodec[downstream]'") from missing
