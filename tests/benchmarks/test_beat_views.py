"""The study of views: a row for every rank of a clip, which a second run does not measure again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lrmcodec.benchmarks.studies import beat_views

ONE = ["beat_views", "--hearts", "echonet_like/psax:2000000:1", "--ranks", "1,2", "--frames", "60"]


def test_a_clip_is_measured_once_and_tabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [*ONE, "-o", str(tmp_path)])
    beat_views.main()
    kept = (tmp_path / "beat_views.jsonl").read_text()
    rows = [json.loads(line) for line in kept.splitlines()]
    assert [row["rank"] for row in rows] == [1, 2]
    assert {row["key"].rsplit("|", 1)[0] for row in rows} == {"echonet_like|psax|2000000"}
    page = (tmp_path / "beat_views.md").read_text()
    assert page.count("| echonet_like psax |") == 2 * 3  # ranks and chains
    monkeypatch.setattr(beat_views, "rows_of", None)
    beat_views.main()
    assert (tmp_path / "beat_views.jsonl").read_text() == kept
