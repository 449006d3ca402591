"""The frozen network that refines decoded wavelet pictures, in whole numbers.

Wavelets coded at few bits leave most fine coefficients at 0. What lies between them can be guessed in part from the
picture itself, from the latent, which is the same anatomy in more detail, and from the pictures before. The network
works on planes of every second row and column: 3 x 3 convolutions whose outputs are halves a and b of 9 bits, of which
a * sigmoid(b) is added to what the layer before gave (gated linear units: Dauphin et al. 2017, 1612.08083). The last
layer is plain and gives what is to be added to the picture.

Sums of products stay below 2**24, in the first layer below 2**53, so that products of matrices in float32, there in
float64, are exact in any order: every machine gets the same picture. Normative text: SPEC.md, section Refinement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.convolution import convolved, tap_rows
from lrmcodec.decoders.wavelet_contexts import Ints
from lrmcodec.decoders.wavelet_transform import Array

FINENESS = 32  # parts of a step that values enter in
UNIT = 256  # of inputs, gates and outputs
PLANES = 4
SEEN = 4  # pictures that a picture is refined from: itself, the latent, two before
INPUTS = PLANES * SEEN + 2  # and step and number
WEIGHT_LIMIT, STATE_LIMIT = 127, 255
MAP_LIMIT = 8191
SCALE_BITS = 24
MAX_WIDTH = 56  # sums of 9 * width products stay below 2**24
LATENT_NUMBER = -512
BAND_PLACES = 1 << 15  # of the planes that are worked on at a time


@dataclass(frozen=True)
class Layer:
    """One convolution.

    Attributes
    ----------
    weights : ndarray, (9 * inputs, outputs)
        Whole numbers of 8 bits, tap by tap, as float32, in the first layer float64.
    scale, bias : ndarray, (outputs,) float64
        From sums to outputs, in 2**-24.
    """

    weights: NDArray[np.floating[Any]]
    scale: Array
    bias: Array

    def __call__(self, maps: NDArray[np.floating[Any]]) -> Array:
        """Rounded outputs (h, w, outputs) of maps (h, w, inputs), zeros beyond the border."""
        out = np.empty((*maps.shape[:2], len(self.scale)))
        for rows, sums in convolved(maps, self.weights):
            part = out[rows].reshape(sums.shape)
            np.multiply(sums, self.scale, out=part)
            part += self.bias
            part /= 1 << SCALE_BITS
            part += 0.5
            np.floor(part, out=part)
        return out


@dataclass(frozen=True)
class RefineNet:
    """The layers, and sigmoid(b / 32) in 256ths for b from -255 to 255."""

    layers: tuple[Layer, ...]
    gates: NDArray[np.float32]

    @staticmethod
    def from_tensors(tensors: Mapping[str, NDArray[Any]], depth: int) -> RefineNet:
        """Network from the tensors `refine.*` of a pack."""
        layers = []
        for index in range(depth):
            weights, scale, bias = (tensors[f"refine.{index}.{name}"] for name in ("weights", "scale", "bias"))
            kind = np.float32 if index else np.float64
            layers.append(Layer(tap_rows(weights.astype(kind)), scale.astype(np.float64), bias.astype(np.float64)))
        return RefineNet(tuple(layers), tensors["refine.gates"].astype(np.float32))

    def residual(self, maps: Array) -> Array:
        """What to add to a picture, in steps, as planes (h, w, 4), for its maps (h, w, INPUTS), some rows at a time."""
        height, width, _ = maps.shape
        beside = len(self.layers)  # rows that a row rests on, up and down
        rows = max(beside, BAND_PLACES // width)
        out = np.empty((height, width, PLANES))
        for start in range(0, height, rows):
            first = max(0, start - beside)
            band = self._band(maps[first:start + rows + beside])
            out[start:start + rows] = band[start - first:start - first + rows]
        return out

    def _band(self, maps: Array) -> Array:
        state = self._gated(self.layers[0](maps))
        for layer in self.layers[1:-1]:
            state = np.clip(state + self._gated(layer(state)), -STATE_LIMIT, STATE_LIMIT)
        return self.layers[-1](state) / UNIT

    def _gated(self, outputs: Array) -> NDArray[np.float32]:
        halves = np.clip(outputs, -STATE_LIMIT, STATE_LIMIT).astype(np.float32)
        count = halves.shape[2] // 2
        gates = self.gates[(halves[..., count:] + STATE_LIMIT).astype(np.intp)]
        return np.asarray(np.floor((halves[..., :count] * gates + UNIT // 2) / UNIT), np.float32)


class Refiner:
    """What the network adds to pictures (H, W) in steps that come one after another, the latent first.

    Parameters
    ----------
    net : RefineNet
    q : float
        Quantizer index.
    """

    def __init__(self, net: RefineNet, q: float) -> None:
        self._net, self._q = net, q
        self._seen: list[Ints] = []
        self._count = 0

    def added(self, picture: Array) -> Array:
        """What is added to the next picture if it is decoded as `picture`; another one may be asked about."""
        planes = self._with(picture)
        return merge_planes(self._net.residual(context_maps(planes, self._q, self._count)), picture.shape)

    def take(self, picture: Array) -> None:
        """The next picture is this one."""
        self._seen = self._with(picture)
        self._count += 1

    def _with(self, picture: Array) -> list[Ints]:
        return [*self._seen[:1], picture_planes(picture), *self._seen[1:]][:SEEN]


def refined(pictures: Iterator[Array], q: float, net: RefineNet) -> Iterator[Array]:
    """Pictures (H, W) in steps, the latent first, each refined from those decoded before it; see `Refiner`."""
    refiner = Refiner(net, q)
    for picture in pictures:
        yield picture + refiner.added(picture)
        refiner.take(picture)


def context_maps(seen: list[Ints], q: float, index: int) -> Array:
    """Inputs (h, w, INPUTS) for picture `index`.

    `seen` has the planes (h, w, 4) of the latent, of the picture itself unless it is the latent, and of up to two basis
    pictures before it, the nearest first.
    """
    latent, own = seen[0], seen[min(index, 1)]
    before = [*seen[2:], *[np.zeros_like(latent)] * (SEEN - 2)][:SEEN - 2]
    side = np.empty((*latent.shape[:2], 2))
    side[:] = side_inputs(q, index)
    return np.concatenate([own, latent, *before, side], 2)


def side_inputs(q: float, index: int) -> tuple[int, int]:
    """Step and number of a picture: 4 * (q - 130), and about 128 log2(number)."""
    number = int(logarithm(np.array([FINENESS * (index - 1)]))[0]) >> 1 if index else LATENT_NUMBER
    return ((round(16 * q) + 2) >> 2) - 520, number


def picture_planes(picture: Array) -> Ints:
    """Logarithms of a picture (H, W) in steps, as planes (ceil(H / 2), ceil(W / 2), 4) of row and column parities."""
    height, width = picture.shape
    padded = np.pad(picture, ((0, height % 2), (0, width % 2)), mode="edge")
    values = logarithm(np.floor(FINENESS * padded + 0.5).astype(np.int64))
    return np.stack([values[row::2, column::2] for row in (0, 1) for column in (0, 1)], 2)


def merge_planes(planes: Array, size: tuple[int, ...]) -> Array:
    """Picture of `size` (H, W) from planes (h, w, 4)."""
    height, width, _ = planes.shape
    whole = planes.reshape(height, width, 2, 2).transpose(0, 2, 1, 3).reshape(2 * height, 2 * width)
    return whole[:size[0], :size[1]]


def logarithm(values: Ints) -> Ints:
    """log2(1 + |n| / 32) in 256ths with the sign of n, linear between powers of two, at most MAP_LIMIT."""
    shifted = np.abs(values) + FINENESS
    exponent = np.frexp(shifted.astype(np.float64))[1].astype(np.int64) - 1
    found = (shifted * UNIT >> exponent) + UNIT * (exponent - 6)
    return np.asarray(np.sign(values) * np.minimum(found, MAP_LIMIT), np.int64)


def needed_tensors(width: int, depth: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Names of a pack's tensors with shapes and types, for so many features and layers."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {"refine.gates": ((2 * STATE_LIMIT + 1,), "int16")}
    for index in range(depth):
        outputs = PLANES if index == depth - 1 else 2 * width
        inputs = width if index else INPUTS
        shapes[f"refine.{index}.weights"] = ((outputs, 9 * inputs), "int8")
        shapes[f"refine.{index}.scale"] = shapes[f"refine.{index}.bias"] = ((outputs,), "int32")
    return shapes
