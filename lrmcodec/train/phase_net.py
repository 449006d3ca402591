"""Training of the network that finds end diastole and end systole in a signal (`lrmcodec.cardiac.phase_net`).

python -m lrmcodec.train.phase_net [--traces 12000] [--steps 2500] -o phase.safetensors

Simulated signals (`simulate.heart.traces`) and their true events; each is shown upright, where its events are to be
found, and upside down, which the network must tell. Takes some minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor, nn

from lrmcodec.cardiac import phase_net
from lrmcodec.cardiac.signal import GRID_HZ, prepare
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.simulate.heart.traces import Trace, draw_trace
from lrmcodec.train.export import to_half

SEED, VALIDATION_SEED = 1, 2
LONGEST = 256  # samples of the grid
WIDTH = 24
OUTPUTS = 3  # ED, ES, upright
BATCH, RATE, DECAY, WARM_UP = 32, 3e-3, 1e-3, 50
EVENT_WEIGHT, UPRIGHT_WEIGHT = 10.0, 0.3
VALIDATION, REPORT_STEPS = 600, 250

Set = tuple[Tensor, Tensor, Tensor, Tensor]
"""Signals (n, T), where they are (n, T), events (n, 2, T), periods in seconds (n,)."""


class PhaseNet(nn.Module):
    """The network of `lrmcodec.cardiac.phase_net`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, WIDTH, phase_net.TAPS, padding=phase_net.TAPS // 2)
        self.mid = nn.ModuleList([nn.Conv1d(WIDTH, WIDTH, phase_net.TAPS, padding=phase_net.TAPS // 2 * dilation,
                                            dilation=dilation) for dilation in phase_net.DILATIONS])
        self.out = nn.Conv1d(WIDTH, OUTPUTS, 1)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, -3.0)  # events are rare

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, 2, T) of events and (n,) of being upright, of channels (n, 4, T)."""
        there = x[:, 1:2]
        hidden = F.relu(self.first(x)) * there
        for layer in self.mid:
            hidden = hidden + F.relu(layer(hidden)) * there
        out = self.out(hidden)
        return out[:, :2], (out[:, 2] * there[:, 0]).sum(1) / there[:, 0].sum(1).clamp_min(1)


def traces(count: int, seed: int) -> Set:
    """Draw signals and bring them to the grid as the readout does."""
    rng = np.random.default_rng(seed)
    signals, there = np.zeros((count, LONGEST), np.float32), np.zeros((count, LONGEST), np.float32)
    events, periods = np.zeros((count, 2, LONGEST), np.float32), np.zeros(count, np.float32)
    for index in range(count):
        trace = draw_trace(rng)
        prepared = prepare(trace.signal, trace.times_s)
        length = min(len(prepared.even), LONGEST)
        signals[index, :length], there[index, :length] = prepared.even[:length], 1
        events[index] = _targets(trace)
        periods[index] = prepared.period_s
    events *= there[:, None]
    return torch.from_numpy(signals), torch.from_numpy(there), torch.from_numpy(events), torch.from_numpy(periods)


def _targets(trace: Trace) -> NDArray[np.float32]:
    """Events (2, LONGEST) as shares of the two samples next to each."""
    out = np.zeros((2, LONGEST + 1), np.float32)
    for row, times in zip(out, (trace.ed_s, trace.es_s), strict=True):
        at = np.clip((np.asarray(times) - trace.times_s[0]) * GRID_HZ, 0, LONGEST - 1)
        left = at.astype(int)
        np.add.at(row, left, 1 - (at - left))
        np.add.at(row, left + 1, at - left)
    return np.minimum(out[:, :LONGEST], 1)


def channels(signals: Tensor, there: Tensor, periods_s: Tensor) -> Tensor:
    """Inputs (n, 4, T); the same as `cardiac.phase_net.channels`."""
    steps = phase_net.STEP_GAIN * F.pad(signals.diff(dim=1), (1, 0)) * there
    period = torch.log(periods_s.clamp_min(phase_net.LEAST_PERIOD_S) / phase_net.USUAL_PERIOD_S)
    return torch.stack([signals, there, steps, period[:, None] * there], 1)


def loss_of(network: PhaseNet, batch: Set) -> tuple[Tensor, Tensor]:
    """Cross-entropies of the events a sample, upright, and of which way up, both ways."""
    signals, there, events, periods = batch
    count = len(signals)
    found, upright = network(channels(torch.cat([signals, -signals]), there.repeat(2, 1), periods.repeat(2)))
    each = F.binary_cross_entropy_with_logits(found[:count], events, reduction="none") * there[:, None]
    way = torch.cat([torch.ones(count), torch.zeros(count)])
    return each.sum() / there.sum(), F.binary_cross_entropy_with_logits(upright, way)


def vary(batch: Set) -> Set:
    """Vary size, level, noise and the stated period."""
    signals, there, events, periods = batch
    count = len(signals)
    moved = signals * torch.exp(0.15 * torch.randn(count, 1)) + 0.1 * torch.randn(count, 1)
    moved = (moved + 0.015 * torch.randn_like(signals)) * there
    return moved, there, events, periods * torch.exp(0.03 * torch.randn(count))


def train(made: Set, kept_out: Set, steps: int, seed: int = 0) -> PhaseNet:
    """Train with AdamW; prints the losses on signals kept out."""
    torch.manual_seed(seed)
    network = PhaseNet()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * (1 - step / steps) ** 0.9 + 1e-5
        picked = torch.randint(len(made[0]), (BATCH,))
        events, upright = loss_of(network, vary((made[0][picked], made[1][picked], made[2][picked], made[3][picked])))
        optimizer.zero_grad()
        (EVENT_WEIGHT * events + UPRIGHT_WEIGHT * upright).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % REPORT_STEPS == REPORT_STEPS - 1:
            with torch.no_grad():
                events, upright = loss_of(network, kept_out)
            print(f"step {step + 1}, events {float(events):.4f}, which way up {float(upright):.4f}", file=sys.stderr)
    return network.eval()


def export(network: PhaseNet, path: Path) -> None:
    """Write the weights that `lrmcodec.cardiac.phase_net` reads: float16, taps as matrix rows."""
    layers = {"first": network.first, "out": network.out} | {f"mid.{i}": layer for i, layer in enumerate(network.mid)}
    tensors = {}
    for name, layer in layers.items():
        assert isinstance(layer, nn.Conv1d)
        assert layer.bias is not None
        tensors[f"{name}.weight"] = to_half(layer.weight.permute(2, 1, 0).flatten(0, 1))
        tensors[f"{name}.bias"] = to_half(layer.bias)
    write_atomic(path, save(tensors), force=True)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--traces", type=int, default=12_000)
    parser.add_argument("--steps", type=int, default=2500)
    options = parser.parse_args()
    made, kept_out = traces(options.traces, SEED), traces(VALIDATION, VALIDATION_SEED)
    export(train(made, kept_out, options.steps), options.output)


if __name__ == "__main__":
    main()
