"""Pictures for people: plot, readout --plot, walk and report, of hearts, lungs and files in which nothing moves."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrmcodec import codec
from lrmcodec.cli.show import player, svg
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import phantom

GOLDEN = Path(__file__).parents[1] / "codec" / "golden"
Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heart, texture that wanders, one frame, and 20 frames at rank 0; the heart also as a clip."""
    place = tmp_path_factory.mktemp("pictures")
    heart = phantom(110, (64, 72), 50, heart_rate_bpm=75, ejection_fraction=0.6, seed=3).clip
    write_clip(heart, place / "heart.mkv")
    codec.encode(heart, rank=4, quality=30).save(place / "heart.lrm")
    codec.encode(heart, rank=0, quality=30).save(place / "still.lrm")
    codec.encode(Clip(heart.frames[:1], heart.times_s[:1]), quality=30).save(place / "one.lrm")
    rng = np.random.default_rng(3)
    texture = rng.normal(90, 25, (64, 128))
    places = np.clip(np.rint(30 + np.cumsum(rng.standard_normal(90))), 0, 60).astype(int)
    frames = np.stack([texture[:, at:at + 64] for at in places]).clip(0, 255).astype(np.uint8)
    codec.encode(Clip.from_fps(frames, 25), rank=4, quality=60).save(place / "lung.lrm")
    return place


