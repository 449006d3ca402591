"""The network that finds the ventricle: what it sees in hearts and elsewhere, any frame size, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lrmcodec.cardiac import cavity
from lrmcodec.formats.video import read_clip
from lrmcodec.samples import lung_clip_path
from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import cavity_net


def test_the_cavity_is_seen_where_the_heart_is() -> None:
    heart = random_phantom(5, 60)
    shares = cavity.cavity_shares(heart.clip.frames)
    assert shares.shape == (60, 28, 28)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.corrcoef(shares.sum((1, 2)), heart.cavity_volume)[0, 1] > 0.7


def test_no_cavity_is_seen_elsewhere() -> None:
    lung = read_clip(lung_clip_path()).frames[:40]
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64), np.uint8)
    for frames in (lung, noise, np.zeros((10, 32, 32), np.uint8), np.full((10, 32, 32), 255, np.uint8)):
        assert cavity.cavity_shares(frames).mean(0).max() < 0.3


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (112, 112), (30, 200), (2048, 16), (37, 53)])
def test_cells_keep_the_mean_gray_level(size: tuple[int, int]) -> None:
    frames = np.full((3, *size), 51, np.uint8)
    cells = cavity.to_cells(frames)
    assert cells.shape == (3, 28, 28)
    inside = cells[0][cells[0] > 0]
    np.testing.assert_allclose(inside, 0.2, rtol=1e-5)
    assert len(inside) == pytest.approx(28 * max(28 * min(size) / max(size), 1), abs=28)


def test_cells_are_means_of_the_pixels() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 112, 112), np.uint8)
    np.testing.assert_allclose(cavity.to_cells(frames), frames.reshape(2, 28, 4, 28, 4).mean((2, 4)) / 255, rtol=1e-5)


def hearts(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark discs that grow and shrink in gray noise, in the form of training clips."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:56, :56]
    frames, shares = np.zeros((count, 5, 56, 56), np.uint8), np.zeros((count, 5, 3, 56, 56), np.uint8)
    for index in range(count):
        row, column = random.uniform(18, 38, 2)
        for frame, radius in enumerate(random.uniform(6, 12, 5)):
            disc = np.hypot(y - row, x - column) < radius
            frames[index, frame] = np.where(disc, 10, random.integers(90, 200, disc.shape))
            shares[index, frame, 0] = 255 * disc
    return torch.from_numpy(frames), torch.from_numpy(shares)


@pytest.fixture(scope="module")
def trained() -> cavity_net.CavityNet:
    lungs = torch.randint(60, 200, (6, 5, 56, 56), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return cavity_net.train(hearts(), lungs, steps=15)


def test_training_learns(trained: cavity_net.CavityNet) -> None:
    frames, shares = hearts(8)
    with torch.no_grad():
        logits = trained(cavity_net.channels(frames.float() / 255))
        small = torch.nn.functional.avg_pool2d(shares.flatten(0, 1).float() / 255, 2)
        untrained = cavity_net.CavityNet().eval()(cavity_net.channels(frames.float() / 255))
        learned, before = (float(cavity_net.loss_of(found, small, 8)) for found in (logits, untrained))
    assert learned < 0.95 * before


def test_numpy_gives_what_torch_gives(trained: cavity_net.CavityNet, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    cavity_net.export(trained, path)
    frames = hearts(2)[0][:1]
    with torch.no_grad():
        expected = torch.sigmoid(trained(cavity_net.channels(frames.float() / 255))[:, 0]).numpy()
    monkeypatch.setattr(cavity, "WEIGHTS", path)
    cavity._weights.cache_clear()
    try:
        found = cavity.cavity_shares(frames[0].numpy())
    finally:
        cavity._weights.cache_clear()
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_variation_keeps_masks_on_their_pictures() -> None:
    frames, shares = (part.float() / 255 for part in hearts(6))
    random = torch.Generator().manual_seed(1)
    varied, masks = cavity_net.vary(frames, shares, random)
    assert varied.shape == frames.shape
    assert masks.shape == shares.shape
    assert 0 <= float(varied.min()) <= float(varied.max()) <= 1
    assert not torch.equal(masks, shares)
    inside, outside = masks[:, :, 0] > 0.9, (masks[:, :, 0] < 0.1) & (varied > 0.02)
    for index in range(6):
        assert varied[index][inside[index]].mean() < varied[index][outside[index]].mean()


def test_hearts_are_made_once_with_their_masks(tmp_path: Path) -> None:
    frames, shares = cavity_net.heart_clips(1, tmp_path / "cache")
    side = cavity_net.FINE
    assert (frames.shape, shares.shape) == ((1, 5, side, side), (1, 5, 3, side, side))
    assert 0.01 < float(shares[0, :, 0].float().mean() / 255) < 0.5
    assert float(frames.float()[shares[:, :, 0] > 200].mean()) < float(frames.float().mean())
    kept = [path.name for path in (tmp_path / "cache").iterdir()]
    assert len(kept) == 1
    assert kept[0].endswith(".npy")
    again = cavity_net.heart_clips(1, tmp_path / "cache")
    assert torch.equal(again[0], frames)
    assert torch.equal(again[1], shares)


def test_what_ships_is_what_is_read() -> None:
    weights = cavity._weights()
    assert sum(tensor.size for tensor in weights.values()) == 56_973
    assert cavity.WEIGHTS.stat().st_size < 150_000
