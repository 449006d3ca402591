"""Simulated clips kept in a folder, since simulating takes long; another version of the simulator makes them anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.formats.clip import Clip
from lrmcodec.train.pool import simulator_digest

Labelled = tuple[Clip, Labels | None]


def kept(folder: Path, name: str, make: Callable[[], Labelled]) -> Labelled:
    """A clip and its labels from the folder, made and kept there the first time; several runs may share it."""
    path = folder / simulator_digest() / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        clip, labels = make()
        text = "" if labels is None else json.dumps(asdict(labels))
        with atomic_path(path, force=True) as temporary:
            np.savez_compressed(temporary, frames=clip.frames, times_s=clip.times_s, labels=text)
    with np.load(path) as arrays:
        text = str(arrays["labels"])
        return Clip(arrays["frames"], arrays["times_s"]), Labels.from_json(json.loads(text)) if text else None
