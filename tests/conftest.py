"""Fixtures for several test modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import quick_coder
import quick_worker
from sharing import made_once

from lrmcodec.benchmarks.measure import campaign

MAIN: Callable[[list[str]], int] = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
SLOW = ("reliability", "train", "archive", "benchmarks", "codec", "cardiac")
"""Folders whose modules come first, so that no worker is left with a long one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow folders first."""
    items.sort(key=lambda item: item.path.parent.name not in SLOW)


@pytest.fixture(scope="session", autouse=True)
def cavities_found_once() -> Iterator[None]:
    """The ventricle of a clip is looked for once."""
    with pytest.MonkeyPatch.context() as patch:
        quick_coder.cavities_found_once(patch.setattr)
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the entry point in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = MAIN([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind that an archive meets, and a few more clips."""
    pytest.importorskip("pydicom")
    from lrmcodec.benchmarks.studies import archive_set

    def make(folder: Path) -> Path:
        archive_set.make_set(folder / "studies", 17, side=32, frames=8, lungs=False, bases=3)
        return folder / "studies"

    return made_once(tmp_path_factory, "set", make)


@pytest.fixture
def quick_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of `bench` are measured by the quick worker."""
    monkeypatch.setattr(campaign, "WORKER", [quick_worker.__file__])


@pytest.fixture(scope="module")
def quick_pictures() -> Iterator[None]:
    """Code pictures as AV1 stills of a fast preset in this module: larger, and much quicker."""
    with pytest.MonkeyPatch.context() as patch:
        quick_coder.quick_pictures(patch.setattr)
        yield


@pytest.fixture(scope="module")
def quick_stills() -> Iterator[None]:
    """Code AV1 stills and video with a fast preset in this module."""
    with pytest.MonkeyPatch.context() as patch:
        quick_coder.quick_stills(patch.setattr)
        yield
