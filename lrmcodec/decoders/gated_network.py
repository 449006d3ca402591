"""The paper's SIREN with pictures of the clip for v, and gates for B phi_t (network of decoder architecture 6).

    pixel p --v(p), g_t(p) = (B phi_t)(p)--> sine layers shifted by M_i (v(p), g_t(p)) --> v_0(p) + what changes at p

B is shared by all clips, and added up alone it moves no picture that it has not seen: 32 shared pictures gain 0.4 dB
over the mean of an unseen heart, two pictures of its own 2 to 3.5 dB (docs/paper.md). What changes must therefore come
from v, and phi may only say when. The network multiplies the two; its first weights already do, since
cos(u - g) - cos(u + g) = 2 sin(u) sin(g). Shift modulation and sine layers as in `grid_network`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lrmcodec.decoders.grid_network import SineLayers, frequency_factors, node_weights

PICTURE_PHASE, GATE_PHASE = 3.0, 0.35
"""Radians by which a first unit's sine is shifted for a gray level of a picture, and for a unit of its gate."""


@dataclass(frozen=True)
class GatedShape:
    """Hyper-parameters of the network, as they stand in a pack's card.

    Attributes
    ----------
    width : int
        Units of each sine layer.
    depth : int
        All layers: the first sine layer, depth - 2 modulated sine layers, and the linear output layer.
    gates : int
        K. v has K + 1 pictures: the first is shown as it is, the others change it as their gates say.
    gate_grid : int
        Nodes along each side of the grid of each gate.
    max_rank : int
        r_max, columns of the pack's basis.
    w0_first, w0_last : float
        Frequency factor of the first and of the last sine layer; it changes linearly in between.
    """

    width: int
    depth: int
    gates: int
    gate_grid: int
    max_rank: int
    w0_first: float
    w0_last: float

    @property
    def channels(self) -> int:
        """Values at a pixel: pictures and gates."""
        return 2 * self.gates + 1

    @property
    def gate_size(self) -> int:
        """Rows of the basis."""
        return self.gates * self.gate_grid**2

    def pictures(self, rank: int) -> int:
        """Pictures of v that a file of this rank carries."""
        return 1 + min(rank, self.gates)

    def w0(self) -> list[float]:
        """Frequency factors of the sine layers, first to last."""
        return frequency_factors(self.w0_first, self.w0_last, self.depth - 2)

    def to_card(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)


class Slopes(NamedTuple):
    """Gray levels (n, p) and their derivatives by pictures (n, p, K + 1) and by gates (n, p, K)."""

    gray: Tensor
    pictures: Tensor
    gates: Tensor


class GatedSiren(SineLayers):
    """Coordinates, pictures and gates in, gray level out; see the module's text.

    Parameters
    ----------
    shape : GatedShape
    """

    def __init__(self, shape: GatedShape) -> None:
        super().__init__(shape.width, shape.w0(), shape.channels)
        self.shape = shape
        self.last_weight = nn.Parameter(torch.zeros(shape.width))
        self.last_bias = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """SIREN's initial weights, but for 2 K units of the last sine layer, which multiply pictures and gates."""
        gates = self.shape.gates
        self.draw_first(generator)
        self.draw_hidden(generator)
        self.last_weight.zero_()
        w0 = self.w0[-1]
        self.hidden_weight[-1, :2 * gates] = 0.0
        self.hidden_bias[-1, :2 * gates] = 0.5 * math.pi / w0
        self.modulation[-1, :2 * gates] = 0.0
        for k in range(gates):
            for unit, sign in ((2 * k, -1.0), (2 * k + 1, 1.0)):
                self.modulation[-1, unit, 1 + k] = PICTURE_PHASE / w0
                self.modulation[-1, unit, 1 + gates + k] = sign * GATE_PHASE / w0
                self.last_weight[unit] = -sign / (2.0 * PICTURE_PHASE * GATE_PHASE)

    def forward(self, coords: Tensor, pictures: Tensor, gates: Tensor) -> Tensor:
        """Gray levels (n, p), about 0 to 1, not clipped.

        Parameters
        ----------
        coords : Tensor, (p, 2)
            Pixel centers in [-1, 1]: down, then right.
        pictures : Tensor, (p, K + 1) or (n, p, K + 1)
        gates : Tensor, (n, p, K)
        """
        count, pixels, _ = gates.shape
        local = torch.cat([pictures.expand(count, -1, -1), gates], 2).view(count * pixels, -1)
        h = torch.sin(nn.functional.linear(coords, self.w0[0] * self.first_weight, self.w0[0] * self.first_bias))
        for i, w0 in enumerate(self.w0[1:]):
            shift = nn.functional.linear(local, w0 * self.modulation[i], w0 * self.hidden_bias[i])
            ahead = h @ (w0 * self.hidden_weight[i]).T  # of the first layer the same for all frames
            h = torch.sin(shift.view(-1, pixels, self.shape.width) + ahead.view(-1, pixels, self.shape.width))
        change: Tensor = h @ self.last_weight + self.last_bias
        return local.view(count, pixels, -1)[..., 0] + change

    def slopes(self, coords: Tensor, pictures: Tensor, gates: Tensor) -> Slopes:
        """Gray levels and their derivatives; parameters as in `forward`.

        A pixel has one output, so that one backward pass gives the derivatives of all pixels at once.
        """
        with torch.enable_grad():
            mine = pictures.detach().expand(len(gates), -1, -1).clone().requires_grad_()
            when = gates.detach().clone().requires_grad_()
            gray = self(coords, mine, when)
            by_picture, by_gate = torch.autograd.grad(gray.sum(), (mine, when))
        return Slopes(gray.detach(), by_picture, by_gate)


def gate_patterns(shape: GatedShape, basis: Tensor, coords: Tensor) -> Tensor:
    """The basis (K g^2, r) at pixels (p, 2): what a unit of each coefficient does to each gate, (K, p, r)."""
    weights = node_weights(coords[None], shape.gate_grid)[0]  # (p, g * g)
    return torch.matmul(weights, basis.view(shape.gates, shape.gate_grid**2, basis.shape[1]))


def gates_of(patterns: Tensor, coeffs: Tensor) -> Tensor:
    """Gates (n, p, K) of coefficients (n, r) with `gate_patterns` (K, p, r)."""
    return torch.einsum("kpr,nr->npk", patterns, coeffs)
