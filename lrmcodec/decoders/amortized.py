"""A small convolutional network that guesses coefficients from frames, so that fitting starts near its end.

It trains with the shared decoder, travels in the pack, and serves encoders only: no decoded pixel depends on it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 56
"""Pixels along each side that frames are averaged to."""

CHANNELS = 32
GRAY_OFFSET = 0.25


class CoeffEncoder(nn.Module):
    """Frames of a clip, beside its mean picture, to coefficients.

    Parameters
    ----------
    rank : int
        Coefficients a frame.
    framewise : bool
        Whether frames are looked at alone, without the clip's mean.
    """

    def __init__(self, rank: int, framewise: bool) -> None:
        super().__init__()
        self.framewise = framewise
        self.body = nn.Sequential(
            nn.Conv2d(2, CHANNELS // 2, 5, 2, 2), nn.GELU(),
            nn.Conv2d(CHANNELS // 2, CHANNELS, 3, 2, 1), nn.GELU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1), nn.GELU(),
            nn.Conv2d(CHANNELS, CHANNELS // 4, 1))
        self.head = nn.Linear(CHANNELS // 4 * (SIDE // 4) ** 2, rank, bias=False)

    def forward(self, small: Tensor, mean: Tensor) -> Tensor:
        """Coefficients (n, rank) of shrunken frames (n, SIDE, SIDE), with the shrunken mean of each one's clip."""
        second = torch.zeros_like(small) if self.framewise else mean - GRAY_OFFSET
        first = small - GRAY_OFFSET if self.framewise else small - mean
        out: Tensor = self.head(self.body(torch.stack([first, second], 1)).flatten(1))
        return out


def shrink(frames: Tensor) -> Tensor:
    """Frames (n, H, W) uint8 as gray levels 0 to 1 of (n, SIDE, SIDE), each the mean of the area that it covers."""
    return torch.nn.functional.adaptive_avg_pool2d(frames[:, None].float() / 255.0, (SIDE, SIDE))[:, 0]
