"""The left ventricle in pixels: small frozen networks that find its cavity, run with numpy while encoding.

    frames --cells--> frame, mean, change, depth --network--> share of each cell that is cavity --sum--> area

There are two: U-Nets (Ronneberger et al. 2015, 10.1007/978-3-319-24574-4_28) of three levels over 40 and over 28 cells
a side, trained on masks of simulated hearts and on lungs without any (`train.cavity_net`); the finer one has seen dark
muscle, too. Where one of them takes another chamber for the left ventricle its area does not run as a ventricle's
does; the one that does is believed.
Reading never needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from lrmcodec.cardiac.events import likeness
from lrmcodec.cardiac.signal import Array, Clean, prepare

Cells = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """File of weights, and how many cells a side the network sees."""

    path: Path
    side: int


FINE = Network(Path(__file__).parent / "cavity.safetensors", 40)
COARSE = Network(Path(__file__).parent / "cavity_coarse.safetensors", 28)
BLOCK_FRAMES = 8  # that the network sees at a time: 30 MB of values
BLOCK_VALUES = 1 << 22  # pixels averaged to cells at a time
CHANGE_GAIN = 4.0  # brings a cell's standard deviation over time to the size of gray levels
LEAST_FRAMES = 8
SURE_SHARE = 0.025  # of the cells, those most surely within the cavity, by which it is judged whether there is one
LEAST_SEEN = 0.5  # their mean share, below which no ventricle is seen
FULLY_SEEN = 0.8
SAME_CHAMBER = 0.7  # correlation of areas from which two networks see the same one
LEAST_QUALITY = 0.1  # periodicity; low, because rhythms may be irregular


@dataclass(frozen=True)
class Cavity:
    """What the pixels say about the ventricle.

    Attributes
    ----------
    signal : ndarray, (T,)
        Large where it is large: `agreed`, cleaned of what is slower than a heart.
    area : ndarray, (T,)
        Its area as a share of the square over the picture's longer side, not smoothed; by the finer network where it
        sees the chamber that is believed.
    length : ndarray, (T,)
        Its length along its long axis, in cells: by a profile w of widths (sum w)^2 / sum w^2, which grows in
        proportion with any shape.
    agreed : ndarray, (T,)
        Mean of the areas that the networks find which see one and the same chamber.
    confidence : float
        How surely it was seen, 0 to 1.
    """

    signal: Array
    area: Array
    length: Array
    agreed: Array
    confidence: float


def find_cavity(frames: NDArray[np.uint8], times_s: Array) -> Cavity | None:
    """Measure the cavity in frames (T, H, W); None when there is none that beats."""
    if len(frames) < LEAST_FRAMES:
        return None
    found = [seen for network in (FINE, COARSE) if (seen := _seen_by(network, frames, times_s)) is not None]
    if not found:
        return None
    best = max(found, key=lambda seen: seen[0])[1]
    alike = [cavity for _, cavity in found if np.corrcoef(cavity.area, best.area)[0, 1] >= SAME_CHAMBER]
    agreed = np.mean([cavity.area for cavity in alike], axis=0)
    return replace(best, signal=_at(times_s, prepare(agreed, times_s)), area=alike[0].area, length=alike[0].length,
                   agreed=agreed)


def _seen_by(network: Network, frames: NDArray[np.uint8], times_s: Array) -> tuple[float, Cavity] | None:
    """How much the area found by a network runs like a ventricle's, and the cavity."""
    shares = cavity_shares(frames, network)
    sure_cells = round(SURE_SHARE * network.side ** 2)
    seen = float(np.sort(shares.mean(0), axis=None)[-sure_cells:].mean())
    if seen < LEAST_SEEN:
        return None
    area = shares.sum((1, 2)).astype(np.float64) / network.side ** 2
    clean = prepare(area, times_s)
    if clean.quality < LEAST_QUALITY:
        return None
    confidence = min((seen - LEAST_SEEN) / (FULLY_SEEN - LEAST_SEEN), 1.0)
    return likeness(clean), Cavity(_at(times_s, clean), area, _length(shares), area, confidence)


def _at(times_s: Array, clean: Clean) -> Array:
    """A clean signal at the times of the frames (T,)."""
    return np.asarray(np.interp(times_s, clean.even_s, clean.even))


