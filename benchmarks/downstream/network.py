"""The paper's network for its downstream tasks: a 3D ResNet-18 (Hara et al. 2018), from MONAI.

K. Hara, H. Kataoka, Y. Satoh, Can spatiotemporal 3D CNNs retrace the history of 2D CNNs and ImageNet?, CVPR 2018.
Trained from random weights: mean squared error for ejection fraction, binary cross-entropy for B-lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrmcodec.benchmarks.downstream.cases import B_LINES
from lrmcodec.benchmarks.downstream.folds import need

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

BATCH = 8
RATE, DECAY = 1e-3, 1e-2


@dataclass(frozen=True)
class Training:
    """How a network is trained: passes over the cases, channels of its first stage, seed, 'cpu' or 'cuda'."""

    epochs: int
    width: int = 64
    seed: int = 0
    device: str = "cpu"


class ClipNetwork:
    """A trained network; `predict` tells the labels of clips."""

    def __init__(self, network: nn.Module, task: str, center: float, spread: float, device: str) -> None:
        self._network, self._task, self._device = network, task, device
        self._center, self._spread = center, spread

    @torch.inference_mode()
    def predict(self, clips: Frames) -> Array:
        """Ejection fractions in percent, or probabilities of B-lines (n,), of clips (n, T, H, W)."""
        self._network.eval()
        found = torch.cat([self._network(_input(clips[first:first + BATCH], self._device))[:, 0]
                           for first in range(0, len(clips), BATCH)])
        told = found.sigmoid() if self._task == B_LINES else self._center + self._spread * found
        return np.asarray(told.double().cpu().numpy())


def train(task: str, clips: Frames, labels: Array, how: Training,
          progress: Callable[[float], None] = lambda fraction: None) -> ClipNetwork:
    """Train on clips (n, T, H, W) uint8 and their labels (n,).

    AdamW, one cycle of the rate; clips are mirrored at random. B-lines weigh as much as the clips without. The same
    arguments give the same network on the same CPU.
    """
    torch.manual_seed(how.seed)
    network = _resnet(how.width).to(how.device)
    center, spread = (0.0, 1.0) if task == B_LINES else (float(labels.mean()), float(labels.std()) or 1.0)
    wanted = torch.as_tensor((labels - center) / spread, dtype=torch.float32, device=how.device)
    loss = _loss(task, wanted)
    batches = max(1, len(clips) // BATCH)
    steps = how.epochs * batches
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(steps, 2))
    generator = torch.Generator().manual_seed(how.seed)
    network.train()
    for step in range(steps):
        if step % batches == 0:
            order = torch.randperm(len(clips), generator=generator).tensor_split(batches)
        chosen = order[step % batches]
        shown = _input(clips[chosen.numpy()], how.device)
        if torch.rand((), generator=generator) < 0.5:
            shown = shown.flip(-1)
        optimizer.zero_grad()
        loss(network(shown)[:, 0], wanted[chosen.to(how.device)]).backward()
        optimizer.step()
        schedule.step()
        progress((step + 1) / steps)
    return ClipNetwork(network, task, center, spread, how.device)


def _resnet(width: int) -> nn.Module:
    """ResNet-18 with 3x3x3 kernels behind a 7x7x7 stem that halves height and width; one channel in, one value out.

    Its four stages have `width` channels, and twice, 4 and 8 times as many.
    """
    nets = need("monai.networks.nets")
    network: nn.Module = nets.ResNet("basic", [2] * 4, [width * factor for factor in (1, 2, 4, 8)], spatial_dims=3,
                                     n_input_channels=1, num_classes=1, conv1_t_size=7, conv1_t_stride=(1, 2, 2))
    return network


def _loss(task: str, wanted: Tensor) -> nn.Module:
    if task != B_LINES:
        return nn.MSELoss()
    with_lines = float(wanted.sum())
    return nn.BCEWithLogitsLoss(pos_weight=torch.tensor((len(wanted) - with_lines) / max(with_lines, 1.0)))


def _input(clips: Frames, device: str) -> Tensor:
    """Clips (n, T, H, W) as the network takes them: (n, 1, T, H, W), mean about 0."""
    return torch.as_tensor(np.ascontiguousarray(clips), device=device)[:, None].float() / 127.5 - 1
