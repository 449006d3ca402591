"""The coder made quick, where something else is tested: fast presets, and a clip's ventricle looked for once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import segment
from lrmcodec.benchmarks.peers import envelope
from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.decoders import spatial, wavelet
from lrmcodec.video import search

PRESET = 9
Put = Callable[[ModuleType, str, Any], None]


def quick_stills(put: Put = setattr) -> None:
    """AV1 stills and video of a fast preset."""
    put(spatial, "FINAL_PRESETS", ())
    put(spatial, "LARGE_PRESET", PRESET)
    put(spatial, "FAST_PRESET", PRESET)
    put(search, "PRESETS", ((float("inf"), PRESET),))


def quick_pictures(put: Put = setattr) -> None:
    """Pictures as such stills, not as wavelets: larger, and much quicker."""
    quick_stills(put)
    put(wavelet, "MAX_VALUES", 0)


def quick_peers(put: Put = setattr) -> None:
    """AV1 beside ours of a fast preset too."""
    put(envelope, "AV1", replace(envelope.AV1, options={**envelope.AV1.options, "preset": str(PRESET)}))


def cavities_found_once(put: Put = setattr) -> None:
    """The ventricle of frames that were encoded before is not looked for again, which takes most of an encoding."""
    found: dict[tuple[bytes, bytes], Cavity | None] = {}

    def find(frames: NDArray[np.uint8], times_s: NDArray[np.float64]) -> Cavity | None:
        key = sha256(repr(frames.shape).encode() + np.ascontiguousarray(frames).tobytes()).digest(), times_s.tobytes()
        if key not in found:
            found[key] = find_cavity(frames, times_s)
        return found[key]

    put(segment, "find_cavity", find)
