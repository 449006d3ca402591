"""Fitting: error never rises, beats plain gradient descent, is reproducible, survives odd clips."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lrmcodec.decoders.siren import Siren, SirenShape, pixel_grid
from lrmcodec.decoders.siren_fit import (
    Fit,
    Model,
    Samples,
    coeff_equations,
    fit_clip,
    normal_equations,
    refit_coeffs,
    solve_coeffs,
    solve_jointly,
)
from lrmcodec.simulate.heart.phantom import beating_heart

SHAPE = SirenShape(width=24, depth=4, latent_size=20, max_rank=4, w0_first=8.0, w0_last=12.0)
SIZE = (24, 28)


def silent(done: float, label: str) -> None:
    """Take no notice of progress."""


@pytest.fixture(scope="module")
def model() -> Model:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    net = Siren(SHAPE).requires_grad_(False)
    net.reset(generator)
    net.modulation.mul_(5.0)
    net.last_weight.mul_(8.0)
    basis = torch.linalg.qr(torch.randn(SHAPE.latent_size, SHAPE.max_rank, generator=generator)).Q
    ones = torch.ones(SHAPE.latent_size)
    return Model(net, basis, 0 * ones, ones, torch.ones(SHAPE.max_rank))


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.from_numpy(beating_heart(frame_count=12, size=SIZE, fps=20.0).frames.reshape(12, -1).copy())


@pytest.fixture(scope="module")
def samples(frames: torch.Tensor) -> Samples:
    return Samples(pixel_grid(SIZE)[None], frames.float() / 255.0)


def total_error(model: Model, samples: Samples, latent: torch.Tensor, coeffs: torch.Tensor) -> float:
    gray = model.net.linearize(samples.coords, latent + coeffs @ model.basis.T, model.basis)[0]
    return float((gray - samples.target).square().sum())


def test_normal_equations_do_not_depend_on_blocks(model: Model, samples: Samples,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    modulations = torch.zeros(12, SHAPE.latent_size)
    whole = normal_equations(model.net, samples, modulations, model.basis)
    monkeypatch.setattr("lrmcodec.decoders.siren_fit.BLOCK_PIXELS", 100)
    parts = normal_equations(model.net, samples, modulations, model.basis)
    for name in ("error", "matrix", "right"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name), rtol=1e-4, atol=1e-4)


def test_coefficient_error_never_rises(model: Model, samples: Samples) -> None:
    latent, coeffs = torch.zeros(SHAPE.latent_size), torch.zeros(12, SHAPE.max_rank)
    errors = []
    for steps in range(6):
        found, normal = solve_coeffs(model, samples, latent, coeffs, steps)
        errors.append(float(normal.error.sum()))
        assert errors[-1] == pytest.approx(total_error(model, samples, latent, found), rel=1e-3)
    assert all(after <= before * (1 + 1e-4) for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.95 * errors[0]


def test_joint_error_falls_and_beats_the_mean_alone(model: Model, samples: Samples) -> None:
    start = torch.zeros(SHAPE.latent_size)
    alone, _ = solve_jointly(model.to_rank(0), samples, start, torch.zeros(12, 0), 8)
    latent, coeffs = solve_jointly(model, samples, alone, torch.zeros(12, SHAPE.max_rank), 8)
    first = total_error(model, samples, start, torch.zeros(12, SHAPE.max_rank))
    middle = total_error(model, samples, alone, torch.zeros(12, SHAPE.max_rank))
    last = total_error(model, samples, latent, coeffs)
    assert last < middle < first


def test_beats_gradient_descent(model: Model, samples: Samples) -> None:
    """Twenty steps of the paper's encoder (SGD, rate 0.01 and the best of others) against ours."""
    start, none = torch.zeros(SHAPE.latent_size), torch.zeros(12, SHAPE.max_rank)
    latent, coeffs = solve_jointly(model, samples, start, none, 20)
    ours = total_error(model, samples, latent, coeffs)
    for rate in (0.01, 0.1, 1.0, 10.0):
        latent, coeffs = start, none
        for _ in range(20):
            modulations = latent + coeffs @ model.basis.T
            normal = normal_equations(model.net, samples, modulations, torch.eye(SHAPE.latent_size))
            scale = rate / samples.target.shape[1]
            latent = latent + scale * normal.right.mean(0)
            coeffs = coeffs + scale * normal.right @ model.basis
        assert ours < total_error(model, samples, latent, coeffs)


def test_fit_is_reproducible_and_reports_progress(model: Model, frames: torch.Tensor) -> None:
    seen: list[float] = []
    fits = [fit_clip(model, frames, pixel_grid(SIZE), seed, lambda done, label: seen.append(done))
            for seed in (1, 1)]
    torch.testing.assert_close(fits[0].latent, fits[1].latent, rtol=0, atol=0)
    torch.testing.assert_close(fits[0].coeffs, fits[1].coeffs, rtol=0, atol=0)
    assert seen[-1] == 1.0
    half = seen[:len(seen) // 2]
    assert half == sorted(half)
    torch.testing.assert_close(fits[0].coeffs.mean(0), torch.zeros(SHAPE.max_rank), rtol=0, atol=1e-5)


def test_progress_may_interrupt(model: Model, frames: torch.Tensor) -> None:
    def interrupt(done: float, label: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_clip(model, frames, pixel_grid(SIZE), 0, interrupt)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("rank", [0, 2])
def test_short_and_constant_clips(model: Model, count: int, rank: int) -> None:
    black = torch.zeros(count, SIZE[0] * SIZE[1], dtype=torch.uint8)
    fit = fit_clip(model.to_rank(rank), black, pixel_grid(SIZE), 0, silent)
    assert fit.coeffs.shape == (count, rank)
    assert torch.isfinite(fit.latent).all()
    assert torch.isfinite(fit.coeffs).all()


def test_refit_at_the_fitted_latent_changes_little(model: Model, frames: torch.Tensor) -> None:
    fit = fit_clip(model, frames, pixel_grid(SIZE), 0, silent)
    again = refit_coeffs(fit, model.coeff_std, fit.latent, SHAPE.max_rank)
    assert float((again - fit.coeffs).square().mean()) < 0.02 * float(fit.coeffs.square().mean())


def test_refit_predicts_the_coefficients_of_a_nearby_latent(model: Model, samples: Samples) -> None:
    start = torch.zeros(SHAPE.latent_size)
    latent, coeffs = solve_jointly(model, samples, start, torch.zeros(12, SHAPE.max_rank), 12)
    normal, cross = coeff_equations(model, samples, latent, coeffs)
    moved = latent + 0.003 * torch.randn(len(latent), generator=torch.Generator().manual_seed(5))
    predicted = refit_coeffs(Fit(latent, coeffs, normal, cross), model.coeff_std, moved, SHAPE.max_rank)
    solved, _ = solve_coeffs(model, samples, moved, coeffs, 6)
    assert float((predicted - solved).norm()) < 0.3 * float((coeffs - solved).norm())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_fits_as_well(model: Model, frames: torch.Tensor) -> None:
    cuda = Model(Siren(SHAPE).cuda().requires_grad_(False), model.basis.cuda(), model.latent_mean.cuda(),
                 model.latent_std.cuda(), model.coeff_std.cuda())
    cuda.net.load_state_dict(model.net.state_dict())  # type: ignore[attr-defined]
    here = fit_clip(model, frames, pixel_grid(SIZE), 0, silent)
    there = fit_clip(cuda, frames.cuda(), pixel_grid(SIZE, "cuda"), 0, silent)
    np.testing.assert_allclose(float(there.normal.error.sum()), float(here.normal.error.sum()), rtol=0.02)
