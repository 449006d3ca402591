"""Wavelet pictures to bytes and back with the frozen entropy model.

Pictures come one after another, the latent first; in a picture its coarsest value, then the levels from coarse to
fine; in a level twelve steps of phase and band (`wavelet_model`), each of them all its places at once. Normative
text: SPEC.md, section Wavelet pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.wavelet_contexts import BASIS_MAPS, LATENT_MAPS, QUARTERS, Earlier, Ints, cut_bands
from lrmcodec.decoders.wavelet_model import (
    LEVELS,
    LOGIT_LIMIT,
    NEAR_INPUTS,
    OUTPUTS,
    PHASES,
    BandNet,
    Neighbors,
    side_inputs,
)
from lrmcodec.decoders.wavelet_transform import Array, analyze, level_count, merge_level
from lrmcodec.decoders.wavelet_values import cheapest, code_norms, code_plain, code_values, restore
from lrmcodec.formats.binary import (
    HALF,
    BinaryCoder,
    BinaryDecoder,
    BinaryEncoder,
    BinaryTape,
    CountingDecoder,
    WeighingDecoder,
)
from lrmcodec.formats.errors import FormatError

STEPS = tuple(product(range(len(PHASES)), range(3)))
BIN_WIDTH = 96
BINS = 2 * LOGIT_LIMIT // BIN_WIDTH + 1


@dataclass(frozen=True)
class PictureModel:
    """The frozen networks and tables of a pack.

    Attributes
    ----------
    latent, basis : BandNet
    chances : ndarray, (2 * LOGIT_LIMIT + 1,)
        Chance of each logit in 2**-16.
    offsets : ndarray, (3, BINS)
        By the logit of not being zero: mean magnitude of coefficients coded as 0, and how far beyond their magnitude
        those coded as 1 and as more lie on average.
    """

    latent: BandNet
    basis: BandNet
    chances: Ints
    offsets: Array

    @staticmethod
    def from_tensors(tensors: Mapping[str, NDArray[Any]]) -> PictureModel:
        """Model from the tensors of a pack."""
        return PictureModel(BandNet.from_tensors(tensors, "latent."), BandNet.from_tensors(tensors, "basis."),
                            tensors["chances"].astype(np.int64), tensors["offsets"].astype(np.float64))

    def net(self, index: int) -> BandNet:
        """Network of picture `index`."""
        return self.basis if index else self.latent

    def chances_of(self, logits: Ints) -> Ints:
        """Chances of logits, same shape."""
        return self.chances[logits + LOGIT_LIMIT]

    def restored(self, logits: Ints) -> Array:
        """What coefficients with these logits (n, outputs) are restored to, (n, 3); see `wavelet_values.cheapest`."""
        table = self.offsets[:, bin_of(logits)].T.copy()
        table[:, 0] *= 1 - self.chances_of(logits[:, -1]) / HALF
        return table


def bin_of(logits: Ints) -> Ints:
    """Column (n,) of the table of offsets for logits (n, outputs)."""
    return (logits[:, 0] + LOGIT_LIMIT) // BIN_WIDTH


class _Pen(Protocol):
    """Writes or reads the integers of one picture; both give back what a reader sees."""

    def top(self) -> int:
        """The coarsest value."""

    def step(self, level: int, band: int, at: tuple[slice, slice], logits: Ints) -> Ints:
        """Integers (n,) of one step, whose places in the band are `at`."""


class Writer:
    """Chooses the integers of a picture (H, W), in steps, and writes them."""

    def __init__(self, coder: BinaryCoder, picture: Array, model: PictureModel, weight: float) -> None:
        self._coder, self._model, self._weight = coder, model, weight
        self._top, self.levels = analyze(picture)

    def top(self) -> int:
        """See `_Pen`."""
        return code_plain(self._coder, round(float(self._top[0, 0])))

    def step(self, level: int, band: int, at: tuple[slice, slice], logits: Ints) -> Ints:
        """See `_Pen`."""
        wanted = self.levels[level][band][at].reshape(-1)
        chances = self._model.chances_of(logits)
        return code_values(self._coder, cheapest(wanted, chances, self._model.restored(logits), self._weight), chances)


class Reader:
    """Reads the integers of a picture."""

    def __init__(self, coder: BinaryDecoder, model: PictureModel) -> None:
        self._coder, self._model = coder, model

    def top(self) -> int:
        """See `_Pen`."""
        return code_plain(self._coder, 0)

    def step(self, level: int, band: int, at: tuple[slice, slice], logits: Ints) -> Ints:
        """See `_Pen`."""
        return code_values(self._coder, None, self._model.chances_of(logits))


def needed_tensors(channels: int, hidden: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Names of a pack's tensors with shapes and types, for networks of so many features and hidden units."""
    phases = len(PHASES)
    nets = {f"{prefix}.{name}": (shape, "int16") for prefix, maps in (("latent", LATENT_MAPS), ("basis", BASIS_MAPS))
            for name, shape in {
                "first": (channels, 9 * maps), "first_bias": (LEVELS, channels), "first_side": (2, channels),
                "second": (channels, 9 * channels), "second_bias": (channels,),
                "near": (phases, 3, hidden, NEAR_INPUTS + channels), "near_bias": (phases, LEVELS, 3, hidden),
                "head_side": (2, 3 * hidden), "middle": (phases, 3, hidden, hidden),
                "middle_bias": (phases, 3, hidden), "last": (phases, 3, OUTPUTS, hidden),
                "last_bias": (phases, LEVELS, 3, OUTPUTS)}.items()}
    return {**nets, "chances": ((2 * LOGIT_LIMIT + 1,), "int32"), "offsets": ((3, BINS), "float32")}


