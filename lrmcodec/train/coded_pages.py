"""Coded pages: pictures as a reader decodes them and what they lack, for training what refines them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.wavelet import BIT_WEIGHT
from lrmcodec.decoders.wavelet_coder import PictureModel, encode_pictures
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.quantize import pixel_step
from lrmcodec.train.pages import LEVEL_UNIT, draw_page

Q_RANGE = (40.0, 220.0)
PICTURES = (6, 16)  # of a page at most
SEED = 77
TEST_Q = (60.0, 100.0, 145.0, 190.0)
TEST_PICTURES, TEST_SIDE = 9, 160


class CodedPage(NamedTuple):
    """Pictures (n, H, W) float32 in steps as decoded and what they lack, and the quantizer index."""

    decoded: NDArray[np.float32]
    missing: NDArray[np.float32]
    q: float


def coded_files(files: dict[str, list[Path]], model: PictureModel, pack: str, count: int, folder: Path,
                progress: Callable[[float], None]) -> list[tuple[Path, float]]:
    """Files of `count` coded cuts of pages, made in `folder` the first time, and their quantizer indices.

    Parameters
    ----------
    files : dict of list of Path
        Pages by source.
    model : PictureModel
    pack : str
        Digest of the pack that the model is from.
    count : int
    folder : Path
    progress : callable
        Called with the fraction done.
    """
    key = hashlib.sha256(json.dumps([pack, {name: [path.name for path in paths] for name, paths in files.items()}])
                         .encode()).hexdigest()[:12]
    made = []
    for index in range(count):
        rng = np.random.default_rng([SEED, index])
        page, q = draw_page(files, rng), float(np.round(16 * rng.uniform(*Q_RANGE)) / 16)
        cut = page[:int(rng.integers(*PICTURES))]
        path = folder / f"coded-{key}-{index}.npy"
        if not path.exists():
            with atomic_path(path, force=True) as temporary:
                np.save(temporary, np.stack(code_page(cut, q, model)[:2]))
        made.append((path, q))
        progress((index + 1) / count)
    return made


def load_coded(path: Path, q: float) -> CodedPage:
    """A coded page as `coded_files` left it, read as far as it is looked at."""
    decoded, missing = np.load(path, mmap_mode="r")
    return CodedPage(decoded, missing, q)


def test_pages(files: dict[str, list[Path]], model: PictureModel) -> dict[str, list[CodedPage]]:
    """Held-out pages by source, coded at every TEST_Q; of large ones the middle."""
    found: dict[str, list[CodedPage]] = {}
    for name, paths in files.items():
        for path in paths:
            page = np.load(path)[:TEST_PICTURES].astype(np.float32) / LEVEL_UNIT
            top, left = (max(0, (side - TEST_SIDE) // 2) for side in page.shape[1:])
            cut = page[:, top:top + TEST_SIDE, left:left + TEST_SIDE]
            found.setdefault(name, []).extend(code_page(cut, q, model) for q in TEST_Q)
    return found


def code_page(page: NDArray[np.float32], q: float, model: PictureModel) -> CodedPage:
    """Code pictures (n, H, W) in gray levels as an encoder would."""
    sources = page.astype(np.float64) / (255 * pixel_step(q))
    _, decoded = encode_pictures(iter(sources), q, model, BIT_WEIGHT)
    return CodedPage(decoded.astype(np.float32), (sources - decoded).astype(np.float32), q)
