"""`encode --mask sector --review`: what is blanked, what a person is asked, and what is warned about."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

pydicom = pytest.importorskip("pydicom")

from dicom_source import write_source  # noqa: E402

from lrmcodec.formats.clip import Clip  # noqa: E402
from lrmcodec.formats.video import read_clip, write_clip  # noqa: E402

Run = Callable[..., tuple[int, str, str]]
HEIGHT, WIDTH = 120, 160

pytestmark = pytest.mark.usefixtures("quick_pictures")


def screen(count: int = 8) -> NDArray[np.uint8]:
    """A flickering box in the middle and a name above it."""
    rng = np.random.default_rng(0)
    picture = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(picture).text((2, 2), "MUELLER^HANS 4711", 220, ImageFont.load_default(12))
    frames = np.repeat(np.array(picture)[None], count, axis=0)
    frames[:, 30:110, 30:130] = rng.normal(90, 25, (count, 80, 100)).clip(1, 255)
    return frames


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    write_clip(Clip.from_fps(screen(), 25), tmp_path / "a.mkv")
    return tmp_path / "a.mkv"


def source(path: Path, **elements: Any) -> Path:
    write_source(path, screen(), **{"SequenceOfUltrasoundRegions": None, **elements})
    return path


def test_what_lies_beside_is_blanked(run: Run, plain: Path, tmp_path: Path) -> None:
    code, out, err = run("encode", plain, "--rank", 1, "--mask", "sector", "--json")
    assert code == 0
    facts = json.loads(out)["mask"]
    assert facts["sector"] in ("hull", "rectangle", "fan")
    assert facts["kept"] == pytest.approx(8000 / HEIGHT / WIDTH, rel=0.08)
    assert (facts["text_lines_removed"], facts["text_lines_left"]) == (1, 0)
    assert "is kept" in err
    assert "dentif" not in err  # never called de-identified
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.npy")[0] == 0
    assert np.load(tmp_path / "b.npy")[:, :20].max() <= 12


def test_masking_saves_bytes(run: Run, plain: Path, tmp_path: Path) -> None:
    sizes = []
    for extra in ([], ["--mask", "sector"]):
        _, out, _ = run("encode", plain, "--quality", 70, "--force", "--json", *extra)
        sizes.append(json.loads(out)["size_bytes"])
    assert sizes[1] < sizes[0]


def test_regions_of_the_header_decide(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_source(path, screen())  # its region has 8 columns and 6 rows of margin
    code, out, _ = run("encode", path, "--rank", 0, "--mask", "sector", "--json")
    assert code == 0
    assert json.loads(out)["mask"]["sector"] == "regions"
    assert json.loads(out)["mask"]["kept"] == pytest.approx((HEIGHT - 12) * (WIDTH - 16) / HEIGHT / WIDTH)


def test_a_kept_study_says_what_was_done(run: Run, tmp_path: Path) -> None:
    path = source(tmp_path / "a.dcm")
    assert run("encode", path, "--rank", 0, "--mask", "sector", "--keep-study")[0] == 0
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", "--keep-study")[0] == 0
    written = pydicom.dcmread(tmp_path / "b.dcm")
    assert written.DerivationDescription.startswith("pixels outside the ultrasound sector set to 0; lossy")
    assert "PatientIdentityRemoved" not in written
    assert written.get("BurnedInAnnotation") != "NO"


# -- the review ----------------------------------------------------------------------------------------------


def test_without_a_person_only_the_sheet_is_written(run: Run, plain: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    code, _, err = run("encode", plain, "--mask", "sector", "--review", tmp_path / "sheet.png")
    assert code == 1
    assert "looked at first" in err
    assert "without --review" in err
    assert not (tmp_path / "a.lrm").exists()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 500


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_decides(run: Run, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                          answer: bool) -> None:
    asked = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda question, **_: asked.append(question) or answer)
    code, _, err = run("encode", plain, "--rank", 1, "--mask", "sector", "--review", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()
    assert "sheet.png" in asked[0]
    assert code == (0 if answer else 1)
    assert (tmp_path / "a.lrm").exists() == answer
    assert answer or "not accepted" in err


@pytest.mark.parametrize(("review", "mask", "code", "words"), [
    ("sheet.png", [], 2, "--mask"), ("sheet.jpg", ["--mask", "sector"], 1, ".png"),
    ("there.png", ["--mask", "sector"], 1, "exists"),
])
def test_reviews_that_cannot_be(run: Run, plain: Path, tmp_path: Path, review: str, mask: list[str], code: int,
                                words: str) -> None:
    (tmp_path / "there.png").write_bytes(b"old")
    found, _, err = run("encode", plain, *mask, "--review", tmp_path / review)
    assert found == code
    assert words in err
    assert (tmp_path / "there.png").read_bytes() == b"old"


def test_a_still_cannot_be_masked(run: Run, tmp_path: Path) -> None:
    write_clip(Clip.from_fps(screen(1), 25), tmp_path / "a.mkv")
    code, _, err = run("encode", tmp_path / "a.mkv", "--mask", "sector")
    assert code == 1
    assert "nothing moves" in err


# -- warnings ------------------------------------------------------------------------------------------------


def test_text_beside_the_fan_is_warned_about(run: Run, tmp_path: Path) -> None:
    code, _, err = run("encode", source(tmp_path / "a.dcm"), "--rank", 0)
    assert code == 0
    assert "1 line of what looks like text" in err
    assert "--mask sector" in err


def test_the_header_s_word_is_passed_on(run: Run, tmp_path: Path) -> None:
    _, _, err = run("encode", source(tmp_path / "a.dcm", BurnedInAnnotation="YES"), "--rank", 0)
    assert "is burned in" in err
    _, _, err = run("encode", source(tmp_path / "b.dcm", BurnedInAnnotation="NO"), "--rank", 0)
    assert "is burned in" not in err


def test_clips_without_text_are_encoded_in_peace(run: Run, tmp_path: Path) -> None:
    frames = screen()
    frames[:, :25] = 0
    write_source(tmp_path / "a.dcm", frames, SequenceOfUltrasoundRegions=None)
    _, _, err = run("encode", tmp_path / "a.dcm", "--rank", 0)
    assert "looks like text" not in err
    assert read_clip(tmp_path / "a.dcm").frames.shape == frames.shape
