"""Folders of PNG pictures and numpy files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.pixels import TRANSPARENT
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


def test_gaps_in_a_numbering_are_told(tmp_path: Path) -> None:
    for i, frame in enumerate(FRAMES):
        if i not in (7, 8):
            write_png(tmp_path / f"f_{10 * i:03d}.png", frame, "gray")
    clip = read_clip(tmp_path, fps=25)
    assert len(clip.frames) == 10
    assert clip.warnings == ("pictures are missing from the numbering: 2 (70, 80)",)


@pytest.mark.parametrize("names", [["a0", "a1", "a2"], ["5", "6", "7"], ["x10", "x20", "x30"], ["a", "b", "c"],
                                   ["t1700000000", "t1700000041", "t1700000079"]])
def test_whole_numberings_raise_no_alarm(tmp_path: Path, names: list[str]) -> None:
    for name, frame in zip(names, FRAMES, strict=False):
        write_png(tmp_path / f"{name}.png", frame, "gray")
    assert not read_clip(tmp_path, fps=25).warnings


def test_what_else_names_tell(tmp_path: Path) -> None:
    for name in ("a_1", "a_01", "a_2", "b_1", "b_2"):
        write_png(tmp_path / f"{name}.png", FRAMES[0], "gray")
    (tmp_path / "a_3.jpg").write_bytes(b"")
    assert read_clip(tmp_path, fps=25).warnings == (
        "the names of the pictures belong to 2 series, which were put one after the other",
        "numbers of pictures stand more than once in their names",
        "pictures of other kinds in the folder were not read: 1")


def test_a_folder_with_the_name_of_a_picture_is_named(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", FRAMES[0], "gray")
    (tmp_path / "sub.png").mkdir()
    with pytest.raises(ClipError, match=r"sub\.png has the name of a picture"):
        read_clip(tmp_path)


def test_an_animation_among_pictures_is_refused(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in FRAMES[:3]]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], duration=40)
    with pytest.raises(ClipError, match=r"a\.png is an animation"):
        read_clip(tmp_path)


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    picture = np.dstack([FRAMES[0]] * 3 + [np.full_like(FRAMES[0], 255)])
    picture[4:9, :, 3] = 0
    write_png(tmp_path / "a.png", np.ascontiguousarray(picture), "rgba")
    clip = read_clip(tmp_path, fps=25)
    assert not clip.frames[0, 4:9].any()
    np.testing.assert_array_equal(clip.frames[0, 9:], FRAMES[0, 9:])
    assert clip.warnings == (TRANSPARENT,)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"times_s": ' + "[" * 5000 + "]" * 5000 + "}",
                                  '{"times_s": [0, 1e-310, 2e-310]}', '{"times_s": [0, 1e999, NaN]}', "7"])
def test_hostile_times_beside_pictures(tmp_path: Path, text: str) -> None:
    for i in range(3):
        write_png(tmp_path / f"{i}.png", FRAMES[i], "gray")
    (tmp_path / "clip.json").write_text(text)
    with pytest.raises(ClipError, match=r"clip\.json"):
        read_clip(tmp_path)
    assert read_clip(tmp_path, fps=30).fps == 30