def picture(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


# plot and readout --plot


@pytest.mark.parametrize(("name", "words"), [("heart", "beats a minute"), ("lung", "no heartbeat found")])
def test_plot_draws_one_picture(run: Run, folder: Path, tmp_path: Path, name: str, words: str) -> None:
    code, out, err = run("plot", folder / f"{name}.lrm", "-o", tmp_path / "x.png")
    assert (code, err) == (0, "")
    assert words in out
    drawn = np.asarray(picture(tmp_path / "x.png").convert("L"))
    assert drawn.shape[1] > 2 * 600
    assert drawn.std() > 20


def test_plot_says_what_it_shows(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("plot", folder / "heart.lrm", "-o", tmp_path / "x.png", "--json")
    values = json.loads(out)
    assert code == 0
    assert values["output_bytes"] == (tmp_path / "x.png").stat().st_size
    assert values["frames_shown"][0] in values["ed_frames"]
    assert values["frames_shown"][1] in values["es_frames"]


def test_readout_draws_a_row_a_file_and_goes_on_after_a_bad_one(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.lrm").write_bytes(b"nothing")
    code, out, err = run("readout", folder / "heart.lrm", tmp_path / "bad.lrm", folder / "lung.lrm", folder / "one.lrm",
                         "--plot", tmp_path / "x.png", "--json")
    assert code == 3
    assert "bad.lrm" in err
    assert [Path(value["input"]).name for value in json.loads(out)] == ["heart.lrm", "lung.lrm", "one.lrm"]
    assert run("readout", folder / "heart.lrm", "--plot", tmp_path / "y.png")[0] == 0
    assert picture(tmp_path / "x.png").height > 2.5 * picture(tmp_path / "y.png").height
    assert run("readout", tmp_path / "bad.lrm")[0] == 1
    code, _, err = run("readout", folder / "heart.lrm", "--plot", tmp_path / "y.png")
    assert code == 1
    assert "--force" in err


# walk


def test_walk_is_a_film_that_loops(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("walk", folder / "heart.lrm", "-o", tmp_path / "walk.gif", "--steps", 12, "--json")
    assert (code, err) == (0, "")
    values = json.loads(out)
    assert values["places"][0] == 1
    assert min(values["places"]) < 0.05
    assert values["times_s"] == pytest.approx(list(np.linspace(values["times_s"][0], values["times_s"][-1], 12)),
                                              abs=1e-3)
    film = picture(tmp_path / "walk.gif")
    assert film.n_frames == 12  # type: ignore[attr-defined]
    assert film.info["loop"] == 0
    assert film.width > film.height > 300


def test_walk_as_rows_of_frames(run: Run, folder: Path, tmp_path: Path) -> None:
    code, _, err = run("walk", folder / "heart.lrm", "-o", tmp_path / "walk.png", "--steps", 4)
    assert (code, err) == (0, "")
    assert picture(tmp_path / "walk.png").width == pytest.approx(4 * 160, abs=40)


def test_walk_without_beats_names_ends(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("walk", folder / "lung.lrm", "-o", tmp_path / "walk.gif", "--steps", 5)
    assert code == 0
    assert "between One end and Other end" in out
    assert "ED" not in out


# what cannot be drawn


@pytest.mark.parametrize("name", ["one", "still"])
@pytest.mark.parametrize("command", ["plot", "walk"])
def test_where_nothing_moves_there_is_nothing_to_draw(run: Run, folder: Path, tmp_path: Path, command: str,
                                                      name: str) -> None:
    suffix = {"plot": ".png", "walk": ".gif"}[command]
    code, _, err = run(command, folder / f"{name}.lrm", "-o", tmp_path / f"x{suffix}")
    assert code == 1
    assert "nothing moves" in err
    assert "higher rank" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "default"), [("plot", "a.png"), ("walk", "a_walk.gif"), ("report", "a.html")])
def test_outputs_lie_beside_the_input_and_are_not_replaced(run: Run, folder: Path, tmp_path: Path, command: str,
                                                           default: str) -> None:
    (tmp_path / "a.lrm").write_bytes((folder / "heart.lrm").read_bytes())
    assert run(command, tmp_path / "a.lrm")[0] == 0
    assert (tmp_path / default).stat().st_size > 1000
    code, _, err = run(command, tmp_path / "a.lrm")
    assert code == 1
    assert "--force" in err
    assert run(command, tmp_path / "a.lrm", "--force")[0] == 0
    code, _, err = run(command, tmp_path / "a.lrm", "-o", tmp_path / "x.txt")
    assert code == 1
    assert "does not end in" in err
    assert run(command, "-")[0] == 2


@pytest.mark.parametrize("command", ["plot", "walk", "report"])
def test_networks_are_drawn_too(run: Run, tmp_path: Path, command: str) -> None:
    suffix = {"plot": ".png", "walk": ".png", "report": ".html"}[command]
    code, _, err = run(command, GOLDEN / "v1_framewise.lrm", "-o", tmp_path / f"x{suffix}")
    assert (code, err) == (0, "")


# report


class Page(HTMLParser):
    """Collects what a page refers to, its open elements, and its text."""

    VOID = frozenset({"meta", "input", "img", "br", "hr", "line", "circle", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words += data


def player_data(text: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    values: dict[str, object] = json.loads(found[1])
    return values


def test_the_report_stands_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    code, _, err = run("report", folder / "heart.lrm", "--against", folder / "heart.mkv", "-o", tmp_path / "x.html")
    assert (code, err) == (0, "")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    assert "http" not in text.replace("application/json", "")
    for word in ("PSNR", "SSIM3D", "not a medical device", "beats", "Where the bytes go", "Original", "ED frame"):
        assert word in page.words, word


def test_the_player_holds_the_frames(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("report", folder / "heart.lrm", "-o", tmp_path / "x.html")[0] == 0
    values = player_data((tmp_path / "x.html").read_text(encoding="utf-8"))
    screens = values["screens"]
    assert isinstance(screens, list)
    assert len(screens) == 1
    sheet = np.asarray(Image.open(io.BytesIO(b64decode(screens[0][0].split(",")[1]))).convert("L"))
    frames = codec.open(folder / "heart.lrm").frames()
    columns = player.plan(110, (64, 72)).columns
    for k in (0, 1, 60, 109):
        shown = sheet[k // columns * 64:, k % columns * 72:][:64, :72].astype(float)
        assert np.abs(shown - frames[k]).mean() < 4


def test_a_report_without_a_heart_invents_no_beats(run: Run, folder: Path, tmp_path: Path) -> None:
    for name in ("lung", "one", "still"):
        assert run("report", folder / f"{name}.lrm", "-o", tmp_path / f"{name}.html")[0] == 0
        text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert "No heartbeat was found" in text
        assert "<th>Beat</th>" not in text
        assert player_data(text)["ed"] == []
        assert ("there is no path" in text) == (name != "lung")


def test_a_report_takes_the_clip_it_was_made_from(run: Run, folder: Path, tmp_path: Path) -> None:
    code, _, err = run("report", folder / "heart.lrm", "--against", folder / "heart.mkv", "--duration", 1, "-o",
                       tmp_path / "x.html")
    assert code == 1
    assert "--duration" in err
    assert not list(tmp_path.iterdir())


def test_names_and_metadata_cannot_break_the_page(run: Run, tmp_path: Path) -> None:
    clip = Clip.from_fps(np.random.default_rng(0).integers(0, 255, (8, 32, 32), np.uint8), 25)
    path = tmp_path / "<script>alert(1)<script>.lrm"
    codec.encode(clip, quality=20, metadata={"note": "</script><script>alert(2)</script>"}).save(path)
    assert run("report", path, "-o", tmp_path / "x.html")[0] == 0
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(2)" in text


@pytest.mark.parametrize(("count", "size", "shown"), [(1, (16, 16), 1), (1200, (112, 112), 1200), (2500, (64, 64), 834),
                                                      (400, (2048, 2048), 400), (100_000, (16, 2048), 1191)])
def test_plans_of_the_player_are_bounded(count: int, size: tuple[int, int], shown: int) -> None:
    layout = player.plan(count, size)
    assert len(layout.frames) == shown
    assert layout.frames[-1] < count
    assert len(layout.frames) * layout.width * layout.height <= player.MAX_VALUES
    assert layout.columns * layout.width <= player.SHEET_SIDE
    assert layout.per_sheet >= 1


def test_charts_stay_inside_their_frames() -> None:
    times_s = np.linspace(0, 3.3, 200)
    text = svg.time_chart(times_s, np.sin(times_s * 7), "x", [("ed", "ED", [3, 50])])
    points = [tuple(map(float, pair.split(","))) for pair in re.findall(r'points="([^"]*)"', text)[0].split()]
    assert len(points) == 200
    assert min(x for x, _ in points) >= svg.LEFT
    assert max(x for x, _ in points) <= svg.RIGHT
    assert all(svg.TOP <= y <= svg.BOTTOM for _, y in points)
    assert text.count("<circle") == 2
    points_in_plane = np.random.default_rng(0).normal(size=(50, 2))
    chart, places = svg.path_chart(points_in_plane, 10, ("ES", "ED"), [("es", "ES", [9, 10])])
    assert places.min() >= svg.EDGE - 1e-6
    assert places.max() <= svg.SIDE - svg.EDGE + 1e-6
    assert chart.count('class="es"') == 1
