"""Chains side by side: what is asked for, the published chain on a known path, tables of rows."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.benchmarks.studies import beat_chains

TIMES_S = np.arange(150) / 50


def row(**cells: Any) -> dict[str, Any]:
    events = ([10, 60, 110], [28, 78])
    return {"key": "k", "word": "cardiac", "sign_right": True, "fps": 50.0, "rank": 4, "true": events, "half_beat": 25,
            "found": {"readout": ([11, 59, 140], [28, 80]), "published": ([], []), "PCA": events}, "ef": (50.0, 60.0),
            "confidences": ([0.95, 0.92, 0.4], [0.9, 0.9]), "sure": 0.97} | cells


def options(**values: Any) -> argparse.Namespace:
    asked = {"hearts": ["echonet_like/psax:5:2"], "ratios": "100,1000", "ranks": "1,8", "rates": "15,50",
             "usual": 300.0, "seconds": None}
    return argparse.Namespace(**asked | values)


def test_every_clip_is_asked_for_ratios_ranks_and_rates() -> None:
    keys = [ask.key for ask in beat_chains.asks(options())]
    assert len(keys) == len(set(keys)) == 10
    assert keys[:2] == ["5|echonet_like psax|100|best|own", "5|echonet_like psax|1000|best|own"]
    assert keys[2] == "5|echonet_like psax|300|best|15"  # and not at 50, which is the preset's own
    assert keys[3] == "5|echonet_like psax|300|1|own"


def test_clips_take_turns_over_the_views() -> None:
    clips = beat_chains.clips_of(["echonet_like/a4c:5:2", "pocus_plax:7:1"])
    assert clips == [("echonet_like", "a4c", 5), ("pocus_plax", None, 7), ("echonet_like", "a4c", 6)]


def test_a_clip_is_encoded_once_a_setting_and_tabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["beat_chains", "--hearts", "echonet_like/psax:5:1", "--seconds", "0.6", "--ratios", "1000", "--ranks",
                 "1", "--rates", "15", "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(beat_chains.codec, "encode", partial(codec.encode, pack="spatial"))
    beat_chains.main()
    assert "2 of 3" in capsys.readouterr().err
    rows = beat_chains.kept(tmp_path / "beat_chains.jsonl")
    assert [row["fps"] for row in rows.values()] == [50, 15, 50]
    assert rows["5|echonet_like psax|300|1|own"]["rank"] == 1
    page = (tmp_path / "beat_chains.md").read_text()
    assert page.count("| all views |") == page.count("| echonet_like psax |") == 3 * 3  # settings and chains
    monkeypatch.setattr(beat_chains, "measure", None)
    beat_chains.main()  # nothing is left to be measured
    assert beat_chains.kept(tmp_path / "beat_chains.jsonl") == rows


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
    asks = [beat_chains.Ask("echonet_like", None, 5, 1000.0)]
    lines = beat_chains.chain_table(beat_chains.grouped(asks, {asks[0].key: row()})).markdown().splitlines()
    assert ("| readout | 1 | 0 | 100 % | 20 | 1.00 | +0.00 | 1 of 3 | 1 | 20 | 1.00 | +1.00 | 0 of 2 | 0 | 10.0 |"
            in lines[2])
    assert "| published | 1 | - | told | - | - | - | 3 of 3 | 0 |" in lines[3]
    events = beat_chains.event_reliability([row()]).markdown()
    assert "| 0 to 0.5 | 1 | 0.40 | 0 % |" in events
    assert "| 0.9 to 1 | 4 | 0.92 | 100 % |" in events
    assert "| 0.95 to 0.99 | 1 | 0.97 | 100 % |" in beat_chains.sign_reliability([row()]).markdown()
    assert "error 10.0 points, bias -10.0" in beat_chains.ejection_line([row(), row(ef=(40.0, 50.0))])
    assert beat_chains.ejection_line([row(ef=(None, 50.0))]) == "No ejection fractions."