def _length(shares: Cells) -> Array:
    """Length (T,) in cells of the cavity in shares (T, side, side), along the long axis of their mean."""
    mean = shares.mean(0).astype(np.float64).ravel()
    places = np.indices(shares.shape[1:]).reshape(2, -1)
    axis = np.linalg.eigh(np.cov(places, aweights=mean))[1][:, -1]
    along = axis @ places
    row = np.floor(along - along.min()).astype(int)
    cells = shares.reshape(len(shares), -1)
    widths = np.stack([cells[:, row == at].sum(1) for at in range(row.max() + 1)], axis=1).astype(np.float64)
    return np.asarray(widths.sum(1) ** 2 / np.maximum((widths ** 2).sum(1), 1e-12))


def cavity_shares(frames: NDArray[np.uint8], network: Network = FINE) -> Cells:
    """Share, 0 to 1, of every cell that is left-ventricular cavity, (T, side, side), in frames (T, H, W)."""
    cells = to_cells(frames, network.side)
    weights = _weights(network.path)
    parts = [_run(weights, inputs(cells[start:start + BLOCK_FRAMES], cells))
             for start in range(0, len(cells), BLOCK_FRAMES)]
    return np.concatenate(parts)


def to_cells(frames: NDArray[np.uint8], side: int = FINE.side) -> Cells:
    """Frames (T, H, W) averaged to cells (T, side, side) of [0, 1]; the shorter side is centered between black ones."""
    if max(frames.shape[1:]) < side:
        times = -(-side // max(frames.shape[1:]))
        frames = frames.repeat(times, axis=1).repeat(times, axis=2)
    height, width = frames.shape[1:]
    longest = max(height, width)
    rows, columns = (max(1, round(side * length / longest)) for length in (height, width))
    top, left = (side - rows) // 2, (side - columns) // 2
    y, x = (np.linspace(0, length, count + 1).round().astype(int)
            for length, count in ((height, rows), (width, columns)))
    out = np.zeros((len(frames), side, side), np.float32)
    area = np.outer(np.diff(y), np.diff(x)) * np.float32(255)
    step = max(1, BLOCK_VALUES // (height * width))
    for start in range(0, len(frames), step):
        part = frames[start:start + step].astype(np.float32)
        sums = np.add.reduceat(np.add.reduceat(part, y[:-1], axis=1), x[:-1], axis=2)
        out[start:start + step, top:top + rows, left:left + columns] = sums / area
    return out


def inputs(part: Cells, cells: Cells) -> Cells:
    """Channels (n, side, side, 4) of some frames (n, side, side): gray level, the clip's mean, its change, depth."""
    depth = np.linspace(-0.5, 0.5, cells.shape[1], dtype=np.float32)[:, None]
    still = (cells.mean(0), CHANGE_GAIN * cells.std(0), depth)
    return np.stack([part, *(np.broadcast_to(channel, part.shape) for channel in still)], axis=-1)


@cache
def _weights(path: Path) -> Mapping[str, Cells]:
    return {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}


def _run(network: Mapping[str, Cells], x: Cells) -> Cells:
    """Shares (n, side, side) from channels (n, side, side, 4)."""
    first = _block(network, "down1", x)
    second = _block(network, "down2", _pool(first))
    third = _block(network, "down3", _pool(second))
    x = _block(network, "up2", np.concatenate([_grow(third), second], axis=-1))
    x = _block(network, "up1", np.concatenate([_grow(x), first], axis=-1))
    logits = x @ network["out.weight"] + network["out.bias"]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits[..., 0], -30, 30))), np.float32)


def _block(network: Mapping[str, Cells], name: str, x: Cells) -> Cells:
    """Two 3 x 3 convolutions with rectifiers."""
    for index in "ab":
        x = np.maximum(_convolve(x, network[f"{name}{index}.weight"]) + network[f"{name}{index}.bias"], 0)
    return x


def _convolve(x: Cells, weight: Cells) -> Cells:
    """3 x 3 convolution with zeros beyond the edge: (n, h, w, c) by (9 c, k), taps row by row, to (n, h, w, k)."""
    count, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [padded[:, i:i + height, j:j + width] for i in range(3) for j in range(3)]
    flat = np.concatenate(taps, axis=-1).reshape(-1, 9 * channels)
    return np.asarray((flat @ weight).reshape(count, height, width, -1))


def _pool(x: Cells) -> Cells:
    return np.asarray(x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max((2, 4)))


def _grow(x: Cells) -> Cells:
    return x.repeat(2, axis=1).repeat(2, axis=2)
