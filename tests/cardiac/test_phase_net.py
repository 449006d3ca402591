"""The network that knows hearts' time course: its training, and that numpy gives what torch gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lrmcodec.cardiac import phase_net
from lrmcodec.cardiac.signal import prepare
from lrmcodec.simulate.heart.traces import draw_trace
from lrmcodec.train import phase_net as training


@pytest.fixture(scope="module")
def made() -> training.Set:
    return training.traces(24, 5)


def test_training_learns(made: training.Set) -> None:
    untrained, trained = training.PhaseNet(), training.train(made, made, 30)
    with torch.no_grad():
        before, after = ([float(loss) for loss in training.loss_of(one, made)] for one in (untrained, trained))
    assert after[0] < 0.95 * before[0]


def test_numpy_gives_what_torch_gives(made: training.Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    torch.manual_seed(1)
    network = training.PhaseNet().eval()
    training.export(network, path)
    signal, there, _, period = (part[:1] for part in made)
    length = int(there.sum())
    with torch.no_grad():
        events, upright = network(training.channels(signal[:, :length], there[:, :length], period))
    monkeypatch.setattr(phase_net, "WEIGHTS", path)
    phase_net._weights.cache_clear()
    try:
        found = phase_net.posterior(signal[0, :length].numpy().astype(float), float(period[0]))
        monkeypatch.setattr(phase_net, "BLOCK", 50)
        again = phase_net.posterior(signal[0, :length].numpy().astype(float), float(period[0]))
    finally:
        phase_net._weights.cache_clear()
    np.testing.assert_allclose(np.stack([found.ed, found.es]), torch.sigmoid(events)[0].numpy(), atol=2e-3)
    assert found.upright == pytest.approx(float(upright[0]), abs=0.02)
    np.testing.assert_allclose(again.ed, found.ed, atol=1e-5)


def test_targets_lie_where_events_are(made: training.Set) -> None:
    _, there, events, _ = made
    assert float((events * (1 - there[:, None])).abs().max()) == 0
    assert 1 < float(events[:, 0].sum(1).mean()) < 12


def test_what_ships_finds_the_events_of_simulated_signals() -> None:
    rng = np.random.default_rng(11)
    errors, upright = [], []
    for _ in range(30):
        trace = draw_trace(rng)
        clean = prepare(trace.signal, trace.times_s)
        found = phase_net.posterior(clean.even, clean.period_s)
        upright.append(found.upright > phase_net.posterior(-clean.even, clean.period_s).upright)
        errors += [abs(float(clean.even_s[np.argmax(found.ed * (np.abs(clean.even_s - time) < 0.3))]) - time)
                   for time in trace.ed_s]
    assert np.median(errors) < 0.03
    assert np.mean(upright) > 0.85
    assert sum(tensor.size for tensor in phase_net._weights().values()) == 20_907
