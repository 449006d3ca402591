"""Folders of PNG pictures and numpy files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.stamps import UNKNOWN_RATE
from lrmcodec.formats.video import read_clip, write_frames

FRAMES = np.random.default_rng(3).integers(0, 256, (12, 17, 21), np.uint8)


def write_png(path: Path, picture: NDArray[Any], pixel_format: str) -> None:
    context = av.CodecContext.create("png", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = picture.shape[:2]
    context.pix_fmt, context.framerate = pixel_format, 25  # type: ignore[assignment]
    frame = av.VideoFrame.from_ndarray(picture, format=pixel_format)
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))


def test_png_names_sort_naturally(tmp_path: Path) -> None:
    for i, frame in enumerate(FRAMES):
        write_png(tmp_path / f"view2_{i}.png", frame, "gray")  # 10 comes before 2 in plain order
    (tmp_path / "._view2_0.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_bytes(b"ignored")
    clip = read_clip(tmp_path, fps=50)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert clip.fps == pytest.approx(50)
    assert not clip.warnings


def test_png_without_times_warns_of_the_rate(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", FRAMES[0], "gray")
    assert read_clip(tmp_path).warnings == (UNKNOWN_RATE,)


def test_png_in_rgb_that_is_gray(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", np.repeat(FRAMES[0][..., None], 3, axis=2), "rgb24")
    np.testing.assert_array_equal(read_clip(tmp_path).frames[0], FRAMES[0])


def test_png_in_color(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", np.full((16, 16, 3), (200, 30, 20), np.uint8), "rgb24")
    with pytest.raises(ClipError, match="contains color"):
        read_clip(tmp_path)
    assert read_clip(tmp_path, gray=True).frames[0, 0, 0] == 80


def test_png_of_16_bits(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", np.zeros((16, 16), np.uint16), "gray16be")
    with pytest.raises(ClipError, match="more than 8 bits"):
        read_clip(tmp_path)


def test_png_damaged(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", FRAMES[0], "gray")
    whole = (tmp_path / "0.png").read_bytes()
    for content in (b"", whole[:20], b"not a png"):
        (tmp_path / "0.png").write_bytes(content)
        with pytest.raises(ClipError, match="not a readable PNG"):
            read_clip(tmp_path)


def test_png_of_two_sizes(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", FRAMES[0], "gray")
    write_png(tmp_path / "1.png", FRAMES[0].T.copy(), "gray")
    with pytest.raises(ClipError, match="changes its frame size"):
        read_clip(tmp_path)


def test_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="without PNG"):
        read_clip(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"times_s": [0, 1]}', '{"times_s": "x"}', '{"times_s": [0, NaN, 2]}', "\xff"]
)
def test_png_times_that_do_not_fit(tmp_path: Path, text: str) -> None:
    for i in range(3):
        write_png(tmp_path / f"{i}.png", FRAMES[i], "gray")
    (tmp_path / "clip.json").write_text(text, "latin-1")
    with pytest.raises(ClipError, match=r"clip\.json"):
        read_clip(tmp_path)


def test_png_times_file_is_plain(tmp_path: Path) -> None:
    write_frames(tmp_path / "out", iter([FRAMES[:3]]), np.array([0, 0.5, 0.75]))
    assert json.loads((tmp_path / "out" / "clip.json").read_text()) == {"times_s": [0, 0.5, 0.75]}
    assert (tmp_path / "out" / "frame_000002.png").exists()


@given(st.sampled_from([np.float16, np.float32, np.float64]))
def test_floats_are_rounded_to_the_nearest_level(dtype: type) -> None:
    from lrmcodec.formats.images import _levels

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
