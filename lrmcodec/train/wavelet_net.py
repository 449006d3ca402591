"""The entropy model of wavelet pictures in torch: what `decoders.wavelet_model` computes in integers, in floats.

All steps of a level are computed at once from symbols that are known; the weights of neighbors that a reader does not
have yet are held at zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrmcodec.decoders.wavelet_coder import STEPS, needed_tensors
from lrmcodec.decoders.wavelet_model import LEVELS, NEAR_INPUTS, OUTPUTS, PHASES, WEIGHT_UNIT
from lrmcodec.decoders.wavelet_values import MODELED_CLASSES

WIDE, CLOSE = 5, 3  # sides of the neighborhoods of magnitudes and of signed values
FIRST_ZERO = -2.0  # first logit of not being zero
LOG_2 = math.log(2.0)


class BandNet(nn.Module):
    """Entropy network of the latent or of the basis pictures; parameters are named and shaped as in a pack.

    Parameters
    ----------
    prefix : str
        "latent" or "basis".
    channels, hidden : int
        Features and hidden units.
    """

    def __init__(self, prefix: str, channels: int, hidden: int) -> None:
        super().__init__()
        self.channels, self.hidden = channels, hidden
        for name, (shape, _) in needed_tensors(channels, hidden).items():
            if name.startswith(prefix):
                self.register_parameter(name.partition(".")[2], nn.Parameter(torch.zeros(shape)))
        self.register_buffer("known", known_neighbors(channels, hidden), persistent=False)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw first weights."""
        gains = {"first": 1.0, "second": 1.4, "near": 1.0, "middle": 1.4, "last": 0.4}
        for name, gain in gains.items():
            weight = self.get_parameter(name)
            weight.normal_(0.0, gain / math.sqrt(weight.shape[-1]), generator=generator)
        self.get_parameter("last_bias")[..., 0] = FIRST_ZERO

    def forward(self, maps: Tensor, symbols: Tensor, level: int, side: Tensor) -> list[Tensor | None]:
        """Logits of one level.

        Parameters
        ----------
        maps : Tensor, (n, channels in, h, w)
            Context maps.
        symbols : Tensor, (n, 3, h, w)
        level : int
        side : Tensor, (n, 2)

        Returns
        -------
        list of Tensor, (n, 3, OUTPUTS, h', w'), or None
            By phase; None where it has no places.
        """
        at = min(level, LEVELS - 1)
        features = self._features(maps, at, side)
        signed = signed_log(symbols)
        wide = functional.pad(signed.abs(), (WIDE // 2, WIDE // 2 + 1) * 2)
        close = functional.pad(signed, (CLOSE // 2, CLOSE // 2 + 1) * 2)
        return [self._head(phase, features, wide, close, at, side) for phase in range(len(PHASES))]

    def _features(self, maps: Tensor, at: int, side: Tensor) -> Tensor:
        first = self.get_parameter("first").view(self.channels, -1, 3, 3)
        second = self.get_parameter("second").view(self.channels, -1, 3, 3)
        bias = self.get_parameter("first_bias")[at] + side @ self.get_parameter("first_side")
        hidden = functional.relu(functional.conv2d(maps, first, padding=1) + bias[:, :, None, None])
        return functional.relu(functional.conv2d(hidden, second, self.get_parameter("second_bias"), padding=1))

    def _head(self, phase: int, features: Tensor, wide: Tensor, close: Tensor, at: int, side: Tensor) -> Tensor | None:
        row, column = PHASES[phase]
        own = features[:, :, row::2, column::2]
        height, width = own.shape[-2:]
        if not height * width:
            return None
        weights = (self.get_parameter("near")[phase] * self.get_buffer("known")[phase]).flatten(0, 1)
        on_wide, on_close, on_own = torch.split(weights, [3 * WIDE**2, 3 * CLOSE**2, self.channels], 1)
        hidden = functional.conv2d(_from(wide, row, column, height, width, WIDE),
                                   on_wide.reshape(-1, 3, WIDE, WIDE), stride=2)
        hidden = hidden + functional.conv2d(_from(close, row, column, height, width, CLOSE),
                                            on_close.reshape(-1, 3, CLOSE, CLOSE), stride=2)
        hidden = hidden + functional.conv2d(own, on_own[:, :, None, None])
        bias = self.get_parameter("near_bias")[phase, at].flatten() + side @ self.get_parameter("head_side")
        hidden = functional.relu(hidden + bias[:, :, None, None])
        middle = self.get_parameter("middle")[phase].reshape(3 * self.hidden, self.hidden, 1, 1)
        hidden = functional.relu(functional.conv2d(hidden, middle, self.get_parameter("middle_bias")[phase].flatten(),
                                                   groups=3))
        last = self.get_parameter("last")[phase].reshape(3 * OUTPUTS, self.hidden, 1, 1)
        out = functional.conv2d(hidden, last, self.get_parameter("last_bias")[phase, at].flatten(), groups=3)
        return out.view(len(out), 3, OUTPUTS, height, width)


class EntropyNet(nn.Module):
    """The networks of a pack."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.latent = BandNet("latent", channels, hidden)
        self.basis = BandNet("basis", channels, hidden)

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Integer weights of a pack; those of neighbors not yet known are zero."""
        found = {}
        for name, value in self.named_parameters():
            known = self.latent.get_buffer("known") if name.endswith(".near") else 1.0
            found[name] = (value * known * WEIGHT_UNIT).round().clamp(-32768, 32767).to(torch.int16)
        return found

    @torch.no_grad()
    def take(self, tensors: dict[str, Tensor]) -> None:
        """Take over the weights of a pack."""
        for name, value in self.named_parameters():
            value.copy_(tensors[name].to(value.dtype) / WEIGHT_UNIT)


def known_neighbors(channels: int, hidden: int) -> Tensor:
    """Ones (4, 3, hidden, inputs) where an input of a step is known to a reader, else zeros; all features are."""
    known = torch.ones(len(PHASES), 3, hidden, NEAR_INPUTS + channels)
    order = {step: index for index, step in enumerate(STEPS)}
    for phase, band in STEPS:
        seen = []
        for side in (WIDE, CLOSE):
            for other in range(3):
                for place in range(side**2):
                    row, column = (PHASES[phase][axis] + divmod(place, side)[axis] - side // 2 for axis in (0, 1))
                    seen.append(order[PHASES.index((row % 2, column % 2)), other] < order[phase, band])
        known[phase, band, :, :NEAR_INPUTS] = torch.tensor(seen, dtype=known.dtype)
    return known


def signed_log(values: Tensor) -> Tensor:
    """log2(1 + |x|), linear between powers of two, with the sign of x."""
    mantissa, exponent = torch.frexp(1 + values.abs())
    return torch.sign(values) * (exponent + 2 * mantissa - 2)


def bits_of(logits: list[Tensor | None], symbols: Tensor, valid: Tensor) -> Tensor:
    """Bits (n,) that symbols (n, 3, h, w) take; `valid` (3, h, w) is 0 at places that a band does not have."""
    total = symbols.new_zeros(len(symbols))
    for (row, column), out in zip(PHASES, logits, strict=True):
        if out is None:
            continue
        values, there = symbols[:, :, row::2, column::2], valid[:, row::2, column::2]
        total = total + _decision_bits(out, values, there)
    return total


def _decision_bits(out: Tensor, values: Tensor, there: Tensor) -> Tensor:
    magnitudes = values.abs()[:, :, None]
    beyond = torch.tensor([0.0, *(2.0**power for power in range(MODELED_CLASSES - 1))], device=out.device)
    beyond = beyond.view(1, 1, -1, 1, 1)
    before = functional.pad(beyond[:, :, :-1], (0, 0, 0, 0, 1, 0), value=-1.0)
    asked = (magnitudes > before) * there[:, None]
    ladder = out[:, :, :MODELED_CLASSES]
    costs = (functional.softplus(ladder) - (magnitudes > beyond) * ladder) * asked
    sign = out[:, :, -1]
    signs = (functional.softplus(sign) - (values < 0) * sign) * (values != 0) * there
    low_bits = torch.floor(torch.log2((magnitudes[:, :, 0] - 1).clamp_min(1))) * there
    return costs.sum((1, 2, 3, 4)) / LOG_2 + signs.sum((1, 2, 3)) / LOG_2 + low_bits.sum((1, 2, 3))


def _from(padded: Tensor, row: int, column: int, height: int, width: int, side: int) -> Tensor:
    """The part of padded maps that a phase's neighborhoods of `side` x `side` cover."""
    return padded[:, :, row:row + 2 * height + side - 2, column:column + 2 * width + side - 2]
