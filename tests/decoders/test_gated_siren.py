"""Architecture 6: its formula, its derivatives, its fit, and its way through a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_packs import GATED, TinyPack, check_damaged, gated_pack

from lrmcodec.decoders import gated_fit
from lrmcodec.decoders.base import FittedSegment, RestoredSegment
from lrmcodec.decoders.gated_fit import GatedModel, principal, solve_coeffs, solve_pictures
from lrmcodec.decoders.gated_network import GatedShape, GatedSiren, gate_patterns, gates_of
from lrmcodec.decoders.gated_siren import GatedSirenDecoder
from lrmcodec.decoders.grid_network import pixel_grid
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import FormatError, PackError
from lrmcodec.metrics import mean_picture, psnr_db
from lrmcodec.simulate.heart.phantom import beating_heart

SIZE = (24, 28)
FRAMES = 9


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    torch.set_num_threads(1)
    return beating_heart(frame_count=FRAMES, size=SIZE, fps=20.0).frames


@pytest.fixture(scope="module")
def decoder() -> GatedSirenDecoder:
    return GatedSirenDecoder.from_pack(gated_pack(), "cpu")


@pytest.fixture(scope="module")
def fitted(decoder: GatedSirenDecoder, frames: NDArray[np.uint8]) -> FittedSegment:
    return decoder.fit(frames, 6, 0, lambda done, label: None)


def test_pictures_are_fitted_to_more_than_key_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise of its own in every frame: what fits the key frames alone is worse on the others."""
    rng = np.random.default_rng(0)
    frames = rng.integers(60, 190, (12, 16, 16)).astype(np.uint8)
    decoder = GatedSirenDecoder.from_pack(gated_pack(), "cpu")
    monkeypatch.setattr(gated_fit, "KEY_FRAMES", 4)

    def error(last: int) -> float:
        monkeypatch.setattr(gated_fit, "LAST_FRAMES", last)
        found = decoder.fit(frames, 2, 0, lambda done, label: None)
        shown = decoder.render(RestoredSegment(found.latent, None, found.coeffs, (16, 16)), found.coeffs)
        return float(np.square(shown - frames / 255).mean())

    assert error(128) < 0.95 * error(4)


