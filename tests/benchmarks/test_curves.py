"""Rate-distortion curves: fronts of points, values between them, BD-rate against known shifts."""

from __future__ import annotations

import numpy as np
import pytest

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show.curves import at_bytes, bd_rate_percent, bd_rates, front, mean_curve


def made(size: float, psnr: float, ssim: float = 0.5, *, codec: str = "av1", clip: str = "a") -> Row:
    return Row(clip, "id", codec, Setting("crf", size), 10, 100, 100, 50.0, 100_000, size_bytes=size,
               psnr_db=psnr, ssim3d=ssim)


def test_a_curve_of_four_fifths_of_the_size_is_minus_twenty_percent() -> None:
    anchor = list(zip([500.0, 1000, 4000, 9000, 30000], [22.0, 25, 28, 30, 34], strict=True))
    assert bd_rate_percent(anchor, [(0.8 * size, quality) for size, quality in anchor]) == pytest.approx(-20)
    assert bd_rate_percent(anchor, anchor) == pytest.approx(0)


def test_the_rate_is_the_mean_over_the_quality_that_both_reach() -> None:
    """Straight in the logarithm of size: 1 dB a doubling against 2 dB a doubling, from 22 to 24 dB."""
    anchor = [(100.0 * 2**step, 20.0 + step) for step in range(5)]
    test = [(400.0 * 2**step, 22.0 + 2 * step) for step in range(5)]
    assert bd_rate_percent(anchor, test) == pytest.approx(100 * (2**-0.5 - 1))


def test_curves_that_share_no_quality_have_no_rate() -> None:
    curve = [(100.0, 20.0), (200.0, 21.0), (400.0, 22.0)]
    assert bd_rate_percent(curve, [(size, quality + 10) for size, quality in curve]) is None
    assert bd_rate_percent(curve, curve[:2]) is None
    assert bd_rate_percent([], curve) is None


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
