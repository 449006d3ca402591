"""The wavelet: perfect reconstruction for every size, nearly orthonormal, smooth pictures in few coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from lrmcodec.decoders.wavelet_transform import Bands, analyze, analyze_level, level_count, merge_level


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 9), (16, 17), (37, 50), (112, 112)])
def test_pictures_come_back(size: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).normal(size=(2, *size))
    coarse, levels = analyze(pictures)
    assert coarse.shape == (2, 1, 1)
    assert len(levels) == level_count(size)
    for bands in reversed(levels):
        coarse = merge_level(coarse, bands)
    np.testing.assert_allclose(coarse, pictures, atol=1e-12)


@pytest.mark.parametrize("level", range(5))
@pytest.mark.parametrize("band", range(3))
def test_a_coefficient_weighs_one_in_the_picture(level: int, band: int) -> None:
    coarse, levels = analyze(np.zeros((256, 256)))
    middle = levels[level][band].shape[0] // 2
    levels[level][band][middle, middle] = 1
    for bands in reversed(levels):
        coarse = merge_level(coarse, bands)
    assert np.linalg.norm(coarse) == pytest.approx(1.03, abs=0.07)


def test_a_flat_picture_has_no_details() -> None:
    coarse, levels = analyze(np.full((24, 40), 3.0))
    assert max(float(np.abs(band).max(initial=0)) for bands in levels for band in bands) < 1e-12
    assert coarse[0, 0] == pytest.approx(3 * 2 ** (11 / 2), rel=1e-9)  # 5 halvings down, 6 across


def test_bands_have_the_sizes_of_their_halves() -> None:
    coarse, bands = analyze_level(np.zeros((5, 8)))
    assert [coarse.shape, *(band.shape for band in bands)] == [(3, 4), (3, 4), (2, 4), (2, 4)]
    assert isinstance(bands, Bands)
