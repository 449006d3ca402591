"""Rows as text: nothing lost, a line cut short left out, foreign and damaged files refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrmcodec import metrics
from lrmcodec.benchmarks.measure.quality import qualities
from lrmcodec.benchmarks.measure.rows import COLUMNS, Row, header, read_rows, to_line, write_rows
from lrmcodec.benchmarks.setting import ALL, LOSSLESS, Setting
from lrmcodec.formats.errors import ClipError

ROW = Row("heart", "0123abcd", "lrmcodec spatial", Setting("ratio", 1000), 100, 112, 112, 50.0, 1254400, rank=8,
          size_bytes=1250.0, ratio=1003.52, psnr_db=25.1234, ed_misses=0, ed_found=(3, 50), sign_right=False,
          note="one\ttwo\nthree", versions="lrmcodec 0")


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    other = replace(ROW, setting=Setting("crf", 58, every=8, scale="4/7"), sign_right=None, rank=None,
                    psnr_db=None, note="")
    write_rows([ROW, other], path)
    assert read_rows(path) == [replace(ROW, note="one two three"), other]
    assert len(path.read_text().splitlines()) == 3


def test_every_cell_is_there() -> None:
    assert len(to_line(ROW).rstrip("\n").split("\t")) == len(COLUMNS)


@pytest.mark.parametrize(("setting", "words"), [
    (Setting("ratio", 1000), "ratio 1000"), (Setting("quality", 80, 4), "rank 4 quality 80"), (LOSSLESS, "lossless"),
    (Setting("crf", 58.0, every=8, scale="4/7"), "size 4/7 every 8 crf 58"), (ALL, "all"), (Setting("crf", 13, 8),
    "rank 8 crf 13"), (Setting("ratio", 60, 2, without="phase"), "rank 2 ratio 60 without phase"),
    (Setting(asked_rank=0), "rank 0")])
def test_settings_in_words(setting: Setting, words: str) -> None:
    assert setting.words == words


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_line_cut_short_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(header() + to_line(ROW) + to_line(ROW)[:-cut])
    assert len(read_rows(path)) == 1


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("clip\tcodec\nheart\tav1\n")
    with pytest.raises(ClipError, match="does not hold rows"):
        read_rows(path)


@pytest.mark.parametrize(("old", "new", "words"), [("1254400", "many", "many"), ("\n", "\t5\n", "a cell too many")])
def test_a_damaged_row_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(header() + to_line(ROW).replace(old, new))
    with pytest.raises(ClipError, match=f"damaged row .*{words}"):
        read_rows(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="nothing"):
        read_rows(tmp_path / "nothing.tsv")


def test_psnr_of_known_arrays() -> None:
    original = np.full((2, 16, 16), 100, np.uint8)
    decoded = original.copy()
    decoded[0] += 1
    decoded[1] += 10
    found = qualities(original, decoded)
    full = 20 * np.log10(255)
    assert found["psnr_db"] == pytest.approx(full - 10)  # mean of full and full - 20
    assert found["psnr_pooled_db"] == pytest.approx(full - 10 * np.log10((1 + 100) / 2))
    assert metrics.pooled_psnr_db(original, original) == 120


def test_ssim_of_known_arrays() -> None:
    rng = np.random.default_rng(1)
    original = rng.integers(0, 256, (12, 24, 24)).astype(np.uint8)
    assert qualities(original, original)["ssim3d"] == pytest.approx(1)
    assert qualities(original, 255 - original)["ssim3d"] < 0
