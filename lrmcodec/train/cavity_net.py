"""Training of the finer network that finds the left ventricle while encoding (`lrmcodec.cardiac.cavity`).

python -m lrmcodec.train.cavity_net --cache DIR --lung FOLDER [--clips 2000] [--steps 5000] -o cavity.safetensors

Apical and parasternal views of simulated hearts with their exact masks, five frames of a beat each, and lung clips of
the training patients, which have no ventricle. Tone, gain, haze, dropouts, dark muscle, blur, flips and geometry are
varied, because real scanners differ more from each other than simulated ones do. (The coarser one is that of version
0.1, trained the same way on 920 hearts of the simulator of that time.) Seeds from `FIRST_SEED` on are used by nothing
else. A run that was stopped goes on from the state it keeps beside the cache.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor, nn

from lrmcodec.cardiac.cavity import CHANGE_GAIN
from lrmcodec.cardiac.cavity import FINE as NETWORK
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.train.checkpoint import load_state, save_state
from lrmcodec.train.data import lung_files, read_gray, resize_area
from lrmcodec.train.export import to_half
from lrmcodec.train.pool import cached, simulator_digest

Frames = NDArray[np.uint8]

SIDE = NETWORK.side
FIRST_SEED = 500_000
VIEWS = ("a4c",) * 6 + ("a2c",) * 2 + ("plax", "psax")
FRAMES, FPS = 5, 6.0  # of a training clip: about a beat
FINE = 2 * SIDE  # training pictures; cells are made after they were varied
CLASSES = ((1,), (3,), (4, 5))  # labels of left ventricle, left atrium, right heart; only the first is used later
WIDTHS = (12, 24, 48)
HEARTS, LUNGS = 8, 2  # clips of a batch
LUNG_PIECES, LUNG_SPAN = 6, 60
AREA_SCALE = 40.0  # cells of change in area that weigh as much as the overlap
WALL_ODDS = 0.5  # of dark muscle
RATE, DECAY, WARM_UP = 3e-3, 1e-3, 50
VALIDATION = 60  # clips kept out
REPORT_STEPS, KEEP_STEPS = 100, 500


class CavityNet(nn.Module):
    """The U-Net of `lrmcodec.cardiac.cavity`, with batch normalization that export folds into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.down1, self.down2, self.down3 = _block(4, first), _block(first, second), _block(second, third)
        self.up2, self.up1 = _block(third + second, second), _block(second + first, first)
        self.out = nn.Conv2d(first, len(CLASSES), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 3, 40, 40) of channels (n, 4, 40, 40)."""
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        third = self.down3(F.max_pool2d(second, 2))
        x = self.up2(torch.cat([F.interpolate(third, scale_factor=2), second], 1))
        x = self.up1(torch.cat([F.interpolate(x, scale_factor=2), first], 1))
        out: Tensor = self.out(x)
        return out


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def heart_clips(count: int, cache: Path) -> tuple[Tensor, Tensor]:
    """Frames (n, 5, 80, 80) and shares of the classes (n, 5, 3, 80, 80), uint8; made once and kept in `cache`."""
    key = {"what": "hearts and masks", "clips": count, "first seed": FIRST_SEED, "views": VIEWS, "frames": FRAMES,
           "fps": FPS, "side": FINE, "classes": CLASSES, "simulator": simulator_digest()}
    made = torch.from_numpy(np.asarray(cached(cache, key, lambda: [_heart(FIRST_SEED + i) for i in range(count)])))
    return made[:, :, 0], made[:, :, 1:]


def _heart(seed: int) -> Frames:
    """A frame and the shares of the classes in it, (5, 1 + 3, 80, 80)."""
    from lrmcodec.simulate import simulate

    made = simulate("echonet_like", seed, view=VIEWS[seed * 7 % len(VIEWS)], frame_count=FRAMES, fps=FPS, masks=True)
    assert made.masks is not None
    classes = np.stack([np.isin(made.masks, labels) * np.uint8(255) for labels in CLASSES], axis=1)
    layers = np.concatenate([made.clip.frames[:, None], classes], axis=1)
    return resize_area(layers.reshape(-1, *layers.shape[2:]), (FINE, FINE)).reshape(FRAMES, -1, FINE, FINE)


def lung_clips(folder: Path) -> Tensor:
    """Frames (n, 5, 80, 80) of pieces of the training patients' clips."""
    rng = np.random.default_rng(0)
    pieces = []
    for path in lung_files(folder):
        frames = resize_area(read_gray(path, 240), (FINE, FINE))
        span = min(len(frames), LUNG_SPAN)
        for start in rng.integers(0, len(frames) - span + 1, LUNG_PIECES):
            pieces.append(frames[start + np.linspace(0, span - 1, FRAMES).astype(int)])
    return torch.from_numpy(np.stack(pieces))


