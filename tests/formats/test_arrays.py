"""Numpy files: levels, shapes, counts, times, hostile headers."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.stamps import UNKNOWN_RATE
from lrmcodec.formats.video import read_clip, write_frames

FRAMES = np.random.default_rng(3).integers(0, 256, (12, 17, 21), np.uint8)


@given(st.sampled_from([np.float16, np.float32, np.float64]))
def test_floats_are_rounded_to_the_nearest_level(dtype: type) -> None:
    from lrmcodec.formats.arrays import _levels

    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(_levels((levels / 255).astype(dtype), "x", 0), levels)


def test_npy_of_floats(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", (FRAMES / 255).astype(np.float32))
    clip = read_clip(tmp_path / "a.npy", fps=30)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert clip.fps == pytest.approx(30)


def test_npy_of_one_picture(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES[0])
    assert read_clip(tmp_path / "a.npy").frames.shape == (1, 17, 21)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.01, 1.01])
def test_npy_of_bad_values(tmp_path: Path, bad: float) -> None:
    values = np.zeros((3, 16, 16))
    values[2, 5, 5] = bad
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ClipError, match="NaN or values outside 0 to 1 in frame 2"):
        read_clip(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 16, 16), np.uint16),
        np.zeros((2, 16, 16), np.int64),
        np.zeros((2, 16, 16, 3), np.uint8),
        np.zeros(16, np.uint8),
        np.zeros((0, 16, 16), np.uint8),
        np.zeros((2, 16, 16), np.complex128),
        np.array([None, 1], dtype=object),
        np.asfortranarray(np.zeros((2, 16, 16), np.uint8)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_npy_of_other_kinds(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ClipError) as caught:
        read_clip(tmp_path / "a.npy")
    assert "uint8" in caught.value.hint


def test_npy_truncated_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, FRAMES[:1, :16, :16])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ClipError):
            read_clip(path)


def test_npy_header_that_claims_too_much(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"shape": (10**9, 2048, 2048), "fortran_order": False, "descr": "|u1"}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ClipError, match="ends in frame 0"):
        read_clip(tmp_path / "a.npy")


def test_npz_with_times_or_rate(tmp_path: Path) -> None:
    times = np.cumsum(np.full(12, 0.03)) ** 1.1
    np.savez(tmp_path / "times.npz", frames=FRAMES, times_s=times)
    np.testing.assert_allclose(read_clip(tmp_path / "times.npz").times_s, times - times[0])
    np.savez(tmp_path / "fps.npz", frames=FRAMES, fps=40)
    assert read_clip(tmp_path / "fps.npz").fps == pytest.approx(40)
    np.savez(tmp_path / "none.npz", frames=FRAMES)
    assert read_clip(tmp_path / "none.npz").warnings == (UNKNOWN_RATE,)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": FRAMES},
        {"frames": FRAMES, "times_s": np.zeros(12)},
        {"frames": FRAMES, "times_s": np.arange(11)},
        {"frames": FRAMES, "times_s": np.array(["x"] * 12)},
        {"frames": FRAMES, "fps": np.array([1, 2])},
        {"frames": FRAMES.astype(np.int32)},
    ],
)
def test_npz_that_does_not_fit(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ClipError):
        read_clip(tmp_path / "a.npz")


@pytest.mark.parametrize("compress", [False, True])
def test_npz_damaged(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compress else np.savez)(path, frames=FRAMES, times_s=np.arange(12.0))
    whole = bytearray(path.read_bytes())
    for cut in (1, 10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ClipError):
            read_clip(path)
    whole[len(whole) // 3] ^= 255
    path.write_bytes(whole)
    with pytest.raises(ClipError, match="npz"):
        read_clip(path)


def test_npz_is_readable_by_numpy(tmp_path: Path) -> None:
    write_frames(tmp_path / "a.npz", iter([FRAMES[:5], FRAMES[5:]]), np.arange(12) / 40)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["frames"], FRAMES)
        np.testing.assert_array_equal(arrays["times_s"], np.arange(12) / 40)
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


def npy(shape: str, descr: str = "'|u1'", data: bytes = b"") -> bytes:
    """A .npy file with any header."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


