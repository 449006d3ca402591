"""Margins against AV1: interpolated at equal bytes, the best of its settings, exact files too, and the worst clip."""

from __future__ import annotations

import pytest

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.setting import LOSSLESS, Setting
from lrmcodec.benchmarks.show.worst import lossless_margins, margin_table, margins, range_table, worst_table
from lrmcodec.decoders.registry import DEFAULT_PACK

OURS = f"lrmcodec {DEFAULT_PACK}"


def row(codec: str, setting: Setting, size: float | None, psnr: float | None = 120.0, ssim: float = 1.0,
        clip: str = "a") -> Row:
    return Row(clip, "id", codec, setting, 10, 100, 100, 50.0, 100_000, size_bytes=size, psnr_db=psnr, ssim3d=ssim)


def av1(size: float, psnr: float, ssim: float, codec: str = "av1", clip: str = "a") -> Row:
    return row(codec, Setting("crf", size, every=1), size, psnr, ssim, clip)


def ours(ratio: float, psnr: float, ssim: float, clip: str = "a") -> Row:
    return row(OURS, Setting("ratio", ratio), 100_000 / ratio, psnr, ssim, clip)


AV1 = [av1(500, 28, 0.8), av1(2000, 32, 0.9), av1(2000, 33, 0.89, "av1-10bit")]


def test_margins_are_to_the_best_setting_of_av1_at_equal_bytes() -> None:
    found, = margins([*AV1, ours(100, 30, 0.86)], OURS)
    assert found.psnr_db == pytest.approx(30 - 30.5)  # halfway, in octaves, between 28 and the 33 of 10 bits
    assert found.ssim3d == pytest.approx(0.86 - 0.85)
    assert not found.is_within


def test_a_file_smaller_than_any_of_av1_is_not_worse() -> None:
    found, = margins([*AV1, ours(1000, 20, 0.5)], OURS)
    assert (found.psnr_db, found.ssim3d, found.is_within) == (None, None, True)
    assert margin_table([*AV1, ours(1000, 20, 0.5)], OURS).rows == [("a", "-")]


def test_where_av1_is_exact_in_as_many_bytes_nothing_less_will_do() -> None:
    exact = row("av1-lossless", LOSSLESS, 9000)
    found, same = margins([*AV1, exact, ours(10, 50, 0.99), ours(11, 120, 1.0)], OURS)
    assert found.psnr_db == pytest.approx(-70)
    assert same.is_within


def test_a_file_larger_than_any_of_av1_tells_nothing() -> None:
    assert margins([*AV1, ours(40, 40, 0.99)], OURS) == []


def test_settings_other_than_ratios_and_clips_without_av1_have_no_margin() -> None:
    rows = [*AV1, row(OURS, LOSSLESS, 9000), row(OURS, Setting("ratio", 5), None, None), ours(100, 30, 0.8, "b")]
    assert margins(rows, OURS) == []
    assert worst_table(rows, OURS).rows == []


def test_the_worst_clip_is_named_for_each_metric() -> None:
    rows = [*AV1, *(av1(other.size_bytes or 0, other.psnr_db or 0, other.ssim3d or 0, other.codec, "b")
                    for other in AV1), ours(100, 31, 0.849), ours(100, 30.46, 0.8501, "b")]
    line, = worst_table(rows, OURS).rows
    assert line == ("100", "-0.04 dB (b)", "-0.0010 (a)", "2 of 2")
    assert margin_table(rows, OURS).rows == [("a", "+0.50 / -0.0010"), ("b", "-0.04 / +0.0001")]


def test_without_loss_ours_are_compared_with_the_smallest() -> None:
    rows = [row(OURS, LOSSLESS, 1030), row("ffv1", LOSSLESS, 1200), row("av1-lossless", LOSSLESS, 1000),
            row("ffv1", LOSSLESS, 5, clip="b")]
    table = lossless_margins(rows, OURS)
    assert table.head == ("clip", "lrmcodec", "AV1 lossless", "FFV1", "against the smallest")
    assert table.rows == [("a", "1,030", "1,000", "1,200", "+3.0 %")]


def test_the_whole_range_shows_means_of_sets_of_which_all_clips_were_measured() -> None:
    rows = [*AV1, ours(100, 31, 0.86), ours(1000, 25, 0.7)]
    table = range_table({"one": rows, "two": [*rows, ours(100, 20, 0.5, "b")]}, OURS)
    assert table.head[:4] == ("ratio", "one: lrmcodec", "one: best AV1", "one: worst clip")
    assert table.rows == [("100", "31.00 / 0.860", "30.50 / 0.850", "+0.50 / +0.0100", "-", "-", "-"),
                          ("1000", "25.00 / 0.700", "-", "-", "-", "-", "-")]


def test_points_of_a_weaker_setting_do_not_pull_the_best_down() -> None:
    weak = av1(1000, 28.5, 0.81, "av1-preset5")  # between the two of preset 2, below their line
    found, = margins([*AV1, weak, ours(100, 30, 0.86)], OURS)
    assert found.psnr_db == pytest.approx(30 - 30)
    assert found.ssim3d == pytest.approx(0.86 - 0.85)