class Refinement(Protocol):
    """What is added to pictures once they are decoded; see `refine_net.Refiner`."""

    def added(self, picture: Array) -> Array:
        """What is added to the next picture if it is decoded as `picture`."""

    def take(self, picture: Array) -> None:
        """The next picture is this one."""


def encode_pictures(pictures: Iterable[Array], q: float, model: PictureModel, weight: float,
                    refiner: Refinement | None = None) -> tuple[bytes, Array]:
    """Quantize and code pictures.

    Parameters
    ----------
    pictures : iterable of ndarray, (H, W)
        In steps; the latent first.
    q : float
        Quantizer index, one of the model's inputs.
    model : PictureModel
    weight : float
        Each coefficient becomes the integer with the least squared error plus `weight` times its bits, given all that
        was coded before it.
    refiner : Refinement, optional
        A reader adds this to decoded pictures. Each picture is coded once more without what would be added to it, and
        the better one kept.

    Returns
    -------
    bytes
    ndarray, (n, H, W)
        The pictures as `decode_pictures` will give them, with what the refiner adds.
    """
    tape, earlier, exponents, shown = BinaryTape(), Earlier(), [], []
    for picture in pictures:
        attempt = partial(_attempt, q=q, model=model, weight=weight, before=earlier)
        found = attempt(picture) if refiner is None else _better(attempt, picture, refiner, weight)
        found.tape.play(tape)
        earlier = found.earlier
        exponents.append(norm_exponent(found.restored))
        shown.append(found.restored + found.added)
    coder = BinaryEncoder()
    code_norms(coder, len(shown) - 1, exponents[1:])
    tape.play(coder)
    return coder.finish(), np.array(shown)


class _Attempt(NamedTuple):
    """A picture coded: its decisions, what a reader makes of them and adds, and all pictures so far."""

    tape: BinaryTape
    restored: Array
    earlier: Earlier
    added: Array | float = 0.0


def _attempt(target: Array, q: float, model: PictureModel, weight: float, before: Earlier) -> _Attempt:
    tape, earlier = BinaryTape(), replace(before)
    restored = code_picture(Writer(tape, target, model, weight), target.shape, q, model, earlier)
    return _Attempt(tape, restored, earlier)


def _better(attempt: Callable[[Array], _Attempt], picture: Array, refiner: Refinement, weight: float) -> _Attempt:
    """The better of two: of the picture, and of the picture without what a reader adds to the first."""
    def refined(found: _Attempt) -> _Attempt:
        return found._replace(added=refiner.added(found.restored))

    def cost(found: _Attempt) -> float:
        return float(np.sum((picture - found.restored - found.added)**2)) + weight * found.tape.cost_bits

    first = refined(attempt(picture))
    best = min(first, refined(attempt(picture - first.added)), key=cost)
    refiner.take(best.restored)
    return best


def decode_pictures(data: bytes, size: tuple[int, int], rank: int, q: float, model: PictureModel) -> Iterator[Array]:
    """Latent and `rank` basis pictures (H, W), float64 in steps, one after another.

    Raises
    ------
    FormatError
        On bytes that no encoder writes.
    """
    return _decoded(BinaryDecoder(data), size, rank, q, model)


def decode_cut_pictures(data: bytes, size: tuple[int, int], rank: int, q: float,
                        model: PictureModel) -> Iterator[Array]:
    """Of bytes whose end is missing, the pictures as `decode_pictures` gives them of which every byte is there.

    Raises
    ------
    FormatError
        On bytes that no encoder writes.
    """
    coder = CountingDecoder(data)
    pictures = _decoded(coder, size, rank, q, model)
    for _ in range(rank + 1):
        try:
            picture = next(pictures)
        except FormatError:
            if coder.seen_bytes > len(data):  # of what is not there
                return
            raise
        if coder.seen_bytes > len(data):
            return
        yield picture


