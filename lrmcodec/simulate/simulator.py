"""Simulated clips: one call from a preset and a seed to a clip with its truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.simulate.plan import Preset, Request, Simulated, Truth
from lrmcodec.simulate.presets import PRESETS
from lrmcodec.simulate.scan import Scanner

Number = TypeVar("Number", int, float)

CHUNK = {"cpu": 8, "cuda": 64}
"""Frames rendered at once: small enough for a processor's cache, large enough to fill a GPU."""

SIDES = (16, 1024)
FPS = (5.0, 500.0)
FRAMES = (1, 20000)


def simulate(preset: str = "echonet_like", seed: int = 0, *, view: str | None = None, frame_count: int | None = None,
             size: tuple[int, int] | None = None, fps: float | None = None, device: str = "cpu",
             masks: bool = False, progress: Callable[[float], None] | None = None) -> Simulated:
    """Simulate an ultrasound clip with exact ground truth.

    The same arguments give the same clip on the same device and versions.

    Parameters
    ----------
    preset : str
        A key of `PRESETS`.
    seed : int
        At least 0; fixes patient, scan, rhythm and noise.
    view : str, optional
        One of the preset's views; by default the preset's first, or, for lungs, one drawn by the seed.
    frame_count, size, fps : optional
        1 to 20000 frames; height and width of 16 to 1024 pixels; 5 to 500 frames a second. The preset's own by default.
    device : str
        "cpu" or "cuda".
    masks : bool
        Whether to make label masks too.
    progress : callable, optional
        Called with the fraction done.

    Raises
    ------
    ValueError
        When a parameter is outside its range; the message gives the range.
    """
    kind = _preset(preset, seed, view)
    rng = np.random.default_rng([seed, 3])
    drawn_count = int(rng.integers(kind.frames[0], kind.frames[1] + 1))
    count = _within("frame_count", drawn_count if frame_count is None else frame_count, FRAMES)
    rate = _within("fps", kind.fps if fps is None else fps, FPS)
    height, width = (_within("size", side, SIDES) for side in size or kind.size)
    times = uniform_times(count, rate)
    plan = kind.draw(rng, Request(view, seed, (height, width), float(times[-1]), device))
    scanner = Scanner(plan.probe, plan.settings, (height, width), seed, device)
    pictures, labels = [], []
    for start in range(0, count, CHUNK[device]):
        now = torch.as_tensor(times[start:start + CHUNK[device]], dtype=torch.float32, device=device)
        pictures.append(scanner.pictures(plan.scene.echo(scanner, now), now))
        if masks:
            labels.append(plan.scene.labels(scanner, now))
        if progress is not None:
            progress(min(1.0, (start + CHUNK[device]) / count))
    frames: NDArray[np.uint8] = scanner.finish(torch.cat(pictures)).cpu().numpy()
    truth = Truth(preset=preset, view=plan.view, seed=seed, fps=rate, **plan.scene.truth(times))
    clip = Clip(frames, times, {"source": "simulated", "preset": preset, "view": plan.view, "seed": seed})
    return Simulated(clip, truth, torch.cat(labels).cpu().numpy() if masks else None, plan.scene.label_values)


def _preset(preset: str, seed: int, view: str | None) -> Preset:
    if preset not in PRESETS:
        raise ValueError(f"no preset '{preset}'; there are {', '.join(PRESETS)}.")
    kind = PRESETS[preset]
    if view is not None and view not in kind.views:
        raise ValueError(f"preset '{preset}' has no view '{view}'; it has {', '.join(kind.views)}.")
    if seed < 0:
        raise ValueError(f"seed is {seed}, allowed are 0 and above.")
    return kind


def _within(name: str, value: Number, limits: tuple[Number, Number]) -> Number:
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name} is {value:g}, allowed are {limits[0]:g} to {limits[1]:g}.")
    return value
