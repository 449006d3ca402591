"""One run over small clips that several modules look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import quick_worker
from sharing import made_once

from lrmcodec.benchmarks import Plan, Row, bench
from lrmcodec.benchmarks.measure import campaign
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import phantom

PLAN = Plan(packs=("spatial",), peers=("av1", "jpeg", "ffv1"), ranks=(1, 2), ratios=(20.0, 60.0))


@dataclass(frozen=True)
class Results:
    """What a run left: its folder, plan, clips, rows and failures."""

    folder: Path
    plan: Plan
    sources: list[Source]
    rows: list[Row]
    failures: list[tuple[str, str]]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heart, a shorter one, and a broken file."""

    def make(folder: Path) -> Path:
        write_clip(phantom(60, (32, 48), seed=2).clip, folder / "a.npz")
        write_clip(phantom(12, (32, 32), seed=1).clip, folder / "b.npz")
        (folder / "broken.avi").write_bytes(b"RIFF" + bytes(100))
        return folder

    return made_once(tmp_path_factory, "clips", make)


@pytest.fixture(scope="session")
def results(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run over a labelled heart, a broken clip, and one whose name has signs that HTML minds."""
    made = phantom(60, (32, 48), seed=2)
    labels = Labels(tuple(made.ed_frames.tolist()), tuple(made.es_frames.tolist()))
    sources = [Source("a", str(clips / "a.npz"), labels=labels), Source("broken", str(clips / "broken.avi")),
               Source("b<i>&c", str(clips / "b.npz"))]

    def make(folder: Path) -> Results:
        failures: list[tuple[str, str]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(campaign, "WORKER", [quick_worker.__file__])
            rows = bench(sources, output=folder, plan=PLAN, failed=lambda *failure: failures.append(failure))
        return Results(folder, PLAN, sources, rows, failures)

    return made_once(tmp_path_factory, "results", make)
