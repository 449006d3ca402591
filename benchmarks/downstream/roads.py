"""Roads from a look at a clip to its label: by the network, by coefficients, by what the file states.

network            a 3D ResNet-18 trained and tested on the same version, as in the LRM-Functa paper
network-original   one trained on the originals alone, tested on the version: a model that stands, on an archive
coefficients       ridge or logistic regression on the file's coefficients; no pixels
ventricle          the same on what the file stores of the ventricle, and on nothing else
readout            the ejection fraction that `lrmcodec readout` states; nothing is trained
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.downstream.cases import B_LINES, EF
from lrmcodec.benchmarks.downstream.folds import need
from lrmcodec.benchmarks.downstream.looks import Look
from lrmcodec.benchmarks.downstream.versions import ORIGINAL, Version

Array = NDArray[np.float64]

NETWORK, OF_ORIGINALS = "network", "network-original"
COEFFICIENTS, VENTRICLE, READOUT = "coefficients", "ventricle", "readout"
ROADS = (NETWORK, OF_ORIGINALS, COEFFICIENTS, VENTRICLE, READOUT)
WITH_NETWORK = (NETWORK, OF_ORIGINALS)

PENALTIES = tuple(float(value) for value in np.logspace(0, 4, 13))
PLAUSIBLE = (0.0, 100.0)


def leads(road: str, task: str, version: Version) -> bool:
    """Whether a road exists for a task and a version."""
    if road == READOUT and task != EF:
        return False
    return version != ORIGINAL or road in WITH_NETWORK


def features(road: str, looks: Sequence[Look]) -> Array:
    """Features (n, m) of a road without a network."""
    return np.stack([look.coefficients if road == COEFFICIENTS else look.ventricle for look in looks])


def regress(task: str, train: Array, labels: Array, test: Array) -> Array:
    """Labels of features `test` (n, m), by regression on `train` (k, m): ridge, or logistic with even weights.

    The ridge's penalty is the best of 13 in generalized cross-validation on the training cases.
    """
    models, scaling, pipeline = need("sklearn.linear_model"), need("sklearn.preprocessing"), need("sklearn.pipeline")
    model = (models.LogisticRegression(C=0.05, class_weight="balanced", max_iter=1000) if task == B_LINES
             else models.RidgeCV(PENALTIES))
    fitted = pipeline.make_pipeline(scaling.StandardScaler(), model).fit(train, labels > 0 if task == B_LINES
                                                                         else labels)
    if task == B_LINES:
        return np.asarray(fitted.predict_proba(test)[:, 1])
    return np.asarray(np.clip(fitted.predict(test), *PLAUSIBLE))


def stated(looks: Sequence[Look], usual: float) -> Array:
    """Ejection fractions that files state (n,); `usual` where one states none."""
    found = np.array([look.readout for look in looks])
    return np.where(np.isnan(found), usual, found)


def without_network(road: str, task: str, train: Sequence[Look], test: Sequence[Look]) -> Array:
    """Labels of test looks (n,) by a road without a network, given training looks."""
    labels = np.array([look.label for look in train])
    if road == READOUT:
        return stated(test, float(labels.mean()))
    return regress(task, features(road, train), labels, features(road, test))
