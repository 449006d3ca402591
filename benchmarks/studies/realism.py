"""How close simulated clips come to real ones, in figures.

python -m lrmcodec.benchmarks.studies.realism REAL... --preset echonet_like --count 12 --seed 0 -o DIR [--size 112x112]
    [--frames 128]

Gray-level histogram, radial power spectrum, length of the speckle's autocorrelation, temporal power spectrum, and the
best rank-r PSNR of the clips; means over clips, real beside simulated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import welch

from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import read_clip
from lrmcodec.metrics import psnr_of_mse
from lrmcodec.provenance import provenance
from lrmcodec.simulate.simulator import simulate

Array = NDArray[np.float64]

RANKS = (0, 1, 2, 4, 8, 16, 32, 64)
RINGS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.25, 0.35, 0.5)
"""Edges of the rings of spatial frequency, in cycles a pixel."""

BANDS_HZ = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 25.0)
AXES = ("rows", "columns")
LEVELS = (10, 25, 50, 75, 90, 99)
"""Percentiles of gray shown."""


@dataclass(frozen=True)
class Look:
    """Figures of one clip.

    Attributes
    ----------
    histogram : ndarray, (256,)
        Share of each gray level.
    rings : ndarray, (len(RINGS) - 1,)
        Spatial power of gray levels a ring, dB a coefficient, mean over frames.
    grain : tuple of float
        Rows and columns after which the autocorrelation of the fine texture of bright tissue has fallen to one half.
    bands : ndarray, (len(BANDS_HZ) - 1,)
        Temporal power of gray levels a band, dB a hertz, mean over pixels; nan above half the frame rate.
    rank_db : ndarray, (len(RANKS),)
        PSNR of the best approximation of each rank around the mean frame.
    """

    histogram: Array
    rings: Array
    grain: tuple[float, float]
    bands: Array
    rank_db: Array


def look(clip: Clip) -> Look:
    """Measure a clip of gray frames."""
    frames = clip.frames.astype(np.float64)
    histogram = np.bincount(clip.frames.ravel(), minlength=256) / clip.frames.size
    return Look(histogram, _rings(frames), _grain(frames), _bands(frames, clip.fps), rank_psnr_db(frames / 255))


def rank_psnr_db(frames: Array) -> Array:
    """Mean over frames of the PSNR of the best rank-r approximation, for each of `RANKS`; frames in [0, 1]."""
    flat = frames.reshape(len(frames), -1)
    centered = flat - flat.mean(0)
    values, vectors = np.linalg.eigh(centered @ centered.T)
    found = []
    for rank in RANKS:
        kept = vectors[:, len(values) - min(rank, len(values)):]
        rest = centered - kept @ (kept.T @ centered)
        found.append(float(np.mean(psnr_of_mse(np.square(rest).mean(1) + 1e-10))))
    return np.asarray(found)


def _rings(frames: Array) -> Array:
    window = np.outer(np.hanning(frames.shape[1]), np.hanning(frames.shape[2]))
    picked = frames[::max(1, len(frames) // 16)]
    power = np.square(np.abs(np.fft.fft2((picked - picked.mean()) * window))).mean(0) / window.size
    radius = np.hypot(np.fft.fftfreq(frames.shape[1])[:, None], np.fft.fftfreq(frames.shape[2]))
    return np.array([10 * np.log10(power[(radius >= low) & (radius < high)].mean() + 1e-9)
                     for low, high in pairwise(RINGS)])


def _grain(frames: Array) -> tuple[float, float]:
    correlation = np.zeros((2, 8))
    for frame in frames[::max(1, len(frames) // 16)]:
        coarse = gaussian_filter(frame, 3)
        fine = np.where(coarse > np.percentile(coarse, 70), frame - coarse, 0.0)
        for axis in (0, 1):
            correlation[axis] += [(np.roll(fine, lag, axis) * fine).sum() for lag in range(8)]
    correlation /= correlation[:, :1]
    rows, columns = (float(np.interp(-0.5, -np.minimum.accumulate(row), np.arange(8))) for row in correlation)
    return rows, columns


def _bands(frames: Array, fps: float) -> Array:
    flat = frames.reshape(len(frames), -1)
    hertz, power = welch(flat, fps, nperseg=min(len(frames), round(2 * fps)), axis=0)
    mean = power.mean(1)
    shares = []
    for low, high in pairwise(BANDS_HZ):
        inside = (hertz >= low) & (hertz < high)
        shares.append(10 * np.log10(mean[inside].mean() + 1e-9) if inside.any() and low < fps / 2 else np.nan)
    return np.asarray(shares)


def histogram_distance(a: Array, b: Array) -> float:
    """Earth mover's distance of two histograms (256,) in gray levels."""
    return float(np.abs(np.cumsum(a - b)).sum())


