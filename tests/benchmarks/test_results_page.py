"""The report: one page that needs nothing else, opened in a real browser where one is installed."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import quick_coder
from PIL import Image

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.setting import ALL, Setting
from lrmcodec.benchmarks.show import plots
from lrmcodec.benchmarks.show.results_page import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """Tags in order, links, pictures and text; complains about tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.pictures: list[bytes] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            assert values["alt"]
            self.pictures.append(base64.b64decode((values["src"] or "").removeprefix("data:image/png;base64,")))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module", autouse=True)
def quick_pages() -> Iterator[None]:
    """Coarse plots, and AV1 of a fast preset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "DPI", 70)
        quick_coder.quick_peers(patch.setattr)
        yield


@pytest.fixture(scope="module")
def folder(results: Any) -> Path:
    """The page of a run that has a labelled heart, a clip whose name has signs that HTML minds, and a failure."""
    write_report(results.folder, results.rows, results.sources, results.plan.packs, [("other", "<broken>")])
    return Path(results.folder)


@pytest.fixture(scope="module")
def bare(results: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the same rows without pictures of the clips."""
    place = tmp_path_factory.mktemp("bare")
    write_report(place, results.rows, [], results.plan.packs, [], show_frames=False)
    return place


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_well_formed_and_needs_nothing_else(folder: Path, page: Page) -> None:
    assert not page.open
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "<script" not in (folder / "report.html").read_text()


def test_every_picture_opens_and_lies_beside_the_page(folder: Path, page: Page) -> None:
    plots = {path.name: path.read_bytes() for path in (folder / "plots").iterdir()}
    assert set(plots) == {"rate_distortion.png", "ranks_spatial.png", "phase_spatial.png", "strip.png",
                          "trajectories.png", "parts_spatial.png"}
    assert sorted(page.pictures) == sorted(plots.values())
    for data in plots.values():
        with Image.open(io.BytesIO(data)) as picture:
            assert min(picture.size) > 100
            assert len(picture.convert("L").getcolors(1 << 20) or []) > 8


def test_the_page_says_what_was_measured(page: Page) -> None:
    text = " ".join(page.words)
    for words in ("Rate and distortion", "Rank: spatial", "End diastole and end systole", "Where the bytes go",
                  "Trajectories", "BD-rate against AV1", "Without loss", "FFV1", "scalars alone", "<broken>",
                  "b<i>&c"):
        assert words in text, words


def test_pictures_of_clips_can_be_left_out(bare: Path) -> None:
    assert not (bare / "plots" / "strip.png").exists()
    assert len(Page((bare / "report.html").read_text()).pictures) == 4


def test_peers_alone_and_notes_make_a_page(tmp_path: Path) -> None:
    facts = {"frames": 10, "height": 32, "width": 32, "fps": 25.0, "raw_bytes": 10240}
    rows = [Row("a", "id", "vp9", ALL, **facts, note="not available: this PyAV has no libvpx-vp9."),
            *(Row("a", "id", "av1", Setting("crf", size), **facts, size_bytes=size, ratio=10240 / size,
                  psnr_db=20 + size / 100, ssim3d=0.5 + size / 1000) for size in (100, 200, 300))]
    write_report(tmp_path, rows, [], (), [])
    page = Page((tmp_path / "report.html").read_text())
    assert len(page.pictures) == 1
    assert "VP9, all: not available: this PyAV has no libvpx-vp9." in page.words


def test_equal_rows_give_equal_pictures(results: Any, bare: Path, tmp_path: Path) -> None:
    write_report(tmp_path, results.rows, [], results.plan.packs, [], show_frames=False)
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 6
    for path in made:
        assert path.read_bytes() == (bare / path.relative_to(tmp_path)).read_bytes(), path


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_it_without_complaint(folder: Path, tmp_path: Path) -> None:
    """The page as the browser built it: every picture has its pixels, and the console stays empty."""
    probe = ("<script>window.onload = () => { document.title = [...document.images].map("
             "i => `${i.complete && i.naturalWidth > 100}`).join() + '|' + document.documentElement.scrollWidth; }"
             "</script>")
    tested = tmp_path / "report.html"
    tested.write_text((folder / "report.html").read_text().replace("</body>", f"{probe}</body>"))
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         "--window-size=1200,900", f"--user-data-dir={tmp_path / 'profile'}", tested.as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    loaded, _, width = title.partition("|")
    assert loaded.split(",") == ["true"] * 6
    assert int(width) <= 1200
    assert "CONSOLE" not in done.stderr
