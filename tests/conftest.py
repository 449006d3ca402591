"""Fixtures for several test modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.metadata import entry_points

import numpy as np
import pytest
import quick_worker
from numpy.typing import NDArray

from lrmcodec import segment
from lrmcodec.benchmarks.measure import campaign
from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.decoders import spatial, wavelet
from lrmcodec.video import search

QUICK_PRESET = 9
MAIN: Callable[[list[str]], int] = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
SLOW = ("reliability", "train", "archive", "benchmarks", "codec", "cardiac")
"""Folders whose modules come first, so that no worker is left with a long one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow folders first."""
    items.sort(key=lambda item: item.path.parent.name not in SLOW)


@pytest.fixture(scope="session", autouse=True)
def cavities_found_once() -> Iterator[None]:
    """The ventricle of frames that were encoded before is not looked for again, which takes most of an encoding."""
    found: dict[tuple[bytes, bytes], Cavity | None] = {}

    def find(frames: NDArray[np.uint8], times_s: NDArray[np.float64]) -> Cavity | None:
        key = sha256(repr(frames.shape).encode() + np.ascontiguousarray(frames).tobytes()).digest(), times_s.tobytes()
        if key not in found:
            found[key] = find_cavity(frames, times_s)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "find_cavity", find)
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the entry point in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = MAIN([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture
def quick_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of `bench` are measured by the quick worker."""
    monkeypatch.setattr(campaign, "WORKER", [quick_worker.__file__])


@pytest.fixture(scope="module")
def quick_pictures(quick_stills: None) -> Iterator[None]:
    """Code pictures as AV1 stills of a fast preset in this module: larger, and much quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavelet, "MAX_VALUES", 0)
        yield


@pytest.fixture(scope="module")
def quick_stills() -> Iterator[None]:
    """Code AV1 stills and video with a fast preset in this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spatial, "FINAL_PRESETS", ())
        patch.setattr(spatial, "LARGE_PRESET", QUICK_PRESET)
        patch.setattr(spatial, "FAST_PRESET", QUICK_PRESET)
        patch.setattr(search, "PRESETS", ((float("inf"), QUICK_PRESET),))
        yield