HOSTILE = {
    "negative": npy("(-1, 16, 16)"), "negative twice": npy("(-2, -16, 16)"), "zero": npy("(0, 16, 16)"),
    "huge": npy("(99999999999999999999, 16, 16)"), "huge frames": npy("(1, 100000, 100000)"),
    "beyond integers": npy("(1e400, 16, 16)"), "bool": npy("(True, True, True)"), "a word": npy("'abc'"),
    "deep": npy("(" * 3000 + ")" * 3000), "deep lists": npy("[" * 900 + "]" * 900),
    "objects": npy("(3, 16, 16)", "'|O'"), "records": npy("(3, 16, 16)", "[('a', '<f4')]"),
    "sub-arrays": npy("(3, 16, 16)", "('<f4', (3,))"), "no dtype": npy("(3, 16, 16)", "'<q99'"),
    "not Python": npy("(3, 16, 16)", "'|u1' \0"), "large items": npy("(3, 16, 16)", "'|V2147483647'"),
    "a code": npy("(3, 16, 16)", "__import__('os')"), "short": b"\x93NUMPY\1", "no header": b"\x93NUMPY\1\0\xff\xff{",
    "other version": b"\x93NUMPY\x09\0" + bytes(60), "unicode": b"\x93NUMPY\3\0\4\0\0\0\xff\xff\xff\xff",
}


@pytest.mark.parametrize("kind", list(HOSTILE))
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_hostile_headers_are_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        path.write_bytes(HOSTILE[kind])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("frames.npy", HOSTILE[kind])
    with pytest.raises(ClipError) as caught:
        read_clip(path)
    assert str(path) in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(("data", "words"), [
    (bytes(3 * 256), "promises 4 frames, but ends in frame 3"), (bytes(4 * 256 + 1), "1 more bytes follow"),
    (bytes(6 * 256), "512 more bytes follow")])
def test_header_and_length_are_compared(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.npy").write_bytes(npy("(4, 16, 16)", data=data))
    with pytest.raises(ClipError, match=words):
        read_clip(tmp_path / "a.npy")


def test_axes_in_another_order_are_suspected(tmp_path: Path) -> None:
    for shape, told in (((64, 64, 20), True), ((60, 80, 17), True), ((20, 64, 64), False), ((40, 30, 60), False)):
        np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
        assert any("looks like (H, W, T)" in text for text in read_clip(tmp_path / "a.npy").warnings) == told, shape


@pytest.mark.parametrize("fps", [np.inf, -np.inf, np.nan, 0.0, -25.0, 90_000.0, 1e-310, 1e308])
def test_impossible_rates_of_npz_are_named(tmp_path: Path, fps: float) -> None:
    np.savez(tmp_path / "a.npz", frames=FRAMES, fps=fps)
    with pytest.raises(ClipError, match=r"a\.npz: fps is") as caught:
        read_clip(tmp_path / "a.npz")
    assert "--fps" in caught.value.hint
    clip = read_clip(tmp_path / "a.npz", fps=50)
    assert (clip.fps, clip.warnings) == (50, ())


@pytest.mark.parametrize("times", [
    np.arange(12) * 1e-310, np.arange(12) * 1e306, np.zeros(12), -np.arange(12.0), np.full(12, np.nan), np.arange(11.0),
    np.arange(12) + 1j, np.arange(12).astype(str), np.arange(12)[None, None], np.arange(12) * 1e-7,
    np.arange(12, dtype=np.longdouble) * np.longdouble("1e4000")])
def test_impossible_times_of_npz_are_refused(tmp_path: Path, times: NDArray[Any]) -> None:
    np.savez(tmp_path / "a.npz", frames=FRAMES, times_s=times)
    with pytest.raises(ClipError, match="times_s"):
        read_clip(tmp_path / "a.npz")


def test_times_are_checked_before_they_are_loaded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("frames.npy", "w") as file:
            np.lib.format.write_array(file, FRAMES)
        with archive.open("times_s.npy", "w", force_zip64=True) as file:
            file.write(npy(f"({1 << 27},)", "'<f8'"))
            for _ in range(1 << 6):
                file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ClipError, match="not 12 numbers"):
        read_clip(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_times_and_rate_that_disagree_are_mentioned(tmp_path: Path) -> None:
    for fps, told in ((50.0, True), (25.0, False)):
        np.savez(tmp_path / "a.npz", frames=FRAMES, times_s=np.arange(12) / 25, fps=fps)
        clip = read_clip(tmp_path / "a.npz")
        assert clip.fps == 25
        assert bool(clip.warnings) == told


def test_encrypted_and_corrupt_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, frames=FRAMES, times_s=np.arange(12.0))
    whole = path.read_bytes()
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[whole.index(b"PK\1\2") + 8] |= 1
    corrupt = bytearray(whole)
    corrupt[300] ^= 0xFF
    rare = bytearray(whole)
    rare[whole.index(b"PK\1\2") + 10] = 97  # a compression that zipfile lacks
    for data in (bytes(encrypted), bytes(corrupt), bytes(rare), whole[:-30], whole[:60]):
        path.write_bytes(data)
        with pytest.raises(ClipError, match=r"a\.npz"):
            read_clip(path)
