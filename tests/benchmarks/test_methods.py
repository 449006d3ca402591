"""The paper's methods: paths are told apart, one fit serves all ranks, tables from rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.benchmarks.measure import worker
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.one_fit import OneFit
from lrmcodec.benchmarks.measure.path_shape import path_shape
from lrmcodec.benchmarks.measure.readout_error import readout_cells
from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.measure.worker import Work
from lrmcodec.benchmarks.peers import MEAN_PICTURE
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.studies import latents, methods
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.decoders.gated_siren import GatedSirenDecoder
from lrmcodec.decoders.spatial import SpatialDecoder
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import TargetError
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import phantom, random_phantom

ANGLES = np.linspace(0, 6 * np.pi, 60)


def test_lines_and_spirals_are_told_apart() -> None:
    line = np.stack([np.sin(ANGLES), 2 * np.sin(ANGLES)], 1)
    circle = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
    assert path_shape(line)[0] == pytest.approx(0, abs=1e-9)
    assert path_shape(circle)[0] == pytest.approx(1, abs=0.1)
    assert path_shape(circle)[1] == pytest.approx(1)
    there_and_back = 2.5 * np.sin(ANGLES)
    assert path_shape(np.stack([np.cos(there_and_back), np.sin(there_and_back)], 1))[1] < 0.1
    assert path_shape(np.ones((5, 2))) == (0.0, 0.0)


@pytest.mark.usefixtures("quick_pictures")
def test_a_clip_is_fitted_once_and_coded_at_every_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    fit = SpatialDecoder.fit
    monkeypatch.setattr(SpatialDecoder, "fit", lambda self, frames, rank, *rest: (
        fits.append(rank), fit(self, frames, rank, *rest))[1])
    write_clip(random_phantom(0, frame_count=8, size=(32, 32)).clip, tmp_path / "heart.npz")
    plan = methods.plan(["spatial"], [1, 2, 32])
    source = Source("heart", str(tmp_path / "heart.npz"), group=methods.SIMULATED, frame_limit=6)
    answers: list[dict[str, object]] = []
    worker.run(Work(source, list(plan.packs), list(plan.peers), plan.asked, "cpu", str(tmp_path), [], plan.one_fit),
               answers.append)
    rows = [Row.from_dict(answer["row"]) for answer in answers[1:]]  # type: ignore[arg-type]
    assert fits == [5]
    assert [(row.codec, row.rank, row.frames) for row in rows] == [
        ("lrmcodec spatial", 1, 6), ("lrmcodec spatial", 2, 6), ("lrmcodec spatial", 32, 6), (MEAN_PICTURE, 0, 6)]
    one, two, note, still = rows
    assert note.psnr_db is None
    assert "rank 32 cannot be used" in note.note
    assert still.size_bytes is None
    assert one.psnr_db is not None
    assert two.psnr_db is not None
    assert still.psnr_db is not None
    assert two.psnr_db > one.psnr_db > still.psnr_db
    assert (one.second_share, one.turning) == (0, 0)
    text = methods.page(rows)
    gain = two.psnr_db - still.psnr_db
    assert f"| spatial | 2 | 1 | {two.psnr_db:.2f} | {two.ssim3d:.3f} | {gain:+.2f} | {two.size_bytes:.0f} |" in text
    assert f"| {MEAN_PICTURE} | 0 | 1 | {still.psnr_db:.2f} |" in text
    other = [replace(row, clip="other", psnr_db=row.psnr_db + 2) for row in rows if row.psnr_db is not None]
    table = methods.quality_tables([*rows, *other])[0]
    assert table.rows[1][2:4] == ("2", f"{two.psnr_db + 1:.2f} +- 1.00")
    assert table.rows[1][5] == f"{gain:+.2f} +- 0.00"
    assert "| pack | r = 1 | r = 2 | second share | turning |" in text


def test_one_fit_serves_only_qualities_at_ranks() -> None:
    from lrmcodec.benchmarks import Plan

    with pytest.raises(TargetError, match="one fit"):
        Plan(one_fit=True).check()


@pytest.mark.usefixtures("quick_pictures")
def test_files_of_one_fit_hold_the_direction_and_beats_are_read(tmp_path: Path) -> None:
    made = phantom(90, (48, 48), 30, heart_rate_bpm=80, ejection_fraction=0.6, seed=3)
    settings = [Setting("quality", 60, 4), Setting("quality", 60, 4, without="phase")]
    encode = OneFit(made.clip, "spatial", "cpu", settings).encode
    found = []
    for setting in settings:
        encode(setting, tmp_path / "heart.lrm")
        found.append(codec.open(tmp_path / "heart.lrm"))
    with_direction, bare = found
    alone = codec.open(codec.encode(made.clip, rank=4, quality=60).data)
    for part in (Component.HEART, Component.COEFFS):
        assert with_direction.coded.segments[0].components[part] == alone.coded.segments[0].components[part]
    assert Component.HEART not in bare.coded.segments[0].components
    labels = Labels(tuple(made.ed_frames.tolist()), tuple(made.es_frames.tolist()))
    cells = readout_cells(with_direction, read_phase(with_direction), labels)
    row = replace(Row("h", "1", "lrmcodec spatial", settings[0], group="simulated", frames=90, height=48, width=48,
                      fps=30, raw_bytes=1), **cells)
    (table,) = methods.beat_tables([row])
    assert table.rows[0][:2] == ("spatial", "4")
    assert float(table.rows[0][2]) < 1.5
    assert table.rows[0][3:5] == ("0 %", "0 %")
    assert table.rows[0][-1] == "1"


@pytest.mark.usefixtures("quick_pictures")
def test_latents_are_drawn() -> None:
    made = phantom(60, (32, 32), 30, seed=3)
    found = latents.latents_of(made.clip, "spatial")
    assert found.path.shape == (60, 2)
    assert found.cosines.shape == (60, 60)
    assert np.diag(found.cosines) == pytest.approx(1)
    figure = latents.draw([found, found], made.ed_frames.tolist(), made.es_frames.tolist())
    assert len(figure.axes) == 4
    assert "turning" in figure.axes[0].get_title()


def test_gates_are_fitted_for_each_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    fit = GatedSirenDecoder.fit
    monkeypatch.setattr(GatedSirenDecoder, "fit", lambda self, frames, rank, *rest: (
        fits.append(rank), fit(self, frames, rank, *rest))[1])
    settings = [Setting("quality", 60, 2), Setting("quality", 20, 2), Setting("quality", 60, 4)]
    encode = OneFit(random_phantom(0, frame_count=6, size=(32, 32)).clip, "lrm-ortho-gated", "cpu", settings).encode
    for setting in settings:
        encode(setting, tmp_path / "heart.lrm")
    assert fits == [2, 4]
