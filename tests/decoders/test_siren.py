"""The SIREN decoder: its formula, its derivatives, any size, and the way through a file's components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lrmcodec.decoders.base import FittedSegment, RestoredSegment
from lrmcodec.decoders.siren import Siren, SirenDecoder, SirenShape, pixel_grid
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import FormatError, PackError
from lrmcodec.simulate.heart.phantom import beating_heart

SHAPE = SirenShape(width=24, depth=4, latent_size=20, max_rank=6, w0_first=8.0, w0_last=12.0)


@dataclass(frozen=True)
class TinyPack:
    """A pack in memory with random weights whose latents have a strong effect."""

    card: dict[str, Any]
    arrays: dict[str, NDArray[np.float32]]

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        return dict(self.arrays)


def tiny_pack(seed: int = 0) -> TinyPack:
    generator = torch.Generator().manual_seed(seed)
    net = Siren(SHAPE)
    net.reset(generator)
    with torch.no_grad():
        net.modulation.mul_(5.0)
        net.last_weight.mul_(8.0)
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    d, r = SHAPE.latent_size, SHAPE.max_rank
    basis = torch.linalg.qr(torch.randn(d, r, generator=generator)).Q
    grid = pixel_grid((12, 12))[None]
    _, jacobian = net.linearize(grid, torch.zeros(1, d), torch.eye(d))
    arrays |= {"basis": basis.numpy(), "latent_mean": np.zeros(d, np.float32),
               "latent_scale": np.ones(d, np.float32), "coeff_std": np.ones(r, np.float32),
               "latent_gain": jacobian.square().mean((0, 1)).sqrt().numpy(),
               "coeff_scale": (jacobian @ basis).square().mean((0, 1)).sqrt().numpy()}
    return TinyPack({"name": "tiny", "architecture": {"id": 1, "name": "siren", **SHAPE.to_card()}}, arrays)


@pytest.fixture(scope="module")
def decoder() -> SirenDecoder:
    torch.set_num_threads(1)
    return SirenDecoder.from_pack(tiny_pack(), "cpu")


@pytest.fixture(scope="module")
def fitted(decoder: SirenDecoder) -> FittedSegment:
    frames = beating_heart(frame_count=9, size=(28, 24), fps=20.0).frames
    return decoder.fit(frames, 4, 0, lambda done, label: None)


def numpy_siren(arrays: dict[str, NDArray[np.float32]], point: NDArray[np.float64],
                z: NDArray[np.float64]) -> float:
    """The formula of METHOD section 1, one pixel, layer by layer."""
    h = np.sin(SHAPE.w0_first * (arrays["first_weight"] @ point + arrays["first_bias"]))
    for layer in range(SHAPE.depth - 2):
        w0 = SHAPE.w0_first + (SHAPE.w0_last - SHAPE.w0_first) * (layer + 1) / (SHAPE.depth - 2)
        inner = arrays["hidden_weight"][layer] @ h + arrays["hidden_bias"][layer]
        h = np.sin(w0 * (inner + arrays["modulation"][layer] @ z))
    return float(arrays["last_weight"] @ h + arrays["last_bias"] + 0.5)


def test_forward_is_the_formula(decoder: SirenDecoder) -> None:
    rng = np.random.default_rng(0)
    pack = tiny_pack()
    latent = 0.3 * rng.standard_normal(SHAPE.latent_size)
    coeffs = 0.3 * rng.standard_normal((2, 3))
    segment = RestoredSegment(latent.astype(np.float32), None, coeffs, (5, 7))
    frames = decoder.render(segment, coeffs)
    for frame, row, column in ((0, 0, 0), (1, 4, 6), (1, 2, 3)):
        point = np.array([(row + 0.5) * 2 / 5 - 1, (column + 0.5) * 2 / 7 - 1])
        z = latent + pack.arrays["basis"][:, :3] @ coeffs[frame]
        expected = np.clip(numpy_siren(pack.arrays, point, z), 0, 1)
        assert frames[frame, row, column] == pytest.approx(expected, abs=2e-5)


def test_jacobian_is_the_derivative() -> None:
    net = Siren(SHAPE).double()
    net.reset(torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    coords = 2 * torch.rand(2, 11, 2, generator=generator, dtype=torch.float64) - 1
    z = torch.randn(2, SHAPE.latent_size, generator=generator, dtype=torch.float64)
    directions = torch.randn(SHAPE.latent_size, 3, generator=generator, dtype=torch.float64)
    gray, jacobian = net.linearize(coords, z, directions)
    torch.testing.assert_close(gray, net(coords, z).detach())
    for k in range(3):
        ahead, behind = (net(coords, z + sign * 1e-5 * directions[:, k]).detach() for sign in (1, -1))
        torch.testing.assert_close(jacobian[..., k], (ahead - behind) / 2e-5, atol=1e-8, rtol=1e-5)


def test_coefficients_enter_the_modulation_linearly(decoder: SirenDecoder) -> None:
    """Moving part of the latent along the basis into the coefficients changes nothing."""
    rng = np.random.default_rng(3)
    basis = tiny_pack().arrays["basis"][:, :2]
    latent, shift = 0.2 * rng.standard_normal(SHAPE.latent_size), np.array([0.4, -0.1])
    coeffs = rng.standard_normal((3, 2))
    one = decoder.render(RestoredSegment(latent.astype(np.float32), None, coeffs, (8, 8)), coeffs)
    moved = (latent + basis @ shift).astype(np.float32)
    other = decoder.render(RestoredSegment(moved, None, coeffs, (8, 8)), coeffs - shift)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_lower_rank_is_the_higher_one_with_zeros(decoder: SirenDecoder) -> None:
    coeffs = np.array([[0.5, -0.3]])
    segment = RestoredSegment(np.zeros(SHAPE.latent_size, np.float32), None, coeffs, (8, 8))
    padded = np.concatenate([coeffs, np.zeros((1, 4))], axis=1)
    np.testing.assert_allclose(decoder.render(segment, coeffs), decoder.render(segment, padded), atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (31, 50), (200, 190)])
def test_any_size_shows_the_same_picture(decoder: SirenDecoder, size: tuple[int, int]) -> None:
    """A pixel of another grid that falls on the same place has the same level."""
    coeffs = np.zeros((1, 0))
    segment = RestoredSegment(np.full(SHAPE.latent_size, 0.1, np.float32), None, coeffs, size)
    frame = decoder.render(segment, coeffs)[0]
    assert frame.shape == size
    threefold = decoder.render(segment, coeffs, (3 * size[0], 3 * size[1]))[0]
    np.testing.assert_allclose(threefold[1::3, 1::3], frame, atol=1e-5)


def test_no_frames_and_rank_zero(decoder: SirenDecoder) -> None:
    segment = RestoredSegment(np.zeros(SHAPE.latent_size, np.float32), None, np.zeros((2, 0)), (16, 16))
    assert decoder.render(segment, np.zeros((0, 0))).shape == (0, 16, 16)
    assert decoder.render(segment, np.zeros((2, 0))).shape == (2, 16, 16)


def test_rank_limit(decoder: SirenDecoder) -> None:
    assert [decoder.rank_limit(count, (64, 64)) for count in (1, 4, 100)] == [0, 3, SHAPE.max_rank]


@pytest.mark.parametrize("rank", [0, 1, 4])
@pytest.mark.parametrize("final", [False, True])
def test_round_trip_through_components(decoder: SirenDecoder, fitted: FittedSegment, rank: int,
                                       final: bool) -> None:
    components = decoder.code(fitted, rank, 0, final=final)
    assert set(components) <= {Component.LATENT, Component.COEFFS}
    restored = decoder.restore(components, 9, (28, 24), rank, 0)
    assert restored.coeffs.shape == (9, rank)
    again = decoder.restore(components, 9, (28, 24), rank, 0)
    np.testing.assert_array_equal(restored.coeffs, again.coeffs)
    np.testing.assert_array_equal(restored.latent, again.latent)
    assert decoder.render(restored, restored.coeffs).shape == (9, 28, 24)


def test_fine_steps_keep_the_fit_and_coarse_ones_cost_little(decoder: SirenDecoder,
                                                              fitted: FittedSegment) -> None:
    original = fitted.frames / 255.0
    errors, sizes = [], []
    for q in (0, 255):
        components = decoder.code(fitted, 4, q)
        restored = decoder.restore(components, 9, (28, 24), 4, q)
        errors.append(np.square(decoder.render(restored, restored.coeffs) - original).mean())
        sizes.append(sum(map(len, components.values())))
    plain = RestoredSegment(fitted.latent, None, fitted.coeffs, (28, 24))
    unquantized = np.square(decoder.render(plain, fitted.coeffs) - original).mean()
    assert errors[0] < 1.05 * unquantized
    assert errors[0] < errors[1]
    assert sizes[0] > 1.3 * sizes[1]


def test_refit_takes_up_what_quantization_of_the_latent_broke(decoder: SirenDecoder,
                                                              fitted: FittedSegment) -> None:
    """Coefficients refitted on the decoded latent are better than those fitted to the exact one."""
    components = decoder.code(fitted, 4, 255)
    restored = decoder.restore(components, 9, (28, 24), 4, 255)
    original = fitted.frames / 255.0
    kept, refitted = (np.square(decoder.render(restored, coeffs) - original).mean()
                      for coeffs in (fitted.coeffs, restored.coeffs))
    assert refitted < 1.02 * kept


def test_damaged_components_are_format_errors(decoder: SirenDecoder, fitted: FittedSegment) -> None:
    components = dict(decoder.code(fitted, 4, 60))
    with pytest.raises(FormatError, match="no latent"):
        decoder.restore({}, 9, (28, 24), 4, 60)
    with pytest.raises(FormatError, match="rank 7"):
        decoder.restore(components, 9, (28, 24), 7, 60)
    rng = np.random.default_rng(0)
    for _ in range(50):
        noise = {key: rng.bytes(len(data)) for key, data in components.items()}
        try:
            decoder.restore(noise, 9, (28, 24), 4, 60)
        except FormatError:
            continue


@pytest.mark.parametrize("name", ["basis", "first_weight", "latent_scale"])
def test_incomplete_packs_are_refused(name: str) -> None:
    pack = tiny_pack()
    del pack.arrays[name]
    with pytest.raises(PackError, match=name):
        SirenDecoder.from_pack(pack, "cpu")


def test_cards_without_hyper_parameters_are_refused() -> None:
    pack = tiny_pack()
    del pack.card["architecture"]["width"]
    with pytest.raises(PackError, match="width"):
        SirenDecoder.from_pack(pack, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_renders_within_one_gray_level(decoder: SirenDecoder, fitted: FittedSegment) -> None:
    cuda = SirenDecoder.from_pack(tiny_pack(), "cuda")
    components = cuda.code(cuda.fit(fitted.frames, 4, 0, lambda done, label: None), 4, 40)
    here, there = (side.restore(components, 9, (28, 24), 4, 40) for side in (decoder, cuda))
    np.testing.assert_array_equal(here.coeffs, there.coeffs)
    difference = decoder.render(here, here.coeffs) - cuda.render(there, there.coeffs)
    assert np.abs(difference).max() < 1 / 255
