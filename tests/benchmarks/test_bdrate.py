"""BD-rate against known shifts and against an independent implementation; fronts of points."""

from __future__ import annotations

import bjontegaard
import numpy as np
import pytest

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show.bdrate import bd_rate_percent
from lrmcodec.benchmarks.show.curves import at_bytes, bd_rates, front, mean_curve


def made(size: float, psnr: float, ssim: float = 0.5, *, codec: str = "av1", clip: str = "a") -> Row:
    return Row(clip, "id", codec, Setting("crf", size), 10, 100, 100, 50.0, 100_000, size_bytes=size,
               psnr_db=psnr, ssim3d=ssim)


def test_a_curve_of_four_fifths_of_the_size_is_minus_twenty_percent() -> None:
    sizes, quality = np.array([500.0, 1000, 4000, 9000, 30000]), np.array([22.0, 25, 28, 30, 34])
    assert bd_rate_percent(sizes, quality, 0.8 * sizes, quality) == pytest.approx(-20)
    assert bd_rate_percent(sizes, quality, sizes, quality) == pytest.approx(0)


@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_the_bjontegaard_package(seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(2):
        count = int(rng.integers(4, 12))
        sizes = 300 * np.cumprod(rng.uniform(1.2, 2.5, count))
        curves.append((sizes, rng.uniform(20, 24) + np.cumsum(rng.uniform(0.2, 2.0, count))))
    (anchor, anchor_db), (test, test_db) = curves
    expected = bjontegaard.bd_rate(anchor, anchor_db, test, test_db, method="pchip", require_matching_points=False,
                                   min_overlap=0)
    assert bd_rate_percent(anchor, anchor_db, test, test_db) == pytest.approx(expected, rel=1e-9)


def test_curves_that_share_no_quality_have_no_rate() -> None:
    sizes = [100.0, 200, 400]
    assert bd_rate_percent(sizes, [20, 21, 22], sizes, [30, 31, 32]) is None
    assert bd_rate_percent(sizes, [20, 21, 22], [100.0, 200], [20, 22]) is None
    assert bd_rate_percent([], [], sizes, [20, 21, 22]) is None


def test_the_front_keeps_what_nothing_smaller_beats() -> None:
    rows = [made(100, 20), made(200, 19), made(300, 25), made(300, 24), made(500, 25), made(700, 26), made(900, 120)]
    assert front(rows, "psnr_db") == [(100, 20), (300, 25), (700, 26)]


def test_the_front_is_one_for_each_metric() -> None:
    rows = [made(100, 20, 0.6), made(200, 22, 0.5), made(400, 23, 0.7)]
    assert [size for size, _ in front(rows, "psnr_db")] == [100, 200, 400]
    assert [size for size, _ in front(rows, "ssim3d")] == [100, 400]


def test_between_points_quality_is_log_linear_and_outside_unknown() -> None:
    curve = [(100.0, 20.0), (400.0, 24.0)]
    assert at_bytes(curve, 200) == pytest.approx(22)
    assert at_bytes(curve, 100) == 20
    assert at_bytes(curve, 99) is None
    assert at_bytes(curve, 401) is None
    assert at_bytes([], 100) is None


def test_a_mean_curve_ends_where_one_clip_cannot_follow() -> None:
    rows = [made(100, 20), made(1000, 30), made(500, 24, clip="b"), made(1000, 26, clip="b")]
    means = mean_curve(rows, "av1", "psnr_db", [100, 200, 1000])
    assert means[0] == pytest.approx(28)
    assert np.isfinite(means[1])
    assert np.isnan(means[2])


def test_bd_rates_are_taken_clip_by_clip() -> None:
    anchor = [made(size, db, clip=clip) for clip in "ab" for size, db in ((100, 20), (200, 22), (400, 23))]
    ours = [made(size / 2, db, codec="x", clip="a") for size, db in ((100, 20), (200, 22), (400, 23))]
    ours += [made(size, db, codec="x", clip="b") for size, db in ((100, 40), (200, 42), (400, 43))]
    assert bd_rates(anchor + ours, "x", "av1", "psnr_db") == [pytest.approx(-50)]
