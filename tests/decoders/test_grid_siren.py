"""Architecture 3: its formula, its derivatives, its fit, and the way of three latent structures through a file."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_packs import FRAMEWISE, GRID, VIDEO, check_damaged, grid_net, grid_pack

from lrmcodec.decoders.base import FittedSegment, RestoredSegment
from lrmcodec.decoders.grid_fit import (
    GridModel,
    Pixels,
    coeff_jacobian,
    fit_clip,
    solve_coeffs,
    solve_latent,
    squared_errors,
    truncate_coeffs,
)
from lrmcodec.decoders.grid_network import GridShape, look_up, node_weights, pixel_grid
from lrmcodec.decoders.grid_siren import GridSirenDecoder, frequency_order
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import FormatError, PackError
from lrmcodec.simulate.heart.phantom import beating_heart

SHAPES = {"low-rank": GRID, "video": VIDEO, "framewise": FRAMEWISE}
SIZE = (24, 28)
FRAMES = 7


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    torch.set_num_threads(1)
    return beating_heart(frame_count=FRAMES, size=SIZE, fps=20.0).frames


@pytest.fixture(scope="module", params=SHAPES)
def decoder(request: pytest.FixtureRequest) -> GridSirenDecoder:
    return GridSirenDecoder.from_pack(grid_pack(SHAPES[request.param]), "cpu")


@pytest.fixture(scope="module")
def fitted(decoder: GridSirenDecoder, frames: NDArray[np.uint8]) -> FittedSegment:
    return decoder.fit(frames, 4, 0, lambda done, label: None)


def numpy_look_up(plane: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    """Bilinear value of one plane, as SPEC.md says."""
    g = len(plane)
    at = (np.clip(point, -1 + 1 / g, 1 - 1 / g) + 1) * g / 2 - 0.5
    low = np.clip(np.floor(at).astype(int), 0, g - 2)
    y, x = at - low
    square = plane[low[0]:low[0] + 2, low[1]:low[1] + 2]
    return float(np.array([1 - y, y]) @ square @ np.array([1 - x, x]))


def numpy_pixel(arrays: dict[str, Any], shape: GridShape, point: NDArray[np.float64],
                z: NDArray[np.float64]) -> float:
    """The formula of SPEC.md, one pixel."""
    a = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    planes = z.reshape(shape.channels, shape.grid, shape.grid)
    moved = point + a["displacement"] @ np.array([numpy_look_up(plane, point) for plane in planes])
    local = np.array([numpy_look_up(plane, moved) for plane in planes])
    h = np.sin(shape.w0_first * (a["first_weight"] @ moved + a["first_bias"]))
    layers = shape.depth - 2
    for i in range(layers):
        w = shape.w0_first + (shape.w0_last - shape.w0_first) * (i + 1) / layers
        h = np.sin(w * (a["hidden_weight"][i] @ h + a["hidden_bias"][i] + a["modulation"][i] @ local))
    return float(np.clip(a["last_weight"] @ h + a["last_bias"] + 0.5, 0, 1))


def test_rendering_is_the_formula(decoder: GridSirenDecoder) -> None:
    shape, rng = decoder.shape, np.random.default_rng(0)
    arrays = grid_pack(shape).arrays
    latent = 0.5 * rng.standard_normal(shape.modulation_size).astype(np.float32)
    coeffs = rng.standard_normal((2, 3))
    out = decoder.render(RestoredSegment(latent, None, coeffs, (16, 17)), coeffs)
    assert out.std() > 0.02
    for frame, row, column in ((0, 0, 0), (1, 15, 16), (1, 7, 3), (0, 9, 12)):
        point = np.array([(row + 0.5) * 2 / 16 - 1, (column + 0.5) * 2 / 17 - 1])
        z = latent + arrays["basis"].astype(np.float64)[:, :3] @ coeffs[frame]
        assert out[frame, row, column] == pytest.approx(numpy_pixel(arrays, shape, point, z), abs=1e-4)


def test_the_look_ups_agree() -> None:
    points = 2.4 * torch.rand(2, 40, 2, generator=torch.Generator().manual_seed(0)) - 1.2
    planes = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    expected = look_up(planes, points)
    torch.testing.assert_close((node_weights(points, 6) @ planes.flatten(2).transpose(1, 2)).transpose(1, 2), expected)
    assert float(expected[1, 2, 5]) == pytest.approx(
        numpy_look_up(planes[1, 2].double().numpy(), points[1, 5].double().numpy()), abs=1e-5)


def test_both_ways_of_looking_up_give_one_network() -> None:
    net = grid_net(GRID)
    coords, z = 2 * torch.rand(2, 30, 2) - 1, torch.randn(2, GRID.modulation_size)
    first = net(coords, z)
    net.second_order = True
    torch.testing.assert_close(net(coords, z), first, atol=1e-5, rtol=0)


def test_jacobians_are_derivatives() -> None:
    net = grid_net(GRID).double()
    generator = torch.Generator().manual_seed(2)
    coords = 2 * torch.rand(2, 11, 2, generator=generator, dtype=torch.float64) - 1
    z = torch.randn(2, GRID.modulation_size, generator=generator, dtype=torch.float64)
    basis = torch.randn(GRID.modulation_size, 3, generator=generator, dtype=torch.float64)
    linear = net.linearize(coords, z)
    jacobian = coeff_jacobian(net, linear, basis)
    torch.testing.assert_close(linear.gray, net(coords, z).detach())
    for k in range(3):
        ahead, behind = (net(coords, z + sign * 1e-6 * basis[:, k]).detach() for sign in (1, -1))
        torch.testing.assert_close(jacobian[:, k], (ahead - behind) / 2e-6, atol=1e-5, rtol=1e-4)


def model_of(shape: GridShape) -> GridModel:
    net = grid_net(shape).requires_grad_(False)
    basis = torch.linalg.qr(torch.randn(shape.modulation_size, 3, generator=torch.Generator().manual_seed(1))).Q
    std = (torch.arange(shape.modulation_size) < shape.latent_size).float()
    return GridModel(net, basis, 0 * std, std, torch.ones(3))


def test_fitting_finds_latents_that_made_the_frames() -> None:
    """Pictures that the network itself drew come back with little error."""
    model, generator = model_of(GRID), torch.Generator().manual_seed(3)
    coords = pixel_grid(SIZE)
    latent = 0.2 * torch.randn(GRID.modulation_size, generator=generator)
    coeffs = 0.5 * torch.randn(6, 3, generator=generator)
    drawn = (model.net(coords[None], latent + coeffs @ model.basis.T).clamp(0, 1) * 255).round().byte()
    start = model.mean, torch.zeros(6, 3)
    found = fit_clip(model, drawn, coords, start, 0, lambda done, label: None)
    pixels = Pixels(coords[None], drawn.float() / 255)
    before = squared_errors(model.net, pixels, model.mean.expand(6, -1)).mean()
    after = squared_errors(model.net, pixels, found[0] + found[1] @ model.basis.T).mean()
    assert after < 0.1 * before


def test_a_step_never_makes_it_worse(frames: NDArray[np.uint8]) -> None:
    model = model_of(GRID)
    flat = torch.from_numpy(frames.reshape(FRAMES, -1).copy())
    pixels = Pixels(pixel_grid(SIZE)[None], flat.float() / 255)
    latent, coeffs = model.mean, torch.zeros(FRAMES, 3)
    errors = [squared_errors(model.net, pixels, latent + coeffs @ model.basis.T).sum()]
    for _ in range(3):
        latent = solve_latent(model, pixels, latent, coeffs, 1)
        coeffs = solve_coeffs(model, pixels, latent, coeffs, 1)
        errors.append(squared_errors(model.net, pixels, latent + coeffs @ model.basis.T).sum())
    assert all(late <= 1.02 * early for early, late in pairwise(errors))  # priors count a little
    assert errors[-1] < 0.8 * errors[0]


def test_channels_without_a_prior_stay_at_the_mean(frames: NDArray[np.uint8]) -> None:
    model = model_of(VIDEO)
    pixels = Pixels(pixel_grid(SIZE)[None], torch.from_numpy(frames.reshape(FRAMES, -1).copy()).float() / 255)
    latent = solve_latent(model, pixels, model.mean, torch.zeros(FRAMES, 3), 2)
    assert latent[:VIDEO.latent_size].abs().max() > 0
    assert not latent[VIDEO.latent_size:].any()


def test_coefficients_are_truncated_to_the_best_of_a_lower_rank(decoder: GridSirenDecoder, fitted: FittedSegment,
                                                                frames: NDArray[np.uint8]) -> None:
    def error(coeffs: NDArray[np.float64]) -> float:
        segment = RestoredSegment(fitted.latent, None, coeffs, SIZE)
        return float(np.square(decoder.render(segment, coeffs) - frames / 255).mean())

    truncated = truncate_coeffs(fitted.extra["normal"], fitted.coeffs, 2)
    assert truncated.shape == (FRAMES, 2)
    assert error(truncated) <= 1.01 * error(fitted.coeffs[:, :2])
    np.testing.assert_array_equal(truncate_coeffs(fitted.extra["normal"], fitted.coeffs, 4), fitted.coeffs)


@pytest.mark.parametrize("rank", [0, 1, 4])
def test_round_trip_through_components(decoder: GridSirenDecoder, fitted: FittedSegment, rank: int) -> None:
    components = decoder.code(fitted, rank, 0)
    assert (Component.LATENT in components) == (decoder.shape.latent_channels > 0)
    restored = decoder.restore(components, FRAMES, SIZE, rank, 0)
    assert restored.coeffs.shape == (FRAMES, rank)
    np.testing.assert_allclose(restored.latent, fitted.latent, atol=0.2)
    assert decoder.render(restored, restored.coeffs).shape == (FRAMES, *SIZE)


def test_coarse_steps_save_bytes_and_cost_quality(decoder: GridSirenDecoder, fitted: FittedSegment,
                                                  frames: NDArray[np.uint8]) -> None:
    errors, sizes = [], []
    for q in (0, 255):
        components = decoder.code(fitted, 4, q)
        restored = decoder.restore(components, FRAMES, SIZE, 4, q)
        errors.append(np.square(decoder.render(restored, restored.coeffs) - frames / 255).mean())
        sizes.append(sum(map(len, components.values())))
    plain = decoder.render(RestoredSegment(fitted.latent, None, fitted.coeffs, SIZE), fitted.coeffs)
    assert errors[0] < 1.05 * np.square(plain - frames / 255).mean()
    assert errors[0] < errors[1]
    assert sizes[0] > 1.5 * sizes[1]


def test_the_latent_is_laid_out_as_in_the_text() -> None:
    """Cosine waves by frequency, and steps by gain."""
    decoder, arrays = GridSirenDecoder.from_pack(grid_pack(), "cpu"), grid_pack().arrays
    order, g = frequency_order(GRID.grid), GRID.grid
    assert order[:6].tolist() == [0, 1, g, g + 1, 2, 2 * g]
    levels = np.zeros((GRID.channels, g * g), np.int32)
    levels[2, 2] = 3  # frequency (1, 0)
    from lrmcodec.formats.entropy import encode_ints

    restored = decoder.restore({Component.LATENT: encode_ints(levels)}, 1, SIZE, 0, 90)
    step = 2 * 0.0096 * 2**2 / (np.sqrt(SIZE[0] * SIZE[1]) * float(arrays["latent_gain"][2]))
    wave = np.sqrt(2 / g) * np.sqrt(1 / g) * np.cos(np.pi * (2 * np.arange(g) + 1) / (2 * g))
    found = restored.latent.reshape(GRID.channels, g, g) - arrays["mean"].astype(float).reshape(GRID.channels, g, g)
    np.testing.assert_allclose(found[2], np.repeat(3 * step * wave[:, None], g, 1), atol=1e-5)
    np.testing.assert_allclose(found[[0, 1, 3]], 0, atol=1e-6)


def test_any_size_shows_the_same_picture() -> None:
    decoder = GridSirenDecoder.from_pack(grid_pack(), "cpu")
    segment = RestoredSegment(np.full(GRID.modulation_size, 0.1, np.float32), None, np.zeros((1, 0)), (16, 20))
    small = decoder.render(segment, segment.coeffs)[0]
    threefold = decoder.render(segment, segment.coeffs, (48, 60))[0]
    np.testing.assert_allclose(threefold[1::3, 1::3], small, atol=1e-5)
    assert decoder.render(segment, np.zeros((0, 0))).shape == (0, 16, 20)


def test_rank_limits() -> None:
    low_rank, framewise = (GridSirenDecoder.from_pack(grid_pack(shape), "cpu") for shape in (GRID, FRAMEWISE))
    assert [low_rank.rank_limit(count, SIZE) for count in (1, 4, 100)] == [0, 3, GRID.max_rank]
    assert [framewise.rank_limit(count, SIZE) for count in (1, 4, 100)] == [1, 4, FRAMEWISE.max_rank]


def test_damaged_components_are_format_errors(decoder: GridSirenDecoder, fitted: FittedSegment) -> None:
    components = dict(decoder.code(fitted, 4, 60))
    has_latent = Component.LATENT in components
    wrong = {} if has_latent else {Component.LATENT: b"", **components}
    with pytest.raises(FormatError, match="no latent" if has_latent else "has a latent"):
        decoder.restore(wrong, FRAMES, SIZE, 4, 60)
    with pytest.raises(FormatError, match="at most"):
        decoder.restore(components, FRAMES, SIZE, 10, 60)
    check_damaged(decoder, components, FRAMES, SIZE, 4)


def test_packs_that_do_not_fit_are_refused() -> None:
    pack = grid_pack()
    pack.arrays["basis"] = pack.arrays["basis"][:-1]
    with pytest.raises(PackError, match="'basis'"):
        GridSirenDecoder.from_pack(pack, "cpu")
    pack = grid_pack()
    del pack.card["architecture"]["grid"]
    with pytest.raises(PackError, match="'grid'"):
        GridSirenDecoder.from_pack(pack, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_renders_the_same() -> None:
    segment = RestoredSegment(np.full(GRID.modulation_size, 0.2, np.float32), None, np.ones((2, 2)), SIZE)
    on_cpu, on_gpu = (GridSirenDecoder.from_pack(grid_pack(), device).render(segment, segment.coeffs)
                      for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1 / 255)
