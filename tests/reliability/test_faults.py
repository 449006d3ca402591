"""Failures of the machine: calls that fail, kills, two writers, folders that vanish, little memory."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from killing import kill_often
from numpy.typing import NDArray

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import OutputError
from lrmcodec.formats.npz import npz_bytes
from lrmcodec.formats.video import WRITERS, read_clip, write_clip, write_frames

TESTS = Path(__file__).parents[1]
RUN = "import sys; from lrmcodec.cli.main import main; sys.exit(main(sys.argv[1:]))"
NOBODY = 65534
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


@linux
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_every_call_that_fails_leaves_the_old_or_the_new_output(tmp_path: Path) -> None:
    library = tmp_path / "faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, TESTS / "faults.c", "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(TESTS)}
    done = subprocess.run([sys.executable, "-P", TESTS / "faults.py", tmp_path / "place"], capture_output=True,
                          text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert all(found["counts"][kind] > 0 for kind in ("open", "write", "fsync", "rename", "close", "mkdir"))
    assert found["counts"]["old kept"] > 100


@linux
def test_killed_commands_leave_the_old_or_the_new_output() -> None:
    counts, faults = kill_often(8)
    assert faults == []
    assert counts.total() == 8


def start(*arguments: object, memory: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    return subprocess.Popen([sys.executable, "-P", "-c", RUN, *map(str, arguments)], text=True, stderr=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, preexec_fn=limit)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coded")
    frames = np.arange(20 * 32 * 32, dtype=np.uint32).reshape(20, 32, 32).astype(np.uint8)
    (folder / "clip.npz").write_bytes(npz_bytes(frames=frames, fps=np.array(25.0)))
    process = start("encode", folder / "clip.npz", "--rank", "2", "-o", folder / "a.lrm")
    process.communicate()
    assert process.returncode == 0
    return folder / "a.lrm"


@pytest.mark.parametrize("force", [False, True])
def test_two_processes_write_one_output(coded: Path, tmp_path: Path, force: bool) -> None:
    target = tmp_path / "x.mkv"
    running = [start("decode", coded, "-o", target, *(["--force"] if force else [])) for _ in range(3)]
    said = [process.communicate()[1] for process in running]
    codes = sorted(process.returncode for process in running)
    assert codes == ([0, 0, 0] if force else [0, 1, 1])
    assert sum("exists" in text for text in said) == (0 if force else 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.mkv"]
    assert len(read_clip(target).frames) == 20


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_a_folder_that_vanishes(tmp_path: Path, suffix: str) -> None:
    place = tmp_path / "place"
    place.mkdir()

    def blocks() -> Iterator[NDArray[np.uint8]]:
        yield np.zeros((3, 32, 32), np.uint8)
        shutil.rmtree(place, ignore_errors=True)
        yield np.zeros((3, 32, 32), np.uint8)

    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_frames(place / f"x{suffix}", blocks(), np.arange(6) / 25)
    assert "No such file" in caught.value.what
    assert not place.exists() or not any(place.iterdir())


@contextlib.contextmanager
def user_bound_by_permissions() -> Iterator[None]:
    """Root, whom they do not bind, is nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
@pytest.mark.parametrize("suffix", list(WRITERS))
def test_a_folder_that_may_not_be_written(tmp_path: Path, suffix: str) -> None:
    clip = Clip.from_fps(np.zeros((2, 32, 32), np.uint8), 25)
    write_clip(clip, tmp_path / f"x{suffix}")  # loads what the kind needs
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, where nobody may look
        place, old = Path(name), Path(name) / f"old{suffix}"
        old.write_bytes(b"old")
        place.chmod(0o555)
        with user_bound_by_permissions():
            assert old.read_bytes() == b"old"
            for target in (place / f"x{suffix}", old):
                with pytest.raises(OutputError, match=r"ermission") as caught:
                    write_clip(clip, target, force=True)
                assert target.name in str(caught.value)
        place.chmod(0o755)
        assert [entry.name for entry in place.iterdir()] == [old.name]
        assert old.read_bytes() == b"old"


@linux
@pytest.mark.parametrize(("frames", "memory"), [(10, 1 << 30), (200, 700 << 20)])
def test_little_memory_gives_a_file_or_an_error(tmp_path: Path, frames: int, memory: int) -> None:
    clip, target = tmp_path / "a.npz", tmp_path / "a.lrm"
    clip.write_bytes(npz_bytes(frames=np.zeros((frames, 400, 400), np.uint8), fps=np.array(25.0)))
    target.write_bytes(b"old")
    process = start("encode", clip, "--rank", "1", "--pack", "spatial", "--force", "-o", target, memory=memory)
    said = process.communicate()[1]
    if process.returncode == 0:
        assert target.read_bytes()[:3] == b"LRM"
    else:
        assert process.returncode == 1, said
        assert "not enough memory" in said
        assert target.read_bytes() == b"old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.lrm", "a.npz"]
