"""Training clips: simulated hearts and real lung clips, split by patient.

Every clip is brought to the same size and the same number of frames, so that a pool of clips is one array.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.simulate.phantom import random_phantom

Frames = NDArray[np.uint8]

LUNG_TEST_PATIENTS = frozenset({4, 116, 118, 119})
"""Patients of the lung collection that no decoder of this project is trained on: 10 clips, both probes."""

PHANTOM_TEST_SEED = 1_000_000
"""Seeds from here on are for tests; training draws below."""


def lung_files(folder: Path, test: bool = False) -> list[Path]:
    """Lung clips of the training patients, or of the test patients.

    Parameters
    ----------
    folder : Path
        Clips and their `ATTRIBUTION.csv` with the columns `file` and `patient`.
    test : bool
        Which side of the split.
    """
    with (folder / "ATTRIBUTION.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    return [folder / row["file"] for row in rows
            if (int(float(row["patient"])) in LUNG_TEST_PATIENTS) == test]


def read_gray(path: Path, limit: int | None = None) -> Frames:
    """Decode a video to gray frames (T, H, W), at most `limit` of them."""
    frames: list[Frames] = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            frames.append(picture.to_ndarray(format="gray").astype(np.uint8))
            if limit and len(frames) == limit:
                break
    return np.stack(frames)


def resize_area(frames: Frames, size: tuple[int, int]) -> Frames:
    """Shrink frames (T, H, W) to (T, *size), each new pixel the mean of the area it covers."""
    small = torch.nn.functional.interpolate(torch.from_numpy(frames)[:, None].float(), size, mode="area")
    return np.asarray(small[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())


def pick_frames(frames: Frames, count: int) -> Frames:
    """Take `count` frames spread evenly over a clip; short clips repeat frames."""
    return np.asarray(frames[np.linspace(0, len(frames) - 1, count).round().astype(np.intp)])


def phantom_clip(seed: int, size: tuple[int, int], count: int) -> Frames:
    """Every second of 2 * `count` frames of a random phantom, so that about a beat is seen."""
    return random_phantom(seed, frame_count=2 * count, size=size).clip.frames[::2]


def lung_clips(files: Iterable[Path], size: tuple[int, int], count: int, span: int = 64) -> list[Frames]:
    """Pieces of `count` frames from the first two spans of `span` frames of each file, and their mirror images."""
    clips = []
    for path in files:
        frames = resize_area(read_gray(path, 2 * span), size)
        for start in range(0, max(len(frames) - span // 2, 1), span):
            piece = pick_frames(frames[start:start + span], count)
            clips += [piece, piece[:, :, ::-1]]
    return clips
