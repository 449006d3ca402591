"""The network that finds the ventricle: what it sees in hearts and elsewhere, any frame size, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lrmcodec.cardiac import cavity
from lrmcodec.formats.video import read_clip
from lrmcodec.samples import lung_clip_path
from lrmcodec.simulate.heart.heartbeat import draw_heartbeat
from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import cavity_net


def test_the_cavity_is_seen_where_the_heart_is() -> None:
    heart = random_phantom(5, 60)
    found = cavity.find_cavity(heart.clip.frames, heart.clip.times_s)
    assert found is not None
    assert np.corrcoef(found.area, heart.cavity_volume)[0, 1] > 0.7
    shares = cavity.cavity_shares(heart.clip.frames)
    assert shares.shape == (60, cavity.FINE.side, cavity.FINE.side)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_no_cavity_is_seen_elsewhere() -> None:
    lung = read_clip(lung_clip_path()).frames[:40]
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64), np.uint8)
    for frames in (lung, noise, np.zeros((10, 32, 32), np.uint8), np.full((10, 32, 32), 255, np.uint8)):
        for network in (cavity.FINE, cavity.COARSE):
            assert cavity.cavity_shares(frames, network).mean(0).max() < 0.3


@pytest.mark.parametrize("size", [(16, 16), (40, 40), (112, 112), (30, 200), (2048, 16), (37, 53)])
def test_cells_keep_the_mean_gray_level(size: tuple[int, int]) -> None:
    frames = np.full((3, *size), 51, np.uint8)
    cells = cavity.to_cells(frames)
    assert cells.shape == (3, cavity.FINE.side, cavity.FINE.side)
    inside = cells[0][cells[0] > 0]
    np.testing.assert_allclose(inside, 0.2, rtol=1e-5)
    assert len(inside) == pytest.approx(40 * max(40 * min(size) / max(size), 1), abs=40)


def test_cells_are_means_of_the_pixels() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 120, 120), np.uint8)
    np.testing.assert_allclose(cavity.to_cells(frames), frames.reshape(2, 40, 3, 40, 3).mean((2, 4)) / 255, rtol=1e-5)


def hearts(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark discs that grow and shrink in gray noise, in the form of training clips."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:80, :80]
    frames, shares = np.zeros((count, 5, 80, 80), np.uint8), np.zeros((count, 5, 3, 80, 80), np.uint8)
    for index in range(count):
        row, column = random.uniform(26, 54, 2)
        for frame, radius in enumerate(random.uniform(9, 17, 5)):
            disc = np.hypot(y - row, x - column) < radius
            frames[index, frame] = np.where(disc, 10, random.integers(90, 200, disc.shape))
            shares[index, frame, 0] = 255 * disc
    return torch.from_numpy(frames), torch.from_numpy(shares)


@pytest.fixture(scope="module")
def trained() -> cavity_net.CavityNet:
    lungs = torch.randint(60, 200, (6, 5, 80, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WARM_UP", 4), ("HEARTS", 3), ("LUNGS", 1)):
            patch.setattr(cavity_net, name, value)
        return cavity_net.train(hearts(), lungs, steps=10)


def test_training_learns(trained: cavity_net.CavityNet) -> None:
    frames, shares = hearts(8)
    with torch.no_grad():
        logits = trained(cavity_net.channels(frames.float() / 255))
        small = torch.nn.functional.avg_pool2d(shares.flatten(0, 1).float() / 255, 2)
        untrained = cavity_net.CavityNet().eval()(cavity_net.channels(frames.float() / 255))
        learned, before = (float(cavity_net.loss_of(found, small, 8)) for found in (logits, untrained))
    assert learned < 0.98 * before


def test_numpy_gives_what_torch_gives(trained: cavity_net.CavityNet, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    cavity_net.export(trained, path)
    frames = hearts(2)[0][:1]
    with torch.no_grad():
        expected = torch.sigmoid(trained(cavity_net.channels(frames.float() / 255))[:, 0]).numpy()
    found = cavity.cavity_shares(frames[0].numpy(), cavity.Network(path, cavity.FINE.side))
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


def test_muscle_is_darkened_around_the_cavity_and_nowhere_else() -> None:
    frames, shares = (part.float() / 255 for part in hearts(40))
    darker = cavity_net._wall(frames, shares, torch.Generator().manual_seed(0))
    gain = darker / frames.clamp(min=1 / 255)
    inside = shares[:, :, 0] > 0
    around = torch.nn.functional.max_pool2d(shares[:, :, 0], 7, 1, 3) > 0
    near, far = around & ~inside, torch.nn.functional.max_pool2d(shares[:, :, 0], 25, 1, 12) == 0
    assert bool((gain[far] > 0.999).all())
    assert float(gain[inside & (frames > 0)].mean()) > 0.98  # but for the blur of the border
    means = torch.stack([part[where].mean() for part, where in zip(gain, near, strict=True)])
    assert 0.3 < float((means < 0.95).float().mean()) < 0.7
    assert float(means.max()) <= 1


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


@pytest.mark.parametrize(("network", "size"), [(cavity.FINE, 66_781), (cavity.COARSE, 56_973)])
def test_what_ships_is_what_is_read(network: cavity.Network, size: int) -> None:
    assert sum(tensor.size for tensor in cavity._weights(network.path).values()) == size
    assert network.path.stat().st_size < 150_000


def test_the_network_whose_area_runs_like_a_ventricle_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One network sees the ventricle, the other a chamber that fills while the ventricle empties."""
    beat = draw_heartbeat(np.random.default_rng(4), 4.0, 70, "sinus")
    times_s = np.arange(150) / 50
    full = 1 - 0.4 * beat.contraction(times_s)

    def shares(frames: NDArray[np.uint8], network: cavity.Network) -> NDArray[np.float32]:
        wanted = full if network is right else 1.6 - full
        block = np.zeros((150, network.side, network.side), np.float32)
        block[:, 5:15, 5:15] = wanted[:, None, None]
        return block

    monkeypatch.setattr(cavity, "cavity_shares", shares)
    for one in (cavity.FINE, cavity.COARSE):
        right = one
        found = cavity.find_cavity(np.zeros((150, 8, 8), np.uint8), times_s)
        assert found is not None
        assert np.corrcoef(found.signal, full)[0, 1] > 0.9
