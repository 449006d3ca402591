"""Pools of training clips in memory: equal sizes, equal lengths, drawn from several sources in equal shares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrmcodec import simulate
from lrmcodec.formats.atomic import atomic_path

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Pool:
    """Clips of one shape.

    Attributes
    ----------
    frames : Tensor, (n, T, H, W) uint8
    groups : Tensor, (n,) int64
        Source of each clip, counted from 0.
    names : sequence of str
        Names of the sources.
    """

    frames: Tensor
    groups: Tensor
    names: Sequence[str]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.frames.shape[2]), int(self.frames.shape[3])

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Different clips (count or fewer,), every source with the same share on average."""
        sizes = torch.bincount(self.groups, minlength=len(self.names))
        weights = 1.0 / sizes[self.groups].double()
        return torch.multinomial(weights, min(count, len(self.groups)), replacement=False, generator=generator)

    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of all frames."""
        return hashlib.sha256(self.frames.numpy().tobytes()).hexdigest()[:16]


def make_pool(sources: dict[str, Sequence[Frames]]) -> Pool:
    """Pool of clips (T, H, W) by source; sources without clips are left out."""
    kept = {name: clips for name, clips in sources.items() if len(clips)}
    frames = torch.from_numpy(np.stack([clip for clips in kept.values() for clip in clips]))
    groups = torch.repeat_interleave(torch.arange(len(kept)), torch.tensor([len(clips) for clips in kept.values()]))
    return Pool(frames, groups, list(kept))


def simulator_digest() -> str:
    """First 16 hexadecimal digits of the SHA-256 of all that decides a simulated clip beside its arguments.

    That is the simulator's own code and the versions of the libraries that draw its numbers.
    """
    sha = hashlib.sha256(f"numpy {np.__version__}, torch {torch.__version__}".encode())
    folder = Path(simulate.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        sha.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()[:16]


def cached(folder: Path | None, key: dict[str, Any], make: Callable[[], Sequence[Frames]]) -> Sequence[Frames]:
    """Clips from the cache under `folder`, made and kept there the first time; `key` says all they depend on."""
    if folder is None:
        return make()
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"clips-{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, force=True) as temporary:
            np.save(temporary, np.stack(make()))
    return np.asarray(np.load(path))  # type: ignore[return-value]