def comparison(real: Sequence[Look], simulated: Sequence[Look]) -> Table:
    """Means over clips, real beside simulated."""
    groups = [[_figures(seen) for seen in group] for group in (real, simulated)]
    lines = [_line(name, *(float(np.nanmean([figures[name] for figures in group])) for group in groups))
             for name in groups[0][0]]
    mean_real, mean_made = (np.mean([seen.histogram for seen in group], axis=0) for group in (real, simulated))
    lines += [_line(f"gray level, {percent} %", _percentile(mean_real, percent), _percentile(mean_made, percent))
              for percent in LEVELS]
    distance = histogram_distance(mean_real, mean_made)
    between = np.mean([histogram_distance(seen.histogram, mean_real) for seen in real])
    lines.append(("histogram distance, gray levels", f"{between:.1f} (each to their mean)", MISSING, f"{distance:.1f}"))
    return Table("Real and simulated", ("figure", f"{len(real)} real", f"{len(simulated)} simulated", "difference"),
                 lines)


def _figures(seen: Look) -> dict[str, float]:
    """Figures of one clip by the names they have in the table."""
    figures = {f"rank {rank}, dB": value for rank, value in zip(RANKS, seen.rank_db, strict=True)}
    figures |= {f"{low:g} to {high:g} cycles/pixel, dB": value
                for (low, high), value in zip(pairwise(RINGS), seen.rings, strict=True)}
    figures |= {f"{low:g} to {high:g} Hz, dB": value
                for (low, high), value in zip(pairwise(BANDS_HZ), seen.bands, strict=True)}
    return figures | {f"texture's half length, {name}, pixels": value
                      for name, value in zip(AXES, seen.grain, strict=True)}


def _line(name: str, real: float, simulated: float) -> tuple[str, ...]:
    return name, f"{real:.2f}", f"{simulated:.2f}", f"{simulated - real:+.2f}"


def _percentile(histogram: Array, percent: float) -> float:
    return float(np.searchsorted(np.cumsum(histogram), percent / 100))


def _begin(clip: Clip, frames: int | None) -> Clip:
    """At most the first `frames` frames."""
    return Clip(clip.frames[:frames], clip.times_s[:frames], clip.metadata)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", nargs="+", type=Path)
    parser.add_argument("--preset", default="echonet_like")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="112x112", help="HxW for both")
    parser.add_argument("--frames", type=int, help="use at most so many frames of each clip, real or simulated")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    real = [look(_begin(read_clip(path, gray=True, size=(height, width)), options.frames)) for path in options.real]
    made = []
    for seed in range(options.seed, options.seed + options.count):
        made.append(look(_begin(simulate(options.preset, seed, size=(height, width)).clip, options.frames)))
        print(f"{options.preset} {seed}", file=sys.stderr)
    length = f", their first {options.frames} frames" if options.frames else ""
    text = (f"# Simulated `{options.preset}` beside real clips\n\n{comparison(real, made).markdown()}\n\n"
            f"Means over clips of {options.size}{length}; simulated with seeds from {options.seed}. {provenance()}.\n")
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / f"realism_{options.preset}.md", text.encode(), force=True)
    print(text)


if __name__ == "__main__":
    main()
