"""PSNR, SSIM3D and ratio against known values and a direct implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import convolve

from lrmcodec import metrics
from lrmcodec.formats.errors import ClipError
from lrmcodec.metrics import compare, frame_mse, frame_psnr_db, psnr_db, ratio, ssim3d


def noisy_pair(shape: tuple[int, int, int], strength: float = 20) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, shape)
    return clip.astype(np.uint8), np.clip(clip + rng.normal(size=shape) * strength, 0, 255).astype(np.uint8)


def test_psnr_of_known_frames() -> None:
    black = np.zeros((2, 16, 16), np.uint8)
    assert psnr_db(black, black + np.uint8(255)) == pytest.approx(0)
    assert psnr_db(black, black + np.uint8(51)) == pytest.approx(20 * np.log10(5))
    assert psnr_db(black, black) == 120


def test_psnr_is_the_mean_over_frames_of_the_frames_psnr() -> None:
    original, decoded = np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), np.uint8)
    decoded[0], decoded[1] = 51, 5
    expected = np.mean([20 * np.log10(255 / 51), 20 * np.log10(255 / 5)])
    assert psnr_db(original, decoded) == pytest.approx(expected)


def test_errors_of_frames_are_not_wrapped() -> None:
    original, decoded = noisy_pair((5, 17, 19))
    expected = ((original.astype(float) - decoded.astype(float)) ** 2).mean((1, 2)) / 255**2
    np.testing.assert_allclose(frame_mse(original, decoded), expected, rtol=1e-5)


def direct_ssim3d(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Wang et al. 2004 with an explicit window and zeros beyond the borders."""
    line = np.exp(-np.arange(-5, 6) ** 2 / (2 * 1.5**2))
    line /= line.sum()
    window = line[:, None, None] * line[:, None] * line

    def mean(volume: NDArray[np.float64]) -> NDArray[np.float64]:
        return convolve(volume, window, mode="constant", cval=0)

    x, y = original / 255, decoded / 255
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


@pytest.mark.parametrize("shape", [(12, 14, 16), (1, 16, 16), (3, 9, 20)])
@pytest.mark.parametrize("strength", [2, 60])
def test_ssim_equals_a_direct_implementation(shape: tuple[int, int, int], strength: float) -> None:
    original, decoded = noisy_pair(shape, strength)
    assert ssim3d(original, decoded) == pytest.approx(direct_ssim3d(original, decoded), abs=1e-5)


def test_ssim_of_equal_clips_is_1() -> None:
    original, _ = noisy_pair((7, 16, 16))
    assert ssim3d(original, original) == pytest.approx(1, abs=1e-6)
    assert ssim3d(original * 0, original * 0) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", [1, 6, 7, 8, 40])
def test_ssim_in_blocks_equals_the_whole(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    original, decoded = noisy_pair((count, 16, 18))
    whole = ssim3d(original, decoded)
    monkeypatch.setattr(metrics, "SSIM_BLOCK_FRAMES", 7)
    assert ssim3d(original, decoded) == pytest.approx(whole, abs=1e-6)
    monkeypatch.setattr(metrics, "SSIM_TILE_SIDE", 7)
    assert ssim3d(original, decoded) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("step", [1, 5, 64])
def test_frames_may_come_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch, count: int, step: int) -> None:
    monkeypatch.setattr(metrics, "SSIM_BLOCK_FRAMES", 7)
    original, decoded = noisy_pair((count, 16, 18))
    found = compare(original, (decoded[start:start + step] for start in range(0, count, step)))
    assert found.psnr_db == psnr_db(original, decoded)
    assert found.ssim3d == ssim3d(original, decoded)
    np.testing.assert_array_equal(found.frame_psnr_db, frame_psnr_db(original, decoded))


OTHERS = {"frames": (6, 16, 18), "more frames": (8, 16, 18), "one frame": (1, 16, 18), "width": (7, 16, 17),
          "height": (7, 15, 18), "a pixel": (7, 1, 1), "a picture": (16, 18), "none": (0, 16, 18)}


@pytest.mark.parametrize("shape", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("measure", [frame_mse, psnr_db, ssim3d, metrics.pooled_psnr_db, frame_psnr_db,
                                     lambda a, b: compare(a, [b])])
def test_clips_of_different_shapes_are_not_compared(measure: Callable[..., Any], shape: tuple[int, ...]) -> None:
    original, other = np.full((7, 16, 18), 9, np.uint8), np.full(shape, 9, np.uint8)
    with pytest.raises(ClipError, match=r"compared|measured"):
        measure(original, other)


@pytest.mark.parametrize("measure", [frame_mse, ssim3d, lambda a, b: compare(a, [b])])
def test_gray_levels_of_another_kind_are_not_compared(measure: Callable[..., Any]) -> None:
    original = np.full((7, 16, 18), 9, np.uint8)
    with pytest.raises(ClipError, match="float64"):
        measure(original, original / 255)


def test_ssim_falls_with_noise() -> None:
    values = [ssim3d(*noisy_pair((6, 16, 16), strength)) for strength in (1, 10, 40, 100)]
    assert values == sorted(values, reverse=True)


def test_ratio_is_raw_bytes_over_file_bytes() -> None:
    assert ratio(100 * 112 * 112, 1000) == 1254.4