def bytes_by_picture(data: bytes, size: tuple[int, int], rank: int, q: float, model: PictureModel) -> list[int]:
    """After how many of the bytes each of the 1 + `rank` pictures is whole; see `decode_pictures`."""
    coder = CountingDecoder(data)
    return [coder.seen_bytes for _ in _decoded(coder, size, rank, q, model)]


def bits_of_pictures(data: bytes, size: tuple[int, int], rank: int, q: float, model: PictureModel) -> list[float]:
    """What each of the 1 + `rank` pictures costs in bits, the norms with the first; see `decode_pictures`."""
    coder = WeighingDecoder(data)
    seen = [coder.cost_bits for _ in _decoded(coder, size, rank, q, model)]
    return np.diff(seen, prepend=0.0).tolist()


def _decoded(coder: BinaryDecoder, size: tuple[int, int], rank: int, q: float, model: PictureModel) -> Iterator[Array]:
    earlier = Earlier()
    code_norms(coder, rank)
    for _ in range(rank + 1):
        yield code_picture(Reader(coder, model), size, q, model, earlier)


def decode_norms(data: bytes, rank: int) -> Array:
    """Norms (rank,) of the basis pictures in steps, about; 0 where one is empty. No picture is decoded.

    Raises
    ------
    FormatError
        On bytes that no encoder writes.
    """
    exponents = np.array(code_norms(BinaryDecoder(data), rank), np.float64)
    return np.where(exponents > 0, 2 ** ((exponents - 1) / 2), 0.0)


def norm_exponent(picture: Array) -> int:
    """One more than twice the binary logarithm of a picture's norm in steps, rounded; 0 for less than a step."""
    norm = float(np.sqrt(np.sum(picture * picture)))
    return 1 + round(2 * math.log2(norm)) if norm >= 1 else 0


def level_sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """(H, W) of the picture that each level makes, finest first."""
    sizes = [size]
    for _ in range(level_count(size) - 1):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[:level_count(size)]


def code_picture(pen: _Pen, size: tuple[int, ...], q: float, model: PictureModel, earlier: Earlier) -> Array:
    """Code one picture; returns it in steps and adds it to `earlier`."""
    net, side = model.net(earlier.count), side_inputs(q, earlier.count)
    sizes = level_sizes((size[0], size[1]))
    values = restored = np.full((1, 1), pen.top(), np.float64)
    coarse: dict[int, Ints] = {}
    symbols: dict[int, Ints] = {}
    for level in range(len(sizes) - 1, -1, -1):
        coarse[level] = np.floor(QUARTERS * values + 0.5).astype(np.int64)
        features = net.features(earlier.maps(level, coarse[level], symbols.get(level + 1)), level, side)
        coded = _Level(model, net, features, level, side).code(pen, sizes[level])
        symbols[level] = coded.symbols
        values = merge_level(values, cut_bands(coded.symbols.astype(np.float64), sizes[level]))
        restored = merge_level(restored, cut_bands(coded.restored, sizes[level]))
    earlier.add(coarse, symbols)
    return restored


class _Coded(NamedTuple):
    """Bands (3, h, w) of a level: integers, and what they stand for."""

    symbols: Ints
    restored: Array


@dataclass(frozen=True)
class _Level:
    """Everything that the coding of a level rests on but its own symbols."""

    model: PictureModel
    net: BandNet
    features: Array
    level: int
    side: Array

    def code(self, pen: _Pen, size: tuple[int, int]) -> _Coded:
        """Code the bands of the level that makes a picture of (H, W)."""
        near = Neighbors((self.features.shape[0], self.features.shape[1]))
        restored = np.zeros(near.symbols.shape)
        for phase, band in STEPS:
            at = places(size, phase, band)
            part = near.symbols[band][at]
            if part.size:
                logits = self._logits(near, phase, band, part.shape)
                values = pen.step(self.level, band, at, logits)
                part[:] = values.reshape(part.shape)
                restored[band][at] = restore(values, self.model.restored(logits)).reshape(part.shape)
                near.update(phase, band)
        return _Coded(near.symbols, restored)

    def _logits(self, near: Neighbors, phase: int, band: int, shape: tuple[int, ...]) -> Ints:
        """Logits (n, outputs) of the places of a step, which may lack a last row or column of the phase."""
        logits = self.net.logits(self.features, near, (phase, band), self.level, self.side)
        width = -(-(self.features.shape[1] - PHASES[phase][1]) // 2)
        cut = logits.reshape(-1, width, logits.shape[1])[:shape[0], :shape[1]]
        return cut.reshape(-1, logits.shape[1])


def places(size: tuple[int, int], phase: int, band: int) -> tuple[slice, slice]:
    """Rows and columns of the places of a step in the level that makes a picture of (H, W)."""
    row, column = PHASES[phase]
    height = size[0] // 2 if band else -(-size[0] // 2)
    width = -(-size[1] // 2) if band == 1 else size[1] // 2
    return slice(row, height, 2), slice(column, width, 2)
