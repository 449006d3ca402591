"""Chains side by side: what is asked for, the published chain on a known path, tables of rows."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from lrmcodec.benchmarks.studies import beat_chains

TIMES_S = np.arange(150) / 50


def row(**cells: Any) -> dict[str, Any]:
    events = ([10, 60, 110], [28, 78])
    return {"key": "k", "word": "cardiac", "sign_right": True, "fps": 50.0, "rank": 4, "true": events, "half_beat": 25,
            "found": {"readout": ([11, 59, 140], [28, 80]), "published": ([], []), "PCA": events}, "ef": (50.0, 60.0),
            "confidences": ([0.95, 0.92, 0.4], [0.9, 0.9]), "sure": 0.97} | cells


def test_every_clip_is_asked_for_ratios_ranks_and_rates() -> None:
    options = argparse.Namespace(hearts=["echonet_like:5:2"], ratios="100,1000", ranks="1,8", rates="15")
    keys = [ask.key for ask in beat_chains.asks(options)]
    assert len(keys) == len(set(keys)) == 10
    assert keys[:2] == ["5|echonet_like|100|best|own", "5|echonet_like|1000|best|own"]
    assert keys[4] == "5|echonet_like|1000|best|15"


def test_the_published_chain_finds_a_line_and_its_turns() -> None:
    wave = np.cos(2 * np.pi * TIMES_S)
    noise = np.random.default_rng(0).normal(0, 0.01, (150, 4))
    coeffs = wave[:, None] * np.array([2.0, -1.0, 1.0, 0.5]) + noise
    path = beat_chains.published_direction(coeffs)
    assert abs(np.corrcoef(path, wave)[0, 1]) > 0.99
    tops, valleys = beat_chains.peaks(wave, TIMES_S)
    assert np.abs(np.subtract(tops, [50, 100])).max() <= 1
    assert np.abs(np.subtract(valleys, [25, 75, 125])).max() <= 1


def test_tables_of_rows() -> None:
    asks = [beat_chains.Ask("echonet_like", 5, 1000.0)]
    lines = beat_chains.chain_table(beat_chains.grouped(asks, {asks[0].key: row()})).markdown().splitlines()
    assert "| readout | 1 | 0 | 100 % | 1.00 | +0.00 | 1 of 3 | 1 | 1.00 | +1.00 | 0 of 2 | 0 |" in lines[2]
    assert "| published | 1 | - | told | - | - | 3 of 3 | 0 |" in lines[3]
    events = beat_chains.event_reliability([row()]).markdown()
    assert "| 0 to 0.5 | 1 | 0.40 | 0 % |" in events
    assert "| 0.9 to 1 | 4 | 0.92 | 100 % |" in events
    assert "| 0.95 to 0.99 | 1 | 0.97 | 100 % |" in beat_chains.sign_reliability([row()]).markdown()
    assert "error 10.0 points, bias -10.0" in beat_chains.ejection_line([row(), row(ef=(40.0, 50.0))])
    assert beat_chains.ejection_line([row(ef=(None, 50.0))]) == "No ejection fractions."
