"""The front door: every kind in and out, and errors a user can act on."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import lrmcodec.formats
from lrmcodec.formats import frames as frames_module
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError, OutputError
from lrmcodec.formats.video import WRITERS, check_output_kind, read_clip, write_clip, write_frames

EXACT = [".avi", ".mkv", ".gif", ".npy", ".npz", ".dcm", ""]
IRREGULAR = {".mkv": 0.5e-3, ".mp4": 0.5e-6, ".npz": 0.0, "": 0.0, ".dcm": 0.5e-6, ".gif": 5e-3}


def pictures(count: int = 6, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + k / 3) * np.cos(y / 11) for k in range(count)]
    return np.rint(127.5 + 127.5 * np.array(waves)).astype(np.uint8)


def irregular(count: int) -> NDArray[np.float64]:
    steps = np.random.default_rng(2).uniform(0.021, 0.06, count - 1)
    return np.concatenate([[0.0], np.cumsum(steps)])


@pytest.mark.parametrize("shape", [(6, 32, 48), (5, 33, 47), (1, 17, 16), (1, 1, 1), (70, 16, 19)])
@pytest.mark.parametrize("suffix", EXACT)
def test_lossless_round_trip(tmp_path: Path, suffix: str, shape: tuple[int, int, int]) -> None:
    if suffix == ".dcm":
        pytest.importorskip("pydicom")
    clip = Clip.from_fps(pictures(*shape), 25)
    write_clip(clip, tmp_path / f"a{suffix}")
    again = read_clip(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(again.frames, clip.frames)
    np.testing.assert_allclose(again.times_s, clip.times_s, atol=1e-12)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("shape", [(6, 32, 48), (5, 33, 47), (4, 32, 47), (1, 17, 16)])
def test_mp4_round_trip_is_close_and_keeps_odd_sizes(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    clip = Clip.from_fps(pictures(*shape), 30)
    write_clip(clip, tmp_path / "a.mp4")
    again = read_clip(tmp_path / "a.mp4")
    assert again.frames.shape == shape
    assert np.abs(again.frames.astype(int) - clip.frames).mean() < 2
    np.testing.assert_allclose(again.times_s, clip.times_s, atol=1e-12)


@pytest.mark.parametrize("suffix", IRREGULAR)
def test_irregular_times_survive(tmp_path: Path, suffix: str) -> None:
    if suffix == ".dcm":
        pytest.importorskip("pydicom")
    clip = Clip(pictures(40, 16, 16), irregular(40))
    write_clip(clip, tmp_path / f"a{suffix}")
    times = read_clip(tmp_path / f"a{suffix}").times_s
    assert np.abs(times - clip.times_s).max() <= IRREGULAR[suffix] + 1e-9


def test_avi_refuses_irregular_times(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="irregular") as caught:
        write_clip(Clip(pictures(), irregular(6)), tmp_path / "a.avi")
    assert ".mkv" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(2, 40)),
    suffix=st.sampled_from([".npz", ".mkv", ""]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pixels_survive(shape: tuple[int, int, int], suffix: str, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(Clip.from_fps(noise, 50), Path(folder) / f"a{suffix}")
        np.testing.assert_array_equal(read_clip(Path(folder) / f"a{suffix}").frames, noise)


def test_trailing_slash_is_a_folder(tmp_path: Path) -> None:
    write_clip(Clip.from_fps(pictures(), 25), f"{tmp_path}/run.2/")
    assert len(list((tmp_path / "run.2").glob("*.png"))) == 6
    assert len(read_clip(tmp_path / "run.2").frames) == 6


def test_kind_is_seen_in_the_content(tmp_path: Path) -> None:
    for suffix in (".npy", ".npz", ".mkv", ".avi"):
        write_clip(Clip.from_fps(pictures(), 25), tmp_path / f"a{suffix}")
        (tmp_path / f"a{suffix}").rename(tmp_path / "export")
        assert len(read_clip(tmp_path / "export").frames) == 6
        (tmp_path / "export").unlink()


def test_fps_replaces_times(tmp_path: Path) -> None:
    write_clip(Clip(pictures(), irregular(6)), tmp_path / "a.mkv")
    np.testing.assert_allclose(read_clip(tmp_path / "a.mkv", fps=40).times_s, np.arange(6) / 40)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_rates(tmp_path: Path, fps: float) -> None:
    write_clip(Clip.from_fps(pictures(), 25), tmp_path / "a.mkv")
    with pytest.raises(ClipError, match="no possible frame rate"):
        read_clip(tmp_path / "a.mkv", fps=fps)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".npy", ".npz", ""])
def test_size_is_made_while_reading(tmp_path: Path, suffix: str) -> None:
    write_clip(Clip.from_fps(np.full((3, 40, 60), 90, np.uint8), 25), tmp_path / f"a{suffix}")
    clip = read_clip(tmp_path / f"a{suffix}", size=(20, 31))
    assert clip.frames.shape == (3, 20, 31)
    assert np.abs(clip.frames.astype(int) - 90).max() <= 1


@pytest.mark.parametrize("suffix", [".mkv", ".npz", ".npy", ""])
def test_clips_beyond_memory_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    clip = Clip.from_fps(pictures(50), 25)
    write_clip(clip, tmp_path / f"a{suffix}")
    monkeypatch.setattr(frames_module, "MEMORY_LIMIT_BYTES", 10_000)
    again = read_clip(tmp_path / f"a{suffix}")
    assert isinstance(again.frames, np.memmap)
    np.testing.assert_array_equal(again.frames, clip.frames)


@pytest.mark.parametrize("suffix", [".mkv", ".npz", ".npy", ""])
def test_progress_is_told(tmp_path: Path, suffix: str) -> None:
    write_clip(Clip.from_fps(pictures(40), 25), tmp_path / f"a{suffix}")
    told: list[tuple[float | None, str]] = []
    read_clip(tmp_path / f"a{suffix}", progress=lambda part, label: told.append((part, label)))
    assert told
    assert all(part is None or 0 <= part <= 1 for part, _ in told)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="No such file") as caught:
        read_clip(tmp_path / "none.avi")
    assert caught.value.hint


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".gif", ".npy", ".npz", ".dcm", ""])
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(ClipError, match="is empty"):
        read_clip(tmp_path / f"a{suffix}")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.avi").write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(ClipError, match="Permission denied"):
        read_clip(tmp_path / "a.avi")


def test_existing_output(tmp_path: Path) -> None:
    clip = Clip.from_fps(pictures(), 25)
    for suffix in (".npy", ""):
        write_clip(clip, tmp_path / f"a{suffix}")
        with pytest.raises(OutputError, match="exists"):
            write_clip(clip, tmp_path / f"a{suffix}")
        write_clip(clip, tmp_path / f"a{suffix}", force=True)


def test_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"type \.wmv") as caught:
        write_clip(Clip.from_fps(pictures(), 25), tmp_path / "a.wmv")
    assert all(suffix in caught.value.hint for suffix in WRITERS)
    assert check_output_kind("A.MP4") == ".mp4"


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_interrupted_writing_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    if suffix == ".dcm":
        pytest.importorskip("pydicom")

    def interrupted() -> Iterator[NDArray[np.uint8]]:
        yield pictures(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frames(tmp_path / f"a{suffix}", interrupted(), np.arange(6) / 25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", list(WRITERS))
@pytest.mark.parametrize("counts", [[], [3], [3, 4], [0]])
def test_frames_and_times_must_agree(tmp_path: Path, suffix: str, counts: list[int]) -> None:
    blocks = iter([pictures(6)[:count] for count in counts])
    with pytest.raises(OutputError, match="do not agree"):
        write_frames(tmp_path / f"a{suffix}", blocks, np.arange(6) / 25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("second", [pictures(1, 16, 48), pictures(1).astype(np.float32), pictures(1)[0]])
def test_blocks_must_be_of_one_kind(tmp_path: Path, second: NDArray[np.uint8]) -> None:
    with pytest.raises(OutputError, match="blocks of frames"):
        write_frames(tmp_path / "a.mkv", iter([pictures(2), second]), np.arange(3) / 25)


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dicom", "dicom_write"):
        monkeypatch.delattr(lrmcodec.formats, name, raising=False)
        monkeypatch.setitem(sys.modules, f"lrmcodec.formats.{name}", None)
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(ClipError) as caught:
        read_clip(tmp_path / "a.dcm")
    assert "pip install 'lrmcodec[dicom]'" in caught.value.hint
    with pytest.raises(OutputError, match="pydicom"):
        write_clip(Clip.from_fps(pictures(), 25), tmp_path / "b.dcm")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([".avi", ".mp4", ".npy", ".npz", ".dcm", ".gif", ".png", ""]),
       st.sampled_from([b"", b"GIF89a", b"RIFF\x00\x01\x00\x00AVI ", b"\x93NUMPY\x01\x00", b"PK\x03\x04",
                        bytes(128) + b"DICM", b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x20ftypisom", b"\x1aE\xdf\xa3"]))
def test_garbage_is_a_clip_error(content: bytes, suffix: str, magic: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(magic + content)
        with contextlib.suppress(ClipError):  # anything else fails the test
            read_clip(path)


@pytest.mark.parametrize(("suffix", "rate", "fits"), [
    (".avi", 1000, True), (".avi", 1001, False), (".avi", 5000, False), (".mkv", 2000, True), (".mkv", 20_000, True),
    (".mkv", 50_000, False), (".mp4", 50_000, True), (".npz", 5000, True)])
def test_high_rates_are_kept_or_refused(tmp_path: Path, suffix: str, rate: int, fits: bool) -> None:
    clip = Clip.from_fps(pictures(), rate)
    if not fits:
        with pytest.raises(OutputError, match=f"{rate} frames a second") as caught:
            write_clip(clip, tmp_path / f"a{suffix}")
        assert ".npz" in caught.value.hint
        return
    write_clip(clip, tmp_path / f"a{suffix}")
    again = read_clip(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(again.times_s, clip.times_s, atol=1e-6)
    assert not again.warnings


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ClipError, match="no name of a file"):
        read_clip(name)


@pytest.mark.parametrize("size", [(0, 5), (-3, 20), (10_000_000, 10_000_000), (5,), ()])
def test_impossible_sizes_are_called_so(tmp_path: Path, size: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", frames=pictures(), fps=25.0)
    with pytest.raises(ClipError, match="pixels large"):
        read_clip(tmp_path / "a.npz", size=size)  # type: ignore[arg-type]
