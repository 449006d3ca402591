"""The spatial decoder: fit, code and restore agree; rendering is what the formula says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.decoders.base import Components, FittedSegment, RestoredSegment
from lrmcodec.decoders.registry import find_pack
from lrmcodec.decoders.spatial import SpatialDecoder
from lrmcodec.formats.container import MAX_BASIS_VALUES, MAX_RANK, Component
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.picture import encode_pictures
from lrmcodec.simulate.heart.phantom import beating_heart

pytestmark = pytest.mark.usefixtures("quick_pictures")

FRAMES = beating_heart(24, (48, 56), seed=2).frames
SIZE = (48, 56)
DECODER = SpatialDecoder(find_pack("spatial"))


@pytest.fixture(scope="module")
def fitted() -> FittedSegment:
    return DECODER.fit(FRAMES, 23, 0, lambda fraction, label: None)


@pytest.fixture(scope="module")
def coded(fitted: FittedSegment) -> Components:
    return DECODER.code(fitted, 5, 60)


def floats(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    return frames / 255


def test_a_fit_of_full_rank_is_the_clip(fitted: FittedSegment) -> None:
    segment = RestoredSegment(fitted.latent, fitted.basis, fitted.coeffs, SIZE)
    np.testing.assert_allclose(DECODER.render(segment, fitted.coeffs), floats(FRAMES), atol=1e-3)


@pytest.mark.parametrize("rank", [1, 4, 10])
def test_a_fit_is_the_best_of_its_rank(fitted: FittedSegment, rank: int) -> None:
    flat = floats(FRAMES).reshape(len(FRAMES), -1)
    values = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    assert fitted.basis is not None
    low_rank = fitted.latent.reshape(-1) + fitted.coeffs[:, :rank] @ fitted.basis[:rank].reshape(rank, -1)
    assert ((low_rank - flat) ** 2).sum() == pytest.approx((values[rank:] ** 2).sum(), rel=1e-3)


def test_coefficients_of_a_fit_have_rms_1(fitted: FittedSegment) -> None:
    np.testing.assert_allclose(np.sqrt((fitted.coeffs**2).mean(0)), 1, atol=1e-6)


@pytest.mark.parametrize("rank", [0, 1, 5, 23])
@pytest.mark.parametrize("q", [10, 90, 200])
def test_what_was_coded_is_restored(fitted: FittedSegment, rank: int, q: int) -> None:
    restored = DECODER.restore(DECODER.code(fitted, rank, q), len(FRAMES), SIZE, rank, q)
    assert restored.basis is not None
    assert (restored.latent.shape, restored.basis.shape, restored.coeffs.shape) == (SIZE, (rank, *SIZE), (24, rank))
    error = DECODER.render(restored, restored.coeffs) - floats(FRAMES)
    best = np.sqrt(np.mean((floats(FRAMES) - floats(FRAMES).mean(0)) ** 2))
    assert np.sqrt(np.mean(error**2)) < best + 0.05


def test_a_higher_rank_and_a_finer_index_are_better(fitted: FittedSegment) -> None:
    def error(rank: int, q: int) -> float:
        restored = DECODER.restore(DECODER.code(fitted, rank, q), 24, SIZE, rank, q)
        return float(np.mean((DECODER.render(restored, restored.coeffs) - floats(FRAMES)) ** 2))

    assert error(10, 40) < error(4, 40) < error(4, 180)


def test_the_quick_coder_is_close_to_the_final_one(fitted: FittedSegment) -> None:
    quick, final = (sum(map(len, DECODER.code(fitted, 6, 110, final=final).values())) for final in (False, True))
    assert 0.8 < quick / final < 1.4


def test_rendering_is_the_clipped_sum() -> None:
    rng = np.random.default_rng(0)
    latent, basis = rng.random((16, 18)).astype(np.float32), rng.normal(size=(3, 16, 18)).astype(np.float32)
    coeffs = rng.normal(size=(7, 3))
    expected = np.clip(latent + np.einsum("tr,rhw->thw", coeffs, basis), 0, 1)
    frames = DECODER.render(RestoredSegment(latent, basis, coeffs, (16, 18)), coeffs)
    np.testing.assert_allclose(frames, expected, atol=1e-5)
    assert frames.dtype == np.float32


def test_another_size_keeps_the_picture(coded: Components) -> None:
    restored = DECODER.restore(coded, 24, SIZE, 5, 60)
    large = DECODER.render(restored, restored.coeffs, (96, 112))
    assert large.shape == (24, 96, 112)
    small = large.reshape(24, 48, 2, 56, 2).mean((2, 4))
    assert np.abs(small - DECODER.render(restored, restored.coeffs)).mean() < 0.02


@pytest.mark.parametrize(("count", "size", "limit"), [
    (1, (64, 64), 0), (2, (64, 64), 1), (5000, (64, 64), MAX_RANK), (1024, (2048, 2048), 63)])
def test_the_rank_limit_keeps_to_the_formats(count: int, size: tuple[int, int], limit: int) -> None:
    assert DECODER.rank_limit(count, size) == limit
    assert (limit + 1) * size[0] * size[1] <= MAX_BASIS_VALUES


def test_a_segment_without_pictures_is_refused(coded: Components) -> None:
    with pytest.raises(FormatError, match="no pictures"):
        DECODER.restore({Component.COEFFS: coded[Component.COEFFS]}, 24, SIZE, 5, 60)


@pytest.mark.parametrize(("rank", "size"), [(9, SIZE), (5, (64, 64)), (40, SIZE)])
def test_pictures_of_other_shapes_are_refused(coded: Components, rank: int, size: tuple[int, int]) -> None:
    with pytest.raises(FormatError):
        DECODER.restore(coded, 24, size, rank, 60)


def test_empty_basis_pictures_do_nothing() -> None:
    grays = np.stack([np.full(SIZE, 100.0), np.full(SIZE, 128.0)]).astype(np.float32)
    pictures = encode_pictures(grays, 20, ten_bit=False, preset=10)
    restored = DECODER.restore({Component.PICTURES: pictures, Component.COEFFS: b"\x08\x03abcdef"}, 9, SIZE, 1, 50)
    frames = DECODER.render(restored, restored.coeffs)
    np.testing.assert_allclose(frames, 100 / 255, atol=2 / 255)
