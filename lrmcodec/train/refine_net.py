"""The network that refines wavelet pictures in torch: what `decoders.refine_net` computes in whole numbers, in floats.

Training with `rounded` true computes what the decoder will, gradients passing through the roundings as if they were not
there (straight-through estimator: Bengio et al. 2013, 1308.3432).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lrmcodec.decoders.refine_net import INPUTS, PLANES, SCALE_BITS, STATE_LIMIT, UNIT, WEIGHT_LIMIT
from lrmcodec.train.export import Arrays

STATE_UNIT = 1 / 32  # of activations
FIRST_GAIN, GAIN = 2.0, 0.7  # variance of what a layer gives for inputs of variance 1, at first
LEAST_WEIGHT = 1e-6


class RefineNet(nn.Module):
    """Gated convolutions; see `decoders.refine_net`.

    Parameters
    ----------
    width, depth : int
        Features and layers.
    generator : torch.Generator
        Draws the first weights; the last layer begins with zeros.
    """

    def __init__(self, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        inputs = [INPUTS, *[width] * (depth - 1)]
        outputs = [*[2 * width] * (depth - 1), PLANES]
        self.layers = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1) for pair in zip(inputs, outputs, strict=True))
        with torch.no_grad():
            for index, layer in enumerate(self._convolutions()):
                gain = 0.0 if index == depth - 1 else GAIN if index else FIRST_GAIN
                layer.weight.normal_(0.0, math.sqrt(gain / (9 * inputs[index])), generator=generator)
                _bias(layer).zero_()

    def forward(self, maps: Tensor, rounded: bool) -> Tensor:
        """What to add, in steps, as planes (n, 4, h, w), for maps (n, INPUTS, h, w) in units of 1 / 256."""
        state = self._gated(self._layer(0, maps / UNIT, rounded), rounded)
        for index in range(1, len(self.layers) - 1):
            state = _clipped(state + self._gated(self._layer(index, state, rounded), rounded))
        return self._layer(len(self.layers) - 1, state, rounded)

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    def _layer(self, index: int, maps: Tensor, rounded: bool) -> Tensor:
        layer = self._convolutions()[index]
        weight: Tensor = layer.weight
        if rounded:
            scale = weight_scale(weight)
            weight = _round(weight / scale) * scale
        return functional.conv2d(maps, weight, layer.bias, padding=1)

    @staticmethod
    def _gated(outputs: Tensor, rounded: bool) -> Tensor:
        halves = _clipped(outputs)
        if rounded:
            halves = _round(halves / STATE_UNIT) * STATE_UNIT
        value, gate = halves.chunk(2, 1)
        gate = torch.sigmoid(gate)
        if not rounded:
            return value * gate
        return _round(value * _round(gate * UNIT) / UNIT / STATE_UNIT) * STATE_UNIT

    @torch.no_grad()
    def tensors(self) -> Arrays:
        """Whole numbers of a pack."""
        gates = torch.sigmoid(torch.arange(-STATE_LIMIT, STATE_LIMIT + 1, dtype=torch.float64) * STATE_UNIT)
        found: Arrays = {"refine.gates": (UNIT * gates).round().to(torch.int16).numpy()}
        for index, layer in enumerate(self._convolutions()):
            weight, bias = layer.weight.double(), _bias(layer).double()
            scale = weight_scale(weight)
            unit_in = STATE_UNIT if index else 1 / UNIT
            unit_out = 1 / UNIT if index == len(self.layers) - 1 else STATE_UNIT
            found[f"refine.{index}.weights"] = (weight / scale).round().to(torch.int8).flatten(1).numpy()
            found[f"refine.{index}.scale"] = _whole(scale.flatten() * unit_in / unit_out)
            found[f"refine.{index}.bias"] = _whole(bias / unit_out)
        return found


def weight_scale(weight: Tensor) -> Tensor:
    """What one stands for in the weights (outputs, ...) of each output, kept as 8 bits."""
    return weight.detach().abs().amax((1, 2, 3), keepdim=True).clamp_min(LEAST_WEIGHT) / WEIGHT_LIMIT


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _whole(values: Tensor) -> NDArray[Any]:
    limit = 2**31 - 1
    return np.asarray((values * (1 << SCALE_BITS)).round().clamp(-limit, limit).to(torch.int32).numpy())


def _clipped(values: Tensor) -> Tensor:
    return values.clamp(-STATE_LIMIT * STATE_UNIT, STATE_LIMIT * STATE_UNIT)


def _round(values: Tensor) -> Tensor:
    """Rounded, with the gradient of the identity."""
    return values + (values.detach().round() - values.detach())