def numpy_look_up(plane: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    """Bilinear value of one plane, as SPEC.md says."""
    g = len(plane)
    at = (np.clip(point, -1 + 1 / g, 1 - 1 / g) + 1) * g / 2 - 0.5
    low = np.clip(np.floor(at).astype(int), 0, g - 2)
    y, x = at - low
    return float(np.array([1 - y, y]) @ plane[low[0]:low[0] + 2, low[1]:low[1] + 2] @ np.array([1 - x, x]))


def numpy_pixel(arrays: dict[str, Any], shape: GatedShape, point: NDArray[np.float64], v: NDArray[np.float64],
                phi: NDArray[np.float64]) -> float:
    """The formula of SPEC.md, one pixel."""
    a = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    planes = (a["basis"][:, :len(phi)] @ phi).reshape(shape.gates, shape.gate_grid, shape.gate_grid)
    local = np.concatenate([v, [numpy_look_up(plane, point) for plane in planes]])
    h = np.sin(shape.w0_first * (a["first_weight"] @ point + a["first_bias"]))
    layers = shape.depth - 2
    for i in range(layers):
        w = shape.w0_first + (shape.w0_last - shape.w0_first) * (i + 1) / layers
        h = np.sin(w * (a["hidden_weight"][i] @ h + a["hidden_bias"][i] + a["modulation"][i] @ local))
    return float(np.clip(v[0] + a["last_weight"] @ h + a["last_bias"], 0, 1))


def test_rendering_is_the_formula(decoder: GatedSirenDecoder) -> None:
    shape, rng = decoder.shape, np.random.default_rng(0)
    latent = rng.uniform(0.2, 0.6, (shape.gates + 1, 16, 17)).astype(np.float32)
    coeffs = 3 * rng.standard_normal((2, 5))
    out = decoder.render(RestoredSegment(latent, None, coeffs, (16, 17)), coeffs)
    assert np.abs(out - latent[0]).max() > 0.05
    for frame, row, column in ((0, 0, 0), (1, 15, 16), (1, 7, 3), (0, 9, 12)):
        point = np.array([(row + 0.5) * 2 / 16 - 1, (column + 0.5) * 2 / 17 - 1])
        expected = numpy_pixel(gated_pack().arrays, shape, point, latent[:, row, column].astype(np.float64),
                               coeffs[frame])
        assert out[frame, row, column] == pytest.approx(expected, abs=1e-4)


def test_first_weights_multiply_pictures_and_gates() -> None:
    shape = replace(GATED, depth=3)
    net = GatedSiren(shape)
    net.reset(torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    pictures = 0.05 * torch.randn(50, shape.gates + 1, generator=generator)
    gates = torch.randn(3, 50, shape.gates, generator=generator)
    product = pictures[:, 0] + (pictures[:, 1:] * gates).sum(2)
    found = net(pixel_grid((5, 10)), pictures, gates).detach()
    assert float((found - product).abs().max()) < 0.1 * float((product - pictures[:, 0]).abs().max())


def test_slopes_are_derivatives() -> None:
    net = GatedSiren(GATED)
    net.reset(torch.Generator().manual_seed(0))
    net = net.double()
    generator = torch.Generator().manual_seed(2)
    coords = 2 * torch.rand(11, 2, generator=generator, dtype=torch.float64) - 1
    pictures = torch.rand(11, GATED.gates + 1, generator=generator, dtype=torch.float64)
    gates = torch.randn(2, 11, GATED.gates, generator=generator, dtype=torch.float64)
    slopes = net.slopes(coords, pictures, gates)
    for k in range(GATED.gates):
        bump = torch.zeros_like(gates)
        bump[..., k] = 1e-6
        change = (net(coords, pictures, gates + bump) - net(coords, pictures, gates - bump)).detach() / 2e-6
        torch.testing.assert_close(slopes.gates[..., k], change, atol=1e-6, rtol=1e-4)
        more = torch.zeros_like(pictures)
        more[:, k] = 1e-6
        change = (net(coords, pictures + more, gates) - net(coords, pictures - more, gates)).detach() / 2e-6
        torch.testing.assert_close(slopes.pictures[..., k], change, atol=1e-6, rtol=1e-4)


def test_no_step_of_the_fit_makes_it_worse(frames: NDArray[np.uint8]) -> None:
    decoder = GatedSirenDecoder.from_pack(gated_pack(), "cpu")
    model: GatedModel = decoder._model.to_rank(6)
    target = torch.from_numpy(frames.reshape(FRAMES, -1).copy()).float() / 255
    coords = pixel_grid(SIZE)
    pictures, coeffs = principal(model, target)
    patterns = gate_patterns(decoder.shape, model.basis, coords)
    errors = []
    for _ in range(3):
        errors.append(float((model.net(coords, pictures, gates_of(patterns, coeffs)) - target).square().mean()))
        pictures = solve_pictures(model, target, coords, pictures, coeffs)
        coeffs = solve_coeffs(model, target, coords, pictures, coeffs, 1, 0)
    assert errors[2] <= errors[1] <= errors[0]


def test_quality_rises_with_rank_above_the_mean_picture(decoder: GatedSirenDecoder, frames: NDArray[np.uint8]) -> None:
    found = [psnr_db(frames, mean_picture(frames))]
    for rank in (1, 2, 6):
        fitted = decoder.fit(frames, rank, 0, lambda done, label: None)
        segment = RestoredSegment(fitted.latent, None, fitted.coeffs, SIZE)
        shown = np.floor(255 * decoder.render(segment, fitted.coeffs) + 0.5).astype(np.uint8)
        found.append(psnr_db(frames, shown))
    assert found == sorted(found)
    assert found[-1] > found[0] + 3


def test_a_file_holds_the_pictures_of_its_rank(decoder: GatedSirenDecoder, fitted: FittedSegment) -> None:
    for rank in (0, 1, 6):
        components = decoder.code(fitted, rank, 60)
        restored = decoder.restore(components, FRAMES, SIZE, rank, 60)
        assert restored.coeffs.shape == (FRAMES, rank)
        np.testing.assert_array_equal(restored.coeffs, decoder.restore_coeffs(components, FRAMES, SIZE, rank, 60))
        assert restored.latent.shape == (GATED.gates + 1, *SIZE)
        assert not restored.latent[1 + min(rank, GATED.gates):].any()
        assert decoder.render(restored, restored.coeffs, (30, 20)).shape == (FRAMES, 30, 20)
    assert set(decoder.code(fitted, 0, 60)) == {Component.PICTURES}
    check_damaged(decoder, decoder.code(fitted, 6, 60), FRAMES, SIZE, 6)
    with pytest.raises(FormatError, match="no pictures"):
        decoder.restore({}, FRAMES, SIZE, 1, 60)
    with pytest.raises(FormatError, match="rank"):
        decoder.restore(decoder.code(fitted, 6, 60), FRAMES, SIZE, GATED.max_rank + 1, 60)


def test_rank_limits(decoder: GatedSirenDecoder) -> None:
    assert decoder.rank_limit(100, SIZE) == decoder.rank_limit(3, SIZE) == GATED.max_rank
    assert decoder.rank_limit(1, SIZE) == 0
    assert 0 <= decoder.rank_limit(100, (2048, 2048)) <= GATED.max_rank


def test_packs_that_lack_something_are_refused() -> None:
    pack = gated_pack()
    arrays = {name: value for name, value in pack.arrays.items() if name != "basis"}
    with pytest.raises(PackError, match="basis"):
        GatedSirenDecoder.from_pack(TinyPack(pack.card, arrays), "cpu")
    card = {**pack.card, "architecture": {"id": 6}}
    with pytest.raises(PackError, match="width"):
        GatedSirenDecoder.from_pack(TinyPack(card, pack.arrays), "cpu")
