"""Clips for PyTorch: decoded when they are asked for, only the frames that are asked for, or coefficients alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lrmcodec import codec
from lrmcodec.archive.entry import CLIP, parse_line
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.find import Query, select
from lrmcodec.archive.home import Archive, Packs, open_archive
from lrmcodec.archive.manifest import listed
from lrmcodec.archive.restore import open_clip
from lrmcodec.reader import LrmFile

Item = dict[str, Any]


class ClipDataset(Dataset[Item]):
    """Map-style data set over the clips of an archive, or over .lrm files.

    Nothing is decoded before it is asked for, and of a clip only the frames wanted: frames are functions of time.
    It can be handed to the processes of a `DataLoader`.

    Parameters
    ----------
    source : str, Path or sequence of paths
        An archive's folder or URL, or .lrm files.
    query : Query, optional
        Which clips of an archive; default all.
    coefficients : bool
        Hand out coefficients instead of frames.
    frames : int, optional
        So many frames from the start, or from a random one; clips that are too short repeat their last frame. By
        default all frames, whose number differs from clip to clip.
    fps : float, optional
        Frames a second; by default those of the clip.
    size : (int, int), optional
        Height and width to render at.
    random_start : bool
        Begin `frames` at a random time that leaves room for them, drawn by torch's generator.
    transform : callable, optional
        Applied to every item.

    Items are mappings: `frames` (1, T, H, W) float32 from 0 to 1, or `coeffs` (T, r) float32, zeros beyond a segment's
    rank, with `segment` (T,) int64; `times_s` (T,) float32 in seconds; `id` and `path`.

    Raises
    ------
    ArchiveError
        When there is no such archive, or no clip in it.
    """

    def __init__(self, source: str | Path | Sequence[str | Path], query: Query | None = None, *,
                 coefficients: bool = False, frames: int | None = None, fps: float | None = None,
                 size: tuple[int, int] | None = None, random_start: bool = False,
                 transform: Callable[[Item], Any] | None = None) -> None:
        self._place = str(source) if isinstance(source, str | Path) else ""
        self._coefficients, self._frames, self._fps, self._size = coefficients, frames, fps, size
        self._random_start, self._transform = random_start, transform
        if self._place:
            entries = select(listed(open_archive(self._place).store), query or Query(kind=CLIP))
            self._lines = [entry.to_line() for entry in entries if entry.kind == CLIP]
        else:
            assert not isinstance(source, str | Path)
            self._lines = [str(path).encode("utf-8", "surrogateescape") for path in source]
        if not self._lines:
            raise ArchiveError("there is no clip to read.", "Ask for others, or check the archive.")

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Any:
        file, names = self._open(self._lines[index])
        item = self._coeffs_of(file) if self._coefficients else self._frames_of(file)
        item |= names
        return item if self._transform is None else self._transform(item)

    def _open(self, line: bytes) -> tuple[LrmFile, Item]:
        if not self._place:
            path = line.decode("utf-8", "surrogateescape")
            return codec.open(path, device="cpu"), {"id": Path(path).stem, "path": path}
        archive, packs = _opened(self._place)
        entry = parse_line(line)
        return open_clip(archive.store, packs, entry), {"id": entry.id, "path": entry.path}

    def _frames_of(self, file: LrmFile) -> Item:
        times = file.times_s if self._fps is None else file.select_times(fps=self._fps)
        times = self._window(times)
        shown = np.unique(times)
        frames = file.frames(shown, self._size)[np.searchsorted(shown, times)]
        return {"frames": torch.from_numpy(frames).float()[None] / 255, "times_s": torch.from_numpy(times).float()}

    def _window(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times of the frames wanted; the last one again where there are too few."""
        if self._frames is None:
            return times
        spare = len(times) - self._frames
        first = int(torch.randint(spare + 1, ())) if self._random_start and spare > 0 else 0
        return times[np.minimum(np.arange(first, first + self._frames), len(times) - 1)]

    def _coeffs_of(self, file: LrmFile) -> Item:
        parts = file.coeffs
        rank = max(part.shape[1] for part in parts)
        padded = [np.pad(part, ((0, 0), (0, rank - part.shape[1]))) for part in parts]
        numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return {"coeffs": torch.from_numpy(np.concatenate(padded)).float(), "segment": torch.from_numpy(numbers),
                "times_s": torch.from_numpy(file.times_s).float()}


@lru_cache(maxsize=2)
def _opened(place: str) -> tuple[Archive, Packs]:
    archive = open_archive(place)
    return archive, Packs(archive.store)
