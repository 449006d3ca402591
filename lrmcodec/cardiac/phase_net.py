"""A small frozen network that knows how hearts move in time: where end diastole and end systole lie in a signal.

    signal on an even grid --steps, period--> probability of ED and of ES at each sample; which way up the signal is

Seven dilated convolutions along time with residual sums (van den Oord et al. 2016, arXiv 1609.03499), 21,000 weights,
trained on simulated signals with true events (`train.phase_net`); run with numpy, a millisecond or two a clip. It sees
1.8 s to either side: beats before and after, and where the clip ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[np.float64]

TAPS = 5
DILATIONS = (1, 2, 4, 8, 16, 8, 4)
REACH = TAPS // 2 * (1 + sum(DILATIONS))  # samples that one output sees to either side
BLOCK = 1 << 14  # samples looked at at a time
STEP_GAIN = 5.0  # brings differences between samples to the size of the signal
USUAL_PERIOD_S, LEAST_PERIOD_S = 0.8, 0.2
TEMPERATURE = 1.5
"""By which log odds of the sign are divided: the network is surer on its own simulated signals than on files."""

WEIGHTS = Path(__file__).parent / "phase.safetensors"


@dataclass(frozen=True)
class Posterior:
    """Probability that ED and that ES fall on each sample (T,), and the log odds that the signal is the right way up.

    Upright means: large where the ventricle is large.
    """

    ed: Array
    es: Array
    upright: float


def posterior(even: Array, period_s: float) -> Posterior:
    """Look at a signal (T,) on the grid, median 0 and range 1, whose beats are about `period_s` apart (0: unknown)."""
    seen = channels(even, period_s)
    parts = []
    for start in range(0, len(even), BLOCK):
        first = max(start - REACH, 0)
        parts.append(_run(seen[first:start + BLOCK + REACH])[start - first:start - first + BLOCK])
    out = np.concatenate(parts).astype(np.float64)
    ed, es = (1 / (1 + np.exp(-np.clip(out[:, column], -30, 30))) for column in (0, 1))
    return Posterior(ed, es, float(out[:, 2].mean()))


def both_ways(even: Array, period_s: float) -> tuple[Posterior, Posterior, float]:
    """Posteriors of a signal (n,) as it is and turned over, and the log odds that it is the right way up as it is."""
    upright, turned = (posterior(sign * even, period_s) for sign in (1, -1))
    return upright, turned, 0.5 * (upright.upright - turned.upright) / TEMPERATURE


def _run(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs (n, 3) of channels (n, 4)."""
    network = _weights()
    hidden = np.maximum(_convolve(x, network, "first", 1), 0)
    for index, dilation in enumerate(DILATIONS):
        hidden = hidden + np.maximum(_convolve(hidden, network, f"mid.{index}", dilation), 0)
    return np.asarray(hidden @ network["out.weight"] + network["out.bias"])


def channels(even: Array, period_s: float) -> NDArray[np.float32]:
    """What the network sees (T, 4): signal, that there is one, its steps, logarithm of the period."""
    steps = STEP_GAIN * np.diff(even, prepend=even[:1])
    period = np.log(max(period_s, LEAST_PERIOD_S) / USUAL_PERIOD_S)
    return np.stack([even, np.ones_like(even), steps, np.full_like(even, period)], axis=1).astype(np.float32)


@cache
def _weights() -> Mapping[str, NDArray[np.float32]]:
    return {name: tensor.astype(np.float32) for name, tensor in load_file(WEIGHTS).items()}


def _convolve(x: NDArray[np.float32], network: Mapping[str, NDArray[np.float32]], name: str,
              dilation: int) -> NDArray[np.float32]:
    """Convolution along time with zeros beyond the ends: (T, c) by (5 c, k), tap by tap, to (T, k)."""
    reach = TAPS // 2 * dilation
    padded = np.pad(x, ((reach, reach), (0, 0)))
    taps = [padded[dilation * tap:dilation * tap + len(x)] for tap in range(TAPS)]
    return np.asarray(np.concatenate(taps, axis=1) @ network[f"{name}.weight"] + network[f"{name}.bias"])
