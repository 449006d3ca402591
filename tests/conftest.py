"""Fixtures for several test modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points

import pytest

from lrmcodec.decoders import spatial
from lrmcodec.video import search

QUICK_PRESET = 9
MAIN: Callable[[list[str]], int] = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
SLOW = ("reliability", "train", "archive", "benchmarks", "codec", "cardiac")
"""Folders whose modules come first, so that no worker is left with a long one at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A module stays with one worker, and modules that look at the same benchmark run with the same one."""
    items.sort(key=lambda item: item.path.parent.name not in SLOW)
    if not config.pluginmanager.hasplugin("xdist"):
        return
    sharing = {item.path for item in items if "results" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("benchmark run" if item.path in sharing else str(item.path)))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the entry point in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = MAIN([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture(scope="module")
def quick_pictures() -> Iterator[None]:
    """Code pictures with a fast preset in this module: a tenth larger, and much quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spatial, "FINAL_PRESETS", ())
        patch.setattr(spatial, "LARGE_PRESET", QUICK_PRESET)
        patch.setattr(spatial, "FAST_PRESET", QUICK_PRESET)
        patch.setattr(search, "PRESETS", ((float("inf"), QUICK_PRESET),))
        yield
