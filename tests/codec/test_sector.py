"""The ultrasound sector: found in the pixels of many kinds of pictures, and text beside and in it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.video import read_clip
from lrmcodec.sector import Sector, choose_sector, find_marks, find_sector, nothing
from lrmcodec.sector_sheet import draw, png

HEIGHT, WIDTH, COUNT = 300, 400, 16
NAME = "MUELLER^HANS 4711"

Frames = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def fan(apex_y: float = 20, opening: float = 0.75, near: float = 0, far: float = 230, lean: float = 0) -> Mask:
    """A sector, or with `near` > 0 the picture of a convex probe; angles in radians to both sides of `lean`."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius, angle = np.hypot(y - apex_y, x - WIDTH / 2), np.arctan2(x - WIDTH / 2, y - apex_y)
    return np.asarray((np.abs(angle - lean) <= opening) & (radius >= near) & (radius <= far))


def box(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


SHAPES = {
    "sector": fan(), "narrow": fan(opening=0.35), "leaning": fan(lean=0.15, opening=0.55),
    "convex": fan(apex_y=-60, opening=0.5, near=90, far=320), "linear": box(40, 120, 270, 280),
}


def speckle(mask: Mask, seed: int = 0, dim_from: int = HEIGHT) -> Frames:
    """Flickering tissue inside the mask; from row `dim_from` on nearly dark."""
    rng = np.random.default_rng(seed)
    level = np.where(np.arange(HEIGHT)[:, None] < dim_from, 90.0, 8.0)
    swing = np.where(np.arange(HEIGHT)[:, None] < dim_from, 30.0, 1.2)
    frames = level + swing * rng.standard_normal((COUNT, *mask.shape))
    return np.where(mask, np.clip(frames, 1, 255), 0).astype(np.uint8)


def written_over(frames: Frames, texts: list[tuple[int, int, str]], *, panel: int = 0) -> Frames:
    """Frames with a gray panel on top, texts at (row, column), a gray scale, a clock and a running trace."""
    out = []
    for index, frame in enumerate(frames):
        picture = frame.copy()
        picture[:18] = np.maximum(picture[:18], panel)
        picture[100:180, 6:14] = np.linspace(250, 10, 80)[:, None]
        image = Image.fromarray(picture)
        pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
        for row, column, text in [*texts, (2, 300, f"12:34:{10 + index}")]:
            pen.text((column, row), text, 230, font)
        trace = [(x, 290 - round(8 * np.exp(-((x % 60 - 20) / 3) ** 2))) for x in range((index + 1) * WIDTH // COUNT)]
        pen.line(trace, 210)
        out.append(np.array(image))
    return np.array(out)


def through_h264(frames: Frames, path: Path, crf: int) -> Frames:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "gray").reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    return read_clip(path).frames


def overlap(found: Mask, truth: Mask) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("panel", [0, 70])
def test_shapes_are_found_and_writing_is_not(name: str, panel: int) -> None:
    truth = SHAPES[name]
    frames = written_over(speckle(truth), [(2, 5, NAME), (24, 5, "ST. ELSEWHERE"), (60, 340, "MI 1.1")], panel=panel)
    sector = find_sector(frames)
    assert overlap(sector.mask, truth) > 0.92
    assert (sector.mask & truth).sum() > 0.995 * truth.sum()
    masked = sector.apply(Clip.from_fps(frames, 25)).frames
    assert masked[:, :36, :110].max() == 0  # the texts at the top left
    assert masked[:, :18, 300:].max() == 0  # the clock
    assert masked[:, 60:80, 340:].max() == 0
    inside = ~nothing(truth.shape).mask & sector.mask
    np.testing.assert_array_equal(masked[:, inside], frames[:, inside])


@pytest.mark.parametrize("crf", [23, 30])
def test_a_video_codec_s_noise_is_no_ultrasound(tmp_path: Path, crf: int) -> None:
    truth = SHAPES["sector"]
    frames = through_h264(written_over(speckle(truth), [(2, 5, NAME)], panel=70), tmp_path / "a.mp4", crf)
    sector = find_sector(frames)
    assert overlap(sector.mask, truth) > 0.88
    assert not sector.mask[:18, :180].any()


def test_the_dim_end_belongs_to_the_fan() -> None:
    truth = SHAPES["convex"]
    sector = find_sector(written_over(speckle(truth, dim_from=170), [(2, 5, NAME)]))
    assert overlap(sector.mask, truth) > 0.93


def test_a_dim_side_that_hardly_stirs_belongs_to_the_fan() -> None:
    """Fitted sides reach over tissue that is too faint to be found; over black screen they do not."""
    truth = SHAPES["sector"]
    rng = np.random.default_rng(1)
    faint = truth & (np.arange(WIDTH) > 300)
    frames = np.where(faint, np.uint8(3) + (rng.random((COUNT, HEIGHT, WIDTH)) < 0.1), speckle(truth)).astype(np.uint8)
    assert overlap(find_sector(frames).mask, truth) > 0.93
    frames[:, faint] = 0
    cut = find_sector(frames).mask
    assert (cut & truth & ~faint).sum() > 0.99 * (truth & ~faint).sum()
    assert (cut & faint).sum() < 0.5 * faint.sum()


def test_a_picture_full_of_ultrasound_is_kept_whole() -> None:
    assert find_sector(speckle(np.ones((HEIGHT, WIDTH), bool))).kept > 0.99


def test_tiny_pictures() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (5, 16, 16), dtype=np.uint8)
    assert find_sector(frames).kept > 0.9


@pytest.mark.parametrize("count", [1, 9])
def test_a_still_has_no_sector(count: int) -> None:
    with pytest.raises(ClipError, match="nothing moves") as caught:
        find_sector(np.repeat(speckle(SHAPES["sector"])[:1], count, axis=0))
    assert "--mask" in caught.value.hint


# -- regions of a header -------------------------------------------------------------------------------------


def test_regions_of_the_header_come_first() -> None:
    clip = Clip.from_fps(speckle(SHAPES["sector"]), 25)
    sector = choose_sector(clip, [(10, 50, 270, 350), (280, 0, 300, 400)])
    assert sector.source == "regions"
    np.testing.assert_array_equal(sector.mask, box(10, 50, 270, 350) | box(280, 0, 300, 400))
    assert choose_sector(Clip.from_fps(clip.frames[:1], 25), [(10, 50, 270, 350)]).source == "regions"


@pytest.mark.parametrize("regions", [[], [(0, 0, HEIGHT, WIDTH)], [(0, 0, HEIGHT, 398)]])
def test_regions_that_tell_nothing(regions: list[tuple[int, int, int, int]]) -> None:
    """Some machines name the whole screen."""
    assert choose_sector(Clip.from_fps(speckle(SHAPES["sector"]), 25), regions).source != "regions"


# -- marks ---------------------------------------------------------------------------------------------------


def test_text_beside_and_inside_the_fan() -> None:
    truth = SHAPES["sector"]
    frames = written_over(speckle(truth), [(2, 5, NAME), (150, 150, "JANE DOE 1950")])
    marks = find_marks(frames, Sector(truth, "fan"))
    found = {mark.inside: mark.box for mark in marks if mark.box[1] < 160}
    assert set(found) == {True, False}
    top, left, bottom, right = found[False]
    assert 0 <= top < 9
    assert left < 12
    assert 12 < bottom < 20
    assert right > 90
    assert 145 < found[True][0] < 160


@pytest.mark.parametrize("name", list(SHAPES))
def test_speckle_is_no_text(name: str) -> None:
    assert find_marks(speckle(SHAPES[name]), Sector(SHAPES[name], "fan")) == []


def test_text_that_stands_for_a_moment() -> None:
    frames = speckle(SHAPES["sector"])
    frames[3] = written_over(frames[3:4], [(2, 5, NAME)])[0]
    assert [mark.inside for mark in find_marks(frames, Sector(SHAPES["sector"], "fan"))][:1] == [False]


# -- the sheet -----------------------------------------------------------------------------------------------


def test_the_sheet_shows_before_and_after(tmp_path: Path) -> None:
    truth = SHAPES["sector"]
    frames = written_over(speckle(truth), [(2, 5, NAME)])
    sector = Sector(truth, "fan")
    (tmp_path / "sheet.png").write_bytes(png(draw(frames, sector, find_marks(frames, sector))))
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape[1] > 1600
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 120)
    half = len(pixels) // 2
    assert red[:half].sum() > 500  # the outline, above only
    assert red[half:].sum() == 0
