"""The committed results: whole, of this machine-readable form, and the source of the README's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrmcodec.benchmarks.measure.asks import asks
from lrmcodec.benchmarks.measure.rows import OURS, Row, read_rows
from lrmcodec.benchmarks.setting import LOSSLESS
from lrmcodec.benchmarks.show import readme
from lrmcodec.benchmarks.show.summary import write_summary
from lrmcodec.benchmarks.studies import methods
from lrmcodec.decoders.registry import DEFAULT_PACK

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / readme.RESULTS
SHOWN_PEERS = ("av1", "x265", "vp9", "lowrank-av1")
CLIPS = {"cardiac_sample": 3, "lung_test": 5, "simulated": 6}


@pytest.fixture(scope="module", params=list(readme.SETS))
def rows(request: pytest.FixtureRequest) -> list[Row]:
    return read_rows(RESULTS / request.param / "rows.tsv")


def test_every_clip_met_every_codec(rows: list[Row]) -> None:
    clips = {(row.clip, row.clip_id) for row in rows}
    name = next(name for name in CLIPS if rows == read_rows(RESULTS / name / "rows.tsv"))
    assert len(clips) == CLIPS[name]
    for codec in [f"{OURS}spatial", OURS + DEFAULT_PACK, *SHOWN_PEERS]:
        assert {(row.clip, row.clip_id) for row in rows if row.codec == codec and row.psnr_db} == clips, codec
    for clip in clips:
        mine = [row.setting for row in rows if row.codec == OURS + DEFAULT_PACK and (row.clip, row.clip_id) == clip]
        assert {ask for ask in asks(ranks=(8,)) if ask.is_quality_at_rank} | set(readme.SHOWN) <= set(mine)
    assert len({row.key for row in rows}) == len(rows)


def test_figures_hang_together(rows: list[Row]) -> None:
    for row in rows:
        if row.size_bytes is not None:
            assert row.raw_bytes == row.frames * row.height * row.width
            assert row.ratio == pytest.approx(row.raw_bytes / row.size_bytes, rel=1e-5)
            assert row.versions.startswith("lrmcodec ")
            assert row.hardware
        if row.parts:
            assert row.size_bytes == sum(row.part_bytes.values())
        if row.setting.is_ratio_at_best_rank and row.is_ours:
            assert row.ratio is not None
            assert row.setting.target_value is not None
            assert row.ratio >= row.setting.target_value


@pytest.mark.parametrize(("codec", "setting", "size_bytes", "psnr_db", "ssim3d"), [
    ("av1", "every 1 crf 50", 24264, 28.49, 0.868), ("av1", "every 4 crf 58", 3639, 25.19, 0.779),
    ("av1", "every 8 crf 63", 1110, 22.95, 0.685), ("lowrank-av1", "rank 32 crf 13", 11219, 27.63, 0.850),
    ("lowrank-av1", "rank 4 crf 40", 992, 24.40, 0.738)])
def test_peers_agree_with_an_independent_implementation(codec: str, setting: str, size_bytes: float, psnr_db: float,
                                                        ssim3d: float) -> None:
    """Means over the three sample clips of EchoNet-Dynamic, measured elsewhere by other code for AV1 and the floor."""
    group = [row for row in read_rows(RESULTS / "cardiac_sample" / "rows.tsv")
             if (row.codec, row.setting.words) == (codec, setting)]
    assert len(group) == 3
    assert np.mean([row.size_bytes for row in group]) == pytest.approx(size_bytes, rel=0.01)
    assert np.mean([row.psnr_db for row in group]) == pytest.approx(psnr_db, abs=0.1)
    assert np.mean([row.ssim3d for row in group]) == pytest.approx(ssim3d, abs=0.005)


WIDE = sorted(path.parent.name for path in (RESULTS / "all_rates").glob("*/rows.tsv"))


@pytest.mark.parametrize("name", WIDE)
def test_the_whole_range_is_one_row_a_setting_and_its_summary_comes_from_them(name: str, tmp_path: Path) -> None:
    folder = RESULTS / "all_rates" / name
    rows = read_rows(folder / "rows.tsv")
    assert len({row.key for row in rows}) == len(rows)
    assert "av1" in {row.codec for row in rows}
    assert all(row.psnr_db == 120 for row in rows if row.is_ours and row.setting == LOSSLESS)
    write_summary(tmp_path, rows)
    assert (tmp_path / "summary.md").read_text() == (folder / "summary.md").read_text()
    assert f"`{name}`" in (folder.parent / "README.md").read_text()


@pytest.mark.parametrize("name", list(readme.SETS))
def test_summaries_come_from_the_rows(name: str, tmp_path: Path) -> None:
    write_summary(tmp_path, read_rows(RESULTS / name / "rows.tsv"))
    assert (tmp_path / "summary.md").read_text() == (RESULTS / name / "summary.md").read_text()


def test_the_table_of_methods_comes_from_its_rows() -> None:
    rows = read_rows(RESULTS / "paper" / "rows.tsv")
    assert (RESULTS / "paper" / methods.PAGE).read_text() == methods.page(rows)
    for group, count in {"simulated": 4, "parasternal": 3, "cardiac": 3, "lung": 3}.items():
        assert len({(row.clip, row.clip_id) for row in rows if row.group == group}) == count


def test_the_readme_comes_from_the_rows() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.with_block(text, readme.block(ROOT)) == text


def test_committed_pictures_are_small_and_show_no_clip_that_may_not_be_passed_on() -> None:
    for path in [*RESULTS.rglob("*.png"), ROOT / readme.PICTURE]:
        assert path.stat().st_size < 300_000, path
    assert not (RESULTS / "cardiac_sample" / "plots" / "strip.png").exists()
    assert "CC BY" in (RESULTS / "README.md").read_text()
