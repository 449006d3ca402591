"""Pages: mean and basis pictures of clips, as the spatial codes transmit them, for training on.

Unlike the pools of frames, pages keep the size of their clips; what a step sees is cut out of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.registry import find_pack
from lrmcodec.decoders.spatial import SpatialDecoder
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.formats.echonet import EchoNetDynamic
from lrmcodec.formats.errors import ClipError
from lrmcodec.simulate import simulate
from lrmcodec.simulate.presets import PRESETS
from lrmcodec.train.data import (
    TEST_SEED,
    Frames,
    VideoFolder,
    lung_files,
    pick_frames,
    read_gray,
    resize_area,
)
from lrmcodec.train.recipe import Data

Page = NDArray[np.int16]

LEVEL_UNIT = 64  # of a gray level
PAGE_RANK = 32
MIX = {"echonet_like": 0.7, "pocus_plax": 0.2, "lus_like": 0.1}
"""Shares of the simulated clips by preset; hearts of all views of a preset in turn."""

FRAMES = (60, 180)  # of a simulated clip
PIECE_FRAMES, PIECES = 75, 2  # of a video
SIDES = (112, 128)  # of a cut at least; smaller pages are taken whole
RANKS = (4, 6, 8, 12, 16, 24, 32)


def make_page(frames: Frames) -> Page:
    """Mean and up to PAGE_RANK basis pictures (n, H, W) of frames (T, H, W), in 64ths of a gray level."""
    decoder = SpatialDecoder(find_pack("spatial"))
    fitted = decoder.fit(np.ascontiguousarray(frames), PAGE_RANK, 0, lambda done, label: None)
    assert fitted.basis is not None
    levels = np.concatenate([fitted.latent[None], fitted.basis]) * (255 * LEVEL_UNIT)
    return np.clip(np.round(levels), -32768, 32767).astype(np.int16)


def page_files(data: Data, folder: Path, progress: Callable[[float], None]) -> dict[str, list[Path]]:
    """Pages of all sources that a recipe names, made in `folder` the first time, by source.

    Raises
    ------
    ClipError
        When no source gives a clip.
    """
    wanted = {name: list(items) for name, items in _sources(data).items()}
    total = sum(map(len, wanted.values()))
    if not total:
        raise ClipError("the recipe names no clips to train on.", "Set 'simulated', or name a folder with --data.")
    made = 0
    files: dict[str, list[Path]] = {}
    for name, items in wanted.items():
        for key, make in items:
            files.setdefault(name, []).append(_kept(folder, key, make))
            made += 1
            progress(made / total)
    return files


def held_out_pages(data: Data, folder: Path) -> dict[str, list[Path]]:
    """Pages of a few clips that training never sees."""
    items = {"simulated": [_simulated("echonet_like", TEST_SEED + index, "a4c") for index in range(2)]}
    if data.lung:
        items["lung"] = [item for path in lung_files(Path(data.lung), test=True)[:6:3] for item in _pieces(path)[:1]]
    return {name: [_kept(folder, key, make) for key, make in made] for name, made in items.items()}


def draw_page(files: dict[str, list[Path]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Part of a page (n, h, w) in gray levels: any source alike, a cut, mirrored and with signs turned at random."""
    paths = list(files.values())[rng.integers(len(files))]
    page: Page = np.load(paths[rng.integers(len(paths))], mmap_mode="r")
    count = min(int(rng.choice(RANKS)) + 1, len(page))
    sides = [min(side, int(rng.integers(SIDES[0], SIDES[1] + 1))) for side in page.shape[1:]]
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(page.shape[1:], sides, strict=True))
    cut = page[:count, top:top + sides[0], left:left + sides[1]].astype(np.float32) / LEVEL_UNIT
    signs = rng.choice((-1, 1), count).astype(np.float32)
    signs[0] = 1
    return np.ascontiguousarray(cut[:, :, ::rng.choice((-1, 1))] * signs[:, None, None])


_Item = tuple[str, Callable[[], Frames]]


def _sources(data: Data) -> dict[str, list[_Item]]:
    """For every source what it makes pages of, by a key that says all they depend on."""
    sources: dict[str, list[_Item]] = {}
    for preset, part in MIX.items():
        views = PRESETS[preset].views
        sources[preset] = [_simulated(preset, seed, views[seed % len(views)])
                           for seed in range(round(part * data.simulated))]
    if data.echonet:
        sources["echonet"] = [item for clip in EchoNetDynamic(data.echonet).split("TRAIN")
                              for item in _pieces(clip.path)[:1]]
    if data.lung:
        sources["lung"] = [item for path in lung_files(Path(data.lung)) for item in _pieces(path, small=True)]
    if data.videos:
        sources["videos"] = [item for path in VideoFolder(data.videos).paths for item in _pieces(path)]
    return {name: items for name, items in sources.items() if items}


def _simulated(preset: str, seed: int, view: str) -> _Item:
    count = int(np.random.default_rng(seed).integers(*FRAMES))

    def make() -> Frames:
        return simulate(preset, seed, view=view, frame_count=count).clip.frames

    return f"{preset} {view} {seed} {count}", make


def _pieces(path: Path, small: bool = False) -> list[_Item]:
    """Pieces of a video at its own size and, if `small`, of 112 x 112 pixels too."""
    items: list[_Item] = []
    for index in range(PIECES):
        def make(index: int = index) -> Frames:
            frames = read_gray(path, PIECES * PIECE_FRAMES)
            piece = frames[index * PIECE_FRAMES:(index + 1) * PIECE_FRAMES]
            return piece if len(piece) > PAGE_RANK else pick_frames(frames, min(len(frames), PIECE_FRAMES))

        items.append((f"{path.name} {path.stat().st_size} {index}", make))
    if small:
        items.append((f"{path.name} {path.stat().st_size} small", lambda: resize_area(items[0][1](), (112, 112))))
    return items


def _kept(folder: Path, key: str, make: Callable[[], Frames]) -> Path:
    name = hashlib.sha256(json.dumps(["page", PAGE_RANK, key]).encode()).hexdigest()[:16]
    path = folder / f"page-{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, force=True) as temporary:
            np.save(temporary, make_page(make()))
    return path


def digest(files: Iterable[Path]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the pages' names, which name all they depend on."""
    return hashlib.sha256("\n".join(sorted(path.name for path in files)).encode()).hexdigest()[:16]
