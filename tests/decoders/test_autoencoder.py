"""Architecture 4: no fitting, orthonormal directions, any size, and the way through a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf
from tiny_packs import CONV, check_damaged, conv_pack

from lrmcodec.decoders.autoencoder import AutoencoderDecoder, to_side
from lrmcodec.decoders.base import FittedSegment, RestoredSegment
from lrmcodec.formats.errors import FormatError, PackError
from lrmcodec.simulate.heart.phantom import beating_heart

SIZE = (32, 40)
FRAMES = 6


@pytest.fixture(scope="module")
def decoder() -> AutoencoderDecoder:
    torch.set_num_threads(1)
    return AutoencoderDecoder.from_pack(conv_pack(), "cpu")


@pytest.fixture(scope="module")
def fitted(decoder: AutoencoderDecoder) -> FittedSegment:
    return decoder.fit(beating_heart(frame_count=FRAMES, size=SIZE, fps=20.0).frames, 3, 0, lambda done, label: None)


def convolve(planes: NDArray[np.float64], weight: NDArray[np.float64],
             bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolution with padding that keeps the size, as SPEC.md means it."""
    side = weight.shape[2] // 2
    padded = np.pad(planes, ((0, 0), (side, side), (side, side)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(1, 2))
    return np.einsum("oiyx,ihwyx->ohw", weight, windows) + bias[:, None, None]


def test_rendering_is_the_text() -> None:
    """A second decoder, written from SPEC.md."""
    decoder = AutoencoderDecoder.from_pack(conv_pack(), "cpu")
    weights = {key.removeprefix("decoder."): value.astype(np.float64) for key, value in conv_pack().arrays.items()}

    def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(x * (1 + erf(x / np.sqrt(2))) / 2)

    z = np.random.default_rng(1).normal(size=CONV.latent_size).astype(np.float32)
    planes = (weights["first.weight"] @ z + weights["first.bias"]).reshape(-1, 7, 7)
    planes = gelu(convolve(planes, weights["body.0.weight"], weights["body.0.bias"]))
    for layer in (3, 6, 9):
        planes = planes.repeat(2, 1).repeat(2, 2)
        planes = gelu(convolve(planes, weights[f"body.{layer}.weight"], weights[f"body.{layer}.bias"]))
    planes = convolve(planes, weights["body.11.weight"], weights["body.11.bias"])
    frame = planes.reshape(2, 2, 56, 56).transpose(2, 0, 3, 1).reshape(112, 112) + 0.25
    found = decoder.render(RestoredSegment(z, None, np.zeros((1, 0)), (112, 112)), np.zeros((1, 0)))[0]
    assert frame.std() > 0.01
    np.testing.assert_allclose(found, frame.clip(0, 1), atol=1e-4)


def test_the_latent_is_the_mean_and_coefficients_are_what_the_directions_see(decoder: AutoencoderDecoder,
                                                                             fitted: FittedSegment) -> None:
    np.testing.assert_allclose(fitted.coeffs.mean(0), 0, atol=1e-6)
    assert fitted.coeffs.std() > 0
    assert fitted.coeffs.shape == (FRAMES, 3)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_round_trip_through_components(decoder: AutoencoderDecoder, fitted: FittedSegment, rank: int) -> None:
    components = decoder.code(fitted, rank, 0)
    restored = decoder.restore(components, FRAMES, SIZE, rank, 0)
    np.testing.assert_allclose(restored.latent, fitted.latent, atol=0.01)
    np.testing.assert_allclose(restored.coeffs, fitted.coeffs[:, :rank], atol=0.02)
    assert decoder.render(restored, restored.coeffs).shape == (FRAMES, *SIZE)
    coarse = decoder.code(fitted, rank, 200)
    assert sum(map(len, coarse.values())) < sum(map(len, components.values()))


def test_other_sizes_are_interpolated() -> None:
    pack = conv_pack()
    pack.arrays["decoder.body.11.weight"] *= np.float16(0.1)  # nothing is clipped
    decoder = AutoencoderDecoder.from_pack(pack, "cpu")
    segment = RestoredSegment(np.ones(CONV.latent_size, np.float32), None, np.zeros((1, 0)), (112, 112))
    full = decoder.render(segment, segment.coeffs)[0]
    half = decoder.render(segment, segment.coeffs, (56, 56))[0]
    np.testing.assert_allclose(half, full.reshape(56, 2, 56, 2).mean((1, 3)), atol=1e-5)
    assert 0 < full.min() < full.max() < 1
    assert decoder.render(segment, np.zeros((0, 0))).shape == (0, 112, 112)


def test_frames_are_shrunken_by_their_mean() -> None:
    frames = torch.from_numpy(beating_heart(frame_count=2, size=(224, 224), fps=20.0).frames.copy())
    small = to_side(frames)
    assert small.shape == (2, 112, 112)
    assert float(small.mean()) == pytest.approx(float(frames.float().mean() / 255), abs=1e-4)


def test_damaged_components_are_format_errors(decoder: AutoencoderDecoder, fitted: FittedSegment) -> None:
    components = dict(decoder.code(fitted, 3, 60))
    with pytest.raises(FormatError, match="no latent"):
        decoder.restore({}, FRAMES, SIZE, 3, 60)
    with pytest.raises(FormatError, match="rank 9"):
        decoder.restore(components, FRAMES, SIZE, 9, 60)
    check_damaged(decoder, components, FRAMES, SIZE, 3)


def test_rank_limits(decoder: AutoencoderDecoder) -> None:
    assert [decoder.rank_limit(count, SIZE) for count in (1, 3, 100)] == [0, 2, CONV.max_rank]


def test_packs_that_do_not_fit_are_refused() -> None:
    pack = conv_pack()
    del pack.arrays["decoder.first.bias"]
    with pytest.raises(PackError, match="first"):
        AutoencoderDecoder.from_pack(pack, "cpu")
    pack = conv_pack()
    del pack.card["architecture"]["width"]
    with pytest.raises(PackError, match="'width'"):
        AutoencoderDecoder.from_pack(pack, "cpu")
