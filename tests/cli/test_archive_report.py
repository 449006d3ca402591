"""`lrmcodec archive report`: well-formed pages, the unusual first, and a search that works in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrmcodec.archive import overview
from lrmcodec.archive.entry import Entry
from lrmcodec.archive.home import open_archive
from lrmcodec.archive.manifest import Manifest
from lrmcodec.archive.overview import studies_of
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import beating_heart

pytest.importorskip("pydicom")
from lrmcodec.benchmarks.studies import archive_set

Run = Callable[..., tuple[int, str, str]]
MAIN: Callable[[list[str]], int] = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "img", "br", "input", "link"}


class Page(HTMLParser):
    """Links, and a complaint about tags that are not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, quick_pictures: None) -> Path:
    """Six usual hearts, one of noise, a broken file, and a name with signs that HTML minds."""
    folder = tmp_path_factory.mktemp("report")
    source = folder / "studies" / "p<1>&" / "exam"
    source.mkdir(parents=True)
    for index in range(6):
        frames = beating_heart(24, (32, 32), 25.0, 70, seed=index).frames
        archive_set.dicom_clip(source / f"IM{index}.dcm", frames, index)
    noise = np.random.default_rng(0).integers(0, 255, (12, 32, 32)).astype(np.uint8)
    (folder / "studies" / "noise").mkdir()
    write_clip(Clip.from_fps(noise, 25.0), folder / "studies" / "noise" / "noise.avi")
    (folder / "studies" / "noise" / "broken.dcm").write_bytes(b"no")
    assert MAIN(["-q", "archive", str(folder / "studies"), "-o", str(folder / "archive"), "-j", "0",
                 "--ratio", "30"]) == 3
    assert MAIN(["-q", "archive", "report", str(folder / "archive"), "-o", str(folder / "pages"), "-j", "0"]) == 0
    return folder


def test_pages_are_well_formed_and_link_to_files_that_exist(place: Path) -> None:
    pages = [place / "pages" / "index.html", *(place / "pages" / "studies").iterdir()]
    assert len(pages) == 3
    for path in pages:
        page = Page(path)
        assert page.links
        for link in page.links:
            assert (path.parent / link).is_file(), link
    assert "p&lt;1&gt;&amp;" in pages[0].read_text()


def test_strips_show_frames(place: Path) -> None:
    strips = list((place / "pages" / "strips").iterdir())
    assert len(strips) == 7
    for path in strips:
        picture = Image.open(path)
        assert picture.height == overview.STRIP_HEIGHT
        assert picture.width == 6 * overview.STRIP_HEIGHT + 5 * overview.STRIP_GAP
        assert np.asarray(picture).std() > 10


def test_the_unusual_come_first(place: Path) -> None:
    text = (place / "pages" / "index.html").read_text()
    first = text[text.index("To be looked at first"):text.index("Not coded, kept byte for byte")]
    assert "noise.avi" in first
    assert "usual is" in first
    assert "broken.dcm" in text[text.index("Not coded"):text.index("<h2>Studies")]
    entries = list(Manifest(open_archive(str(place / "archive")).store).entries())
    assert studies_of(entries)[0].clips[0].entry.path.endswith("noise.avi")


def entry_of(rate: float, warnings: tuple[str, ...] = ()) -> Entry:
    from lrmcodec.archive.entry import Blob, Coding

    coding = Coding("a", "b", [], 10, 16, 16, 25.0, True, 0.4, {}, "c", 1, 100.0, 30.0, 0.9, 2,
                    {"heart_rate_bpm": rate, "quality_word": "cardiac"}, {})
    return Entry(f"{rate:016.0f}", "x", 1, "", "d", "e", "clip", coded=Blob("f" * 64, 3, ".lrm"), coding=coding,
                 warnings=list(warnings))


def test_unusual_heart_rates_and_warnings() -> None:
    entries = [entry_of(70 + index) for index in range(9)]
    fast, warned = entry_of(190), replace(entry_of(72), id="f" * 16, warnings=["frame times are unknown"])
    clips = studies_of([*entries, fast, warned])[0].clips
    assert [judged.entry.id for judged in clips[:2]] == [fast.id, warned.id]
    assert clips[0].reasons == ("heart rate 190, usual is 74",)
    assert all(not judged.reasons for judged in clips[2:])


def test_again_makes_only_what_is_missing(run: Run, place: Path) -> None:
    strips = sorted((place / "pages" / "strips").iterdir())
    before = [path.stat().st_mtime_ns for path in strips]
    strips[0].unlink()
    (place / "pages" / "index.html").unlink()  # written last: a run that was cut off lacks it
    assert run("archive", "report", place / "archive", "-o", place / "pages", "-j", 0)[0] == 0
    after = [path.stat().st_mtime_ns for path in sorted((place / "pages" / "strips").iterdir())]
    assert after[1:] == before[1:]


def test_a_folder_of_somebody_is_refused(run: Run, place: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    code, _, err = run("archive", "report", place / "archive", "-o", tmp_path, "-j", 0)
    assert code == 1
    assert "no earlier report" in err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_clips_that_cannot_be_decoded_are_said(run: Run, place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "archive", tmp_path / "archive")
    next((tmp_path / "archive" / "objects").rglob("*.lrm")).unlink()
    code, _, err = run("archive", "report", tmp_path / "archive", "-o", tmp_path / "pages", "-j", 0)
    assert code == 0
    assert "1 clip cannot be decoded" in err
    assert any("This clip cannot be decoded" in path.read_text() for path in (tmp_path / "pages" / "studies").iterdir())


def dom(path: Path, fragment: str) -> str:
    """What a browser makes of a page once its script has run."""
    assert BROWSER is not None
    return subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                           "--virtual-time-budget=2000",
                           f"file://{path}#{fragment}"], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_search_in_a_browser(place: Path, tmp_path: Path) -> None:
    index = place / "pages" / "index.html"
    rows = re.findall(r"<tr data-search=[^>]*>", dom(index, "noise"))
    assert ["hidden" in row for row in rows] == [False, True]
    rows = re.findall(r"<tr data-search=[^>]*>", dom(index, "us%20im3"))
    assert ["hidden" in row for row in rows] == [True, False]
    picture = tmp_path / "page.png"
    subprocess.run([str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000",
                    f"--screenshot={picture}", f"file://{index}"], capture_output=True, check=True, timeout=120)
    assert len(np.unique(np.asarray(Image.open(picture).convert("L"))[:, :400])) > 50  # the strip is drawn
