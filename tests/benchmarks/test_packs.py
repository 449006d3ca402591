"""The table of packs: rows of a clip, the shape of paths, what is measured once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrmcodec.benchmarks.studies.packs import MEAN_PICTURE, Case, findings, measure, summary, trajectory
from lrmcodec.decoders.registry import find_pack
from lrmcodec.simulate.heart.phantom import random_phantom

ANGLES = np.linspace(0, 6 * np.pi, 60)


def test_lines_and_spirals_are_told_apart() -> None:
    line = np.stack([np.sin(ANGLES), 2 * np.sin(ANGLES)], 1)
    circle = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
    assert trajectory(line)[0] == pytest.approx(0, abs=1e-9)
    assert trajectory(circle)[0] == pytest.approx(1, abs=0.1)
    assert trajectory(circle)[1] == pytest.approx(1)
    there_and_back = 2.5 * np.sin(ANGLES)
    assert trajectory(np.stack([np.cos(there_and_back), np.sin(there_and_back)], 1))[1] < 0.1
    assert trajectory(np.ones((5, 2))) == (0.0, 0.0)


@pytest.mark.usefixtures("quick_pictures")
def test_clips_are_measured_once(tmp_path: Path) -> None:
    clip = random_phantom(0, frame_count=6, size=(112, 112)).clip
    case, table = Case("simulated", "heart", clip), tmp_path / "packs.tsv"
    rows = measure([find_pack("spatial")], [case], [1, 2, 32], table)
    assert [(row["pack"], int(str(row["rank"]))) for row in rows] == [(MEAN_PICTURE, 0), ("spatial", 1), ("spatial", 2)]
    assert float(str(rows[2]["psnr_db"])) > float(str(rows[0]["psnr_db"]))
    before = table.read_bytes()
    assert measure([find_pack("spatial")], [case], [1, 2, 32], table) == rows
    assert table.read_bytes() == before
    assert "| spatial | 2 |" in summary(rows)
    assert findings(rows).splitlines()[0] == "| pack | r = 1 | r = 2 | second share | turning |"