def channels(frames: Tensor) -> Tensor:
    """Inputs (n * t, 4, 40, 40) of frames (n, t, 80, 80) in [0, 1]; the same as `cavity.inputs`."""
    cells = F.avg_pool2d(frames, 2)
    mean = cells.mean(1, keepdim=True).expand_as(cells)
    change = CHANGE_GAIN * cells.std(1, keepdim=True, unbiased=False).expand_as(cells)
    depth = torch.linspace(-0.5, 0.5, SIDE)[:, None].expand_as(cells)
    return torch.stack([cells, mean, change, depth], 2).flatten(0, 1)


def vary(frames: Tensor, shares: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Vary geometry and appearance of frames (n, t, 80, 80) and masks (n, t, 3, 80, 80), each clip its own way."""
    frames, shares = _move(frames, shares, random)
    return _tone(_wall(frames, shares, random), random), shares


def _between(low: float, high: float, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=random)


def _move(frames: Tensor, shares: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turn, enlarge, stretch, shift, and mirror three of ten."""
    count = len(frames)
    angle, zoom = _between(-0.25, 0.25, (count,), random), _between(0.8, 1.25, (count,), random)
    stretch = _between(0.9, 1.1, (count,), random) * torch.where(torch.rand(count, generator=random) < 0.3, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = _between(-0.18, 0.18, (count, 2), random)
    matrix = torch.stack([torch.stack([cosine * stretch, -sine, shift[:, 0]], 1),
                          torch.stack([sine * stretch, cosine, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(matrix, [count, 1, FINE, FINE], align_corners=False)
    both = torch.cat([frames[:, :, None], shares], 2)
    moved = F.grid_sample(both.flatten(1, 2), grid, align_corners=False).view_as(both)
    return moved[:, :, 0], moved[:, :, 1:].clamp(0, 1)


def _wall(frames: Tensor, shares: Tensor, random: torch.Generator) -> Tensor:
    """Darken the muscle around the ventricle, by places and in half of the clips, up to a thickness of 2 to 8 pixels.

    Real muscle is often nearly as dark as blood, and what shines is its outer border. A network that saw bright muscle
    only follows that border, which moves inwards far less than the inner one.
    """
    count = len(frames)
    one = (count, 1, 1, 1)
    around = shares[:, :, 0]
    for _ in range(int(torch.randint(2, 9, (1,), generator=random))):
        around = F.max_pool2d(around, 3, 1, 1)
    muscle = F.avg_pool2d(around * (1 - shares.amax(2)), 3, 1, 1)
    places = F.interpolate(torch.randn(count, 1, 3, 3, generator=random), size=FINE, mode="bicubic",
                           align_corners=False)
    depth = (torch.rand(one, generator=random) < WALL_ODDS) * _between(0.2, 0.85, one, random)
    return frames * (1 - depth * torch.sigmoid(3 * places + 1) * muscle)


def _tone(frames: Tensor, random: torch.Generator) -> Tensor:
    """Gamma, gain, slow gain over the picture, flicker, haze, dark blobs, a bright one, noise and blur."""
    count, length = frames.shape[:2]
    one = (count, 1, 1, 1)
    inside = frames > 0.01
    frames = frames.clamp(1e-4, 1) ** _between(0.6, 1.7, one, random) * _between(0.6, 1.4, one, random)
    field = torch.randn(count, 1, 4, 4, generator=random) * 0.35 * torch.rand(one, generator=random)
    frames = frames * torch.exp(F.interpolate(field, size=FINE, mode="bicubic", align_corners=False))
    frames = frames * (1 + 0.05 * torch.randn(count, length, 1, 1, generator=random))
    frames = frames + inside * _between(0, 0.12, one, random) * torch.rand(one, generator=random)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, FINE)] * 2, indexing="ij")
    for _ in range(2):
        away = (x - _between(-1, 1, one, random)) ** 2 + (y - _between(-0.8, 1, one, random)) ** 2
        depth = (torch.rand(one, generator=random) < 0.35) * _between(0.3, 1, one, random)
        frames = frames * (1 - depth * torch.exp(-away / _between(0.1, 0.45, one, random) ** 2))
    away = (x - _between(-0.5, 0.5, one, random)) ** 2 + (y - _between(-0.9, 0.3, one, random)) ** 2
    bright = (torch.rand(one, generator=random) < 0.35) * _between(0.05, 0.35, one, random)
    frames = frames + inside * bright * torch.exp(-away / _between(0.1, 0.4, one, random) ** 2)
    frames = frames + 0.02 * torch.randn(frames.shape, generator=random) * inside
    kernel = torch.tensor([0.25, 0.5, 0.25])
    blurred = F.conv2d(frames.flatten(0, 1)[:, None], torch.outer(kernel, kernel)[None, None], padding=1)
    sharp = torch.rand(one, generator=random)
    return (sharp * frames + (1 - sharp) * blurred[:, 0].view_as(frames)).clamp(0, 1)


def loss_of(logits: Tensor, shares: Tensor, clips: int) -> Tensor:
    """Cross-entropy of all classes, overlap of the ventricle (Dice), and its area's change within each clip."""
    crossed = F.binary_cross_entropy_with_logits(logits, shares)
    found, true = torch.sigmoid(logits[:, 0]), shares[:, 0]
    overlap = (2 * (found * true).sum((1, 2)) + 1) / (found.sum((1, 2)) + true.sum((1, 2)) + 1)
    areas = (found - true).sum((1, 2)).view(clips, -1)
    return 3 * crossed + 0.5 * (1 - overlap).mean() + (areas - areas.mean(1, keepdim=True)).abs().mean() / AREA_SCALE


def train(hearts: tuple[Tensor, Tensor], lungs: Tensor, steps: int, seed: int = 0,
          kept: Path | None = None) -> CavityNet:
    """Train with AdamW; prints how well the areas of clips kept out are followed. `kept` is the state's file."""
    torch.manual_seed(seed)
    network = CavityNet()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    first = 0 if kept is None or not kept.exists() else _resume(network, optimizer, kept)
    random = torch.Generator().manual_seed(seed + first)
    for step, (frames, shares) in enumerate(_batches(hearts, lungs, steps - first, random), first):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / WARM_UP) * (1 - step / steps) ** 0.9 + 1e-5
        small = F.avg_pool2d(shares.flatten(0, 1), 2)
        loss = loss_of(network(channels(frames)), small, len(frames))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % REPORT_STEPS == REPORT_STEPS - 1:
            print(f"step {step + 1}, loss {float(loss.detach()):.3f}, {_validate(network, hearts)}", file=sys.stderr)
        if kept is not None and step % KEEP_STEPS == KEEP_STEPS - 1:
            save_state({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, kept)
    return network.eval()


def _resume(network: CavityNet, optimizer: torch.optim.Optimizer, kept: Path) -> int:
    """Take up the state kept on disk; the step it was kept after."""
    state = load_state(kept)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _batches(hearts: tuple[Tensor, Tensor], lungs: Tensor, steps: int,
             random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(steps):
        picked = torch.randint(VALIDATION, len(hearts[0]), (HEARTS,), generator=random)
        empty = torch.randint(len(lungs), (LUNGS,), generator=random)
        frames = torch.cat([hearts[0][picked], lungs[empty]]).float() / 255
        shares = hearts[1][picked].float() / 255
        shares = torch.cat([shares, torch.zeros(LUNGS, *shares.shape[1:])])
        yield vary(frames, shares, random)


@torch.no_grad()
def _validate(network: CavityNet, hearts: tuple[Tensor, Tensor]) -> str:
    """Mean and least correlation of found and true areas within the clips kept out."""
    network.eval()
    found = torch.sigmoid(network(channels(hearts[0][:VALIDATION].float() / 255))[:, 0]).sum((1, 2))
    true = hearts[1][:VALIDATION, :, 0].float().sum((2, 3))
    network.train()
    pairs = torch.stack([found.view(VALIDATION, -1), true], 1)
    matches = torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs])
    return f"correlation of areas {float(matches.mean()):.3f}, least {float(matches.min()):.2f}"


def export(network: CavityNet, path: Path) -> None:
    """Write the weights that `lrmcodec.cardiac.cavity` reads: float16, normalization folded in, taps as matrix rows."""
    tensors: dict[str, NDArray[np.float16]] = {}
    for name in ("down1", "down2", "down3", "up2", "up1"):
        block = getattr(network, name)
        for letter, convolution, norm in (("a", block[0], block[1]), ("b", block[3], block[4])):
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = (convolution.weight * gain[:, None, None, None]).permute(2, 3, 1, 0)
            tensors[f"{name}{letter}.weight"] = to_half(weight.reshape(-1, weight.shape[-1]))
            tensors[f"{name}{letter}.bias"] = to_half(norm.bias - norm.running_mean * gain)
    tensors["out.weight"] = to_half(network.out.weight[:1, :, 0, 0].T)
    assert network.out.bias is not None
    tensors["out.bias"] = to_half(network.out.bias[:1])
    write_atomic(path, save(tensors), force=True)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the simulated clips")
    parser.add_argument("--lung", type=Path, required=True, help="folder of lung clips with ATTRIBUTION.csv")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=5000)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    network = train(heart_clips(options.clips, options.cache), lung_clips(options.lung), options.steps,
                    kept=options.cache / f"cavity_{options.clips}_{options.steps}.pt")
    export(network, options.output)


if __name__ == "__main__":
    main()
