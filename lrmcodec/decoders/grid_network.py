"""The shared SIREN whose modulation vector is a grid over the frame (network of decoder architecture 3).

    pixel p --z(p) = grid at p--> p' = p + D z(p) --z(p')--> sin layers shifted by M_i z(p') --> gray level at p

A global modulation vector saturates: all its values together move no more than the shifts of the hidden layers, the
same for every pixel. Laid out as a grid, the same vector acts where it lies (Spatial Functa, arXiv 2302.03130), and
because it may displace the point that the network looks at, coefficients can move tissue instead of repainting it.
Shift modulation as in Functa (arXiv 2201.12204), sine layers as in SIREN (arXiv 2006.09661).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

DISPLACEMENT_START = 0.002
"""Standard deviation of the first displacement weights, in half frame heights for a unit of a latent value."""


@dataclass(frozen=True)
class GridShape:
    """Hyper-parameters of the network, as they stand in a pack's card.

    Attributes
    ----------
    width : int
        Units of each sine layer.
    depth : int
        All layers: the first sine layer, depth - 2 modulated sine layers, and the linear output layer.
    channels : int
        C, values of the modulation vector at each node of its grid.
    grid : int
        g, nodes along each side of the frame; the modulation vector has C * g * g values.
    latent_channels : int
        Channels of the latent v, the first ones; the others hold coefficients only. All, or none for framewise codes.
    max_rank : int
        r_max, columns of the pack's basis.
    w0_first, w0_last : float
        Frequency factor of the first and of the last sine layer; it changes linearly in between.
    """

    width: int
    depth: int
    channels: int
    grid: int
    latent_channels: int
    max_rank: int
    w0_first: float
    w0_last: float

    @property
    def hidden_count(self) -> int:
        """Modulated layers."""
        return self.depth - 2

    @property
    def node_count(self) -> int:
        """Nodes of the grid."""
        return self.grid**2

    @property
    def modulation_size(self) -> int:
        """Values of the modulation vector z, d in the paper."""
        return self.channels * self.node_count

    @property
    def latent_size(self) -> int:
        """Values of the latent v that a file carries."""
        return self.latent_channels * self.node_count

    def w0(self) -> list[float]:
        """Frequency factors of the sine layers, first to last; they change linearly."""
        return frequency_factors(self.w0_first, self.w0_last, self.hidden_count)

    def to_card(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)


def frequency_factors(first: float, last: float, hidden_count: int) -> list[float]:
    """Frequency factors of a first sine layer and `hidden_count` others, changing linearly."""
    steps = max(hidden_count, 1)
    return [first + (last - first) * i / steps for i in range(steps + 1)]


class Linear(NamedTuple):
    """Gray levels of n frames at p pixels and how they change with the modulation there.

    Attributes
    ----------
    gray : Tensor, (n, p)
    at_pixel, at_source : Tensor, (n, p, C)
        d gray / d z(p), the displacement's part, and d gray / d z(p'), the content's part.
    pixels, sources : Tensor, (n or 1, p, 2)
        Where z(p) and z(p') are found.
    """

    gray: Tensor
    at_pixel: Tensor
    at_source: Tensor
    pixels: Tensor
    sources: Tensor


class SineLayers(nn.Module):
    """A first sine layer of coordinates, and others whose phases a modulation at the pixel shifts.

    Parameters
    ----------
    width : int
        Units of each layer.
    w0 : list of float
        Frequency factors, first to last.
    channels : int
        Values of the modulation at a pixel.
    """

    def __init__(self, width: int, w0: list[float], channels: int) -> None:
        super().__init__()
        self.w0 = w0
        layers = len(w0) - 1
        self.first_weight = nn.Parameter(torch.zeros(width, 2))
        self.first_bias = nn.Parameter(torch.zeros(width))
        self.hidden_weight = nn.Parameter(torch.zeros(layers, width, width))
        self.hidden_bias = nn.Parameter(torch.zeros(layers, width))
        self.modulation = nn.Parameter(torch.zeros(layers, width, channels))

    @torch.no_grad()
    def draw_first(self, generator: torch.Generator) -> None:
        """Draw initial weights of the first layer, for coordinates in [-1, 1]."""
        self.first_weight.uniform_(-0.5, 0.5, generator=generator)
        self.first_bias.uniform_(-0.5, 0.5, generator=generator)

    @torch.no_grad()
    def draw_hidden(self, generator: torch.Generator) -> None:
        """Draw SIREN's weights of the others; a unit of every channel shifts a phase by about half a radian."""
        _, width, channels = self.modulation.shape
        for i, w0 in enumerate(self.w0[1:]):
            bound = math.sqrt(6.0 / width) / w0
            self.hidden_weight[i].uniform_(-bound, bound, generator=generator)
            self.modulation[i].normal_(0.0, 0.5 / (w0 * math.sqrt(channels)), generator=generator)


class GridSiren(SineLayers):
    """Coordinates and a grid of modulations in, gray level out; see the module's text.

    Parameters
    ----------
    shape : GridShape
    """

    def __init__(self, shape: GridShape) -> None:
        super().__init__(shape.width, shape.w0(), shape.channels)
        self.shape = shape
        self.second_order = False  # set for training through gradients, which grid_sample cannot be derived for
        self.displacement = nn.Parameter(torch.zeros(2, shape.channels))
        self.last_weight = nn.Parameter(torch.zeros(shape.width))
        self.last_bias = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw initial weights; the order of the draws decides the digests of packs."""
        self.draw_first(generator)
        self.displacement.normal_(0.0, DISPLACEMENT_START, generator=generator)
        self.draw_hidden(generator)
        bound = math.sqrt(6.0 / self.shape.width) / self.w0[-1]
        self.last_weight.uniform_(-bound, bound, generator=generator)

    def forward(self, coords: Tensor, modulations: Tensor) -> Tensor:
        """Gray levels of n frames at p pixels each.

        Parameters
        ----------
        coords : Tensor, (n, p, 2) or (1, p, 2)
            Pixel centers in [-1, 1]: down, then right.
        modulations : Tensor, (n, d)
            Channel by channel, row by row.

        Returns
        -------
        Tensor, (n, p)
            About 0 (black) to 1 (white), not clipped.
        """
        source = coords + self._local(modulations, coords) @ self.displacement.T
        return self._gray(source, self._local(modulations, source))

    def _local(self, modulations: Tensor, points: Tensor) -> Tensor:
        """Modulation (n, p, C) at points (n or 1, p, 2)."""
        planes = modulations.view(-1, self.shape.channels, self.shape.grid, self.shape.grid)
        if self.second_order:
            return node_weights(points, self.shape.grid) @ planes.flatten(2).transpose(1, 2)
        return look_up(planes, points).transpose(1, 2)

    def _gray(self, source: Tensor, local: Tensor) -> Tensor:
        """Gray levels at displaced points (n, p, 2) with the modulation (n, p, C) found there."""
        count, pixels, _ = source.shape
        flat = local.reshape(count * pixels, -1)
        with torch.autocast(source.device.type, enabled=False):  # bf16 coordinates would blur the picture
            points = source.reshape(count * pixels, 2).to(self.first_weight.dtype)
            h = torch.sin(torch.nn.functional.linear(points, self.w0[0] * self.first_weight,
                                                     self.w0[0] * self.first_bias))
        for i, w0 in enumerate(self.w0[1:]):
            shift = torch.nn.functional.linear(flat, w0 * self.modulation[i], w0 * self.hidden_bias[i])
            h = torch.sin(torch.addmm(shift, h, (w0 * self.hidden_weight[i]).T))
        gray: Tensor = h @ self.last_weight + (self.last_bias + 0.5)
        return gray.view(count, pixels)

    def linearize(self, coords: Tensor, modulations: Tensor) -> Linear:
        """Gray levels and their derivatives by the modulation; parameters as in `forward`.

        A pixel has one output, so that one backward pass gives the derivatives of all pixels at once.
        """
        modulations = modulations.detach()
        with torch.enable_grad():
            at_pixel = self._local(modulations, coords).requires_grad_()
            source = coords + at_pixel @ self.displacement.detach().T
            at_source = self._local(modulations, source)
            gray = self._gray(source, at_source)
            by_pixel, by_source = torch.autograd.grad(gray.sum(), (at_pixel, at_source))
        return Linear(gray.detach(), by_pixel, by_source, coords, source.detach())


def pixel_grid(size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Pixel centers of an (H, W) picture in [-1, 1]^2, row by row: (H * W, 2), down then right."""
    axes = [(torch.arange(n, dtype=torch.float32, device=device) + 0.5) * (2.0 / n) - 1.0 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2)


def look_up(planes: Tensor, points: Tensor) -> Tensor:
    """Bilinear values (n, C, p) of planes (n, C, g, g) at points (n or 1, p, 2) in [-1, 1], down then right.

    Nodes lie at the centers of g x g equal cells; beyond the outermost nodes the border holds.
    """
    places = points.flip(-1)[:, :, None].expand(len(planes), -1, -1, -1)  # grid_sample wants right, then down
    return torch.nn.functional.grid_sample(planes, places, mode="bilinear", padding_mode="border",
                                           align_corners=False)[..., 0]


def node_weights(points: Tensor, grid: int) -> Tensor:
    """Weights (n, p, g * g) of the nodes in `look_up`, which cannot be derived twice; these hat functions can."""
    centers = (torch.arange(grid, dtype=points.dtype, device=points.device) + 0.5) * (2.0 / grid) - 1.0
    last = 1.0 - 1.0 / grid
    away = (points.clamp(-last, last)[..., None] - centers).abs() * (grid / 2.0)  # (n, p, 2, g), in nodes
    down, right = torch.relu(1.0 - away).unbind(-2)
    return (down[..., :, None] * right[..., None, :]).flatten(-2)
