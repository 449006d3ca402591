"""`lrmcodec walk`: frames along the main motion of a .lrm file, beside frames along time."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import open_lrm, tell_warnings
from lrmcodec.cli.plot import output_beside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw, ImageFont

    from lrmcodec.cardiac.readout import Phase
    from lrmcodec.cardiac.trajectory import Motion
    from lrmcodec.codec import LrmFile

STRIP = ".png"
KINDS = (".gif", STRIP)
PANEL = 320  # longer side of a frame in pixels; small frames are enlarged, large ones reduced
GAP, LINE, FOOT = 10, 24, 26
BACKGROUND, INK, ED_INK, ES_INK = (255, 255, 255), (48, 52, 59), (200, 69, 47), (40, 103, 178)
SLOWEST_S, QUICKEST_S = 8.0, 1.5  # a loop lasts as long as what it shows, within these limits
PALETTE = [level for gray in range(0, 256, 4) for level in (gray,) * 3] + [*BACKGROUND, *INK, *ED_INK, *ES_INK]
"""Colors of all pictures, so that a gif holds them once: 64 grays and those of lines and words."""



@dataclass(frozen=True)
class Steps:
    """Frames of a walk: along time at `times_s` (n,), and on the axis at `places` (n,), 0 low to 1 high."""

    times_s: NDArray[np.float64]
    places: NDArray[np.float64]
    along_time: NDArray[np.uint8]
    along_axis: NDArray[np.uint8]
    ends: tuple[str, str]


@click.command()
@click.argument("source", metavar="FILE.lrm")
@click.option("-o", "--output", metavar="OUT", help="walk.gif, a film that loops, or walk.png, two rows of frames; "
                                                    "default: FILE_walk.gif.")
@click.option("--steps", type=click.IntRange(2, 200), metavar="N", help="Frames; default: 40 of a gif, 7 a row.")
@options.pack_folder
@options.device
@options.force
@options.as_json
@pass_console
def walk(console: Console, source: str, output: str | None, steps: int | None, pack: str | None, device: str,
         force: bool, as_json: bool) -> None:
    """Walk through the latent space of a .lrm file.

    One row shows one beat on an even grid of times, from end diastole (ED) over end systole (ES) and back; the other
    shows the straight line through the coefficients that follows the beat, from ED to ES, most of whose frames were
    never recorded. Where no heart beats, the whole clip and its main motion from end to end.
    """
    target = output_beside(source, output, KINDS, "_walk.gif", force)
    from lrmcodec.cardiac.readout import read_phase
    from lrmcodec.cardiac.trajectory import find_motion
    from lrmcodec.formats.atomic import write_atomic

    file = open_lrm(source, pack=pack, device=device)
    tell_warnings(console, source, file.warnings)
    phase = read_phase(file)
    motion = find_motion(file, phase)
    is_strip = Path(target).suffix.lower() == STRIP
    with console.progress() as progress:
        progress(None, "rendering")
        found = _take_steps(file, phase, motion, steps or (7 if is_strip else 40), there_and_back=not is_strip)
    write_atomic(target, _strip(found) if is_strip else _film(found), force=force)
    if as_json:
        console.data({"input": source, "output": target, "output_bytes": Path(target).stat().st_size,
                      "times_s": [round(float(at), 4) for at in found.times_s],
                      "places": [round(float(at), 4) for at in found.places]})
    elif console.level >= 0:
        console.facts([("Written", target), ("Size", f"{Path(target).stat().st_size:,} bytes"),
                       ("Shown", f"{len(found.times_s)} frames from {found.times_s[0]:.2f} s to "
                                 f"{found.times_s[-1]:.2f} s, and between {found.ends[0]} and {found.ends[1]}")])


def _take_steps(file: LrmFile, phase: Phase, motion: Motion, count: int, *, there_and_back: bool) -> Steps:
    """Render the frames: of a whole beat for a film, from ED to ES for a strip."""
    import numpy as np

    from lrmcodec.cardiac.trajectory import end_words, one_beat

    start_s, middle_s, stop_s = one_beat(phase, file.times_s)
    is_heart = phase.quality_word == "cardiac"
    last_s = stop_s if there_and_back or not is_heart else middle_s
    times_s = np.linspace(start_s, last_s, count, endpoint=not (there_and_back and is_heart))
    down = np.clip((times_s - start_s) / max(middle_s - start_s, 1e-9), 0, 1)
    up = np.clip((times_s - middle_s) / max(stop_s - middle_s, 1e-9), 0, 1)
    if there_and_back:
        places = 0.5 + 0.5 * np.cos(np.pi * (down + up))
    else:
        places = np.linspace(1, 0, count)
    return Steps(times_s, places, file.frames(times_s), motion.frames(motion.rows(places)), end_words(phase))


def _film(steps: Steps) -> bytes:
    """Bytes of a gif that loops: along time on the left, along the axis on the right."""
    duration_s = min(max(float(steps.times_s[-1] - steps.times_s[0]), QUICKEST_S), SLOWEST_S)
    pictures = [_reduced(_film_frame(steps, index)) for index in range(len(steps.times_s))]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "gif", save_all=True, append_images=pictures[1:], loop=0,
                     duration=max(20, round(100 * duration_s / len(pictures)) * 10))
    return buffer.getvalue()


def _film_frame(steps: Steps, index: int) -> Image.Image:
    from PIL import Image, ImageDraw

    left, right = (_enlarged(frames[index]) for frames in (steps.along_time, steps.along_axis))
    width, height = left.size
    page = Image.new("RGB", (2 * width + 3 * GAP, height + LINE + FOOT + GAP), BACKGROUND)
    page.paste(left, (GAP, LINE))
    page.paste(right, (2 * GAP + width, LINE))
    pen = ImageDraw.Draw(page)
    for x, text in ((GAP, "Along time"), (2 * GAP + width, "Along the main motion")):
        pen.text((x, LINE / 2), text, INK, _font(13), anchor="lm")
    y = LINE + height + FOOT / 2
    pen.text((GAP, y), f"{steps.times_s[index]:.2f} s", INK, _font(13), anchor="lm")
    _draw_slider(pen, 2 * GAP + width, width, y, float(steps.places[index]), steps.ends)
    return page


def _draw_slider(pen: ImageDraw.ImageDraw, x: float, width: float, y: float, place: float,
                 ends: tuple[str, str]) -> None:
    """Line from the high end on the left to the low end on the right, with a dot at `place`."""
    lengths = [pen.textlength(word, _font(13)) for word in ends]
    pen.text((x, y), ends[0], ED_INK, _font(13), anchor="lm")
    pen.text((x + width, y), ends[1], ES_INK, _font(13), anchor="rm")
    first, last = x + lengths[0] + 14, x + width - lengths[1] - 14
    pen.line([(first, y), (last, y)], (185, 190, 198), 3)
    at = first + (1 - place) * (last - first)
    pen.ellipse([at - 6, y - 6, at + 6, y + 6], INK)


def _strip(steps: Steps) -> bytes:
    """Bytes of a png of two rows: along time above, along the axis below."""
    from PIL import Image, ImageDraw

    count = len(steps.times_s)
    tiles = [[_enlarged(frame, PANEL // 2) for frame in frames] for frames in (steps.along_time, steps.along_axis)]
    width, height = tiles[0][0].size
    page = Image.new("RGB", (count * width + 2 * GAP, 2 * (height + 2 * LINE)), BACKGROUND)
    pen = ImageDraw.Draw(page)
    titles = ("Along time", f"Along the main motion, from {steps.ends[0]} to {steps.ends[1]}")
    captions = ([f"{at:.2f} s" for at in steps.times_s], [f"{100 * (1 - at):.0f} %" for at in steps.places])
    for row, (title, words) in enumerate(zip(titles, captions, strict=True)):
        top = row * (height + 2 * LINE)
        pen.text((GAP, top + LINE / 2), title, INK, _font(13), anchor="lm")
        for column, word in enumerate(words):
            page.paste(tiles[row][column], (GAP + column * width, top + LINE))
            pen.text((GAP + (column + 0.5) * width, top + LINE + height + LINE / 2), word, INK, _font(12), anchor="mm")
    buffer = io.BytesIO()
    _reduced(page).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _reduced(page: Image.Image) -> Image.Image:
    from PIL import Image

    colors = Image.new("P", (1, 1))
    colors.putpalette(PALETTE)
    return page.quantize(palette=colors, dither=Image.Dither.NONE)


def _enlarged(frame: NDArray[np.uint8], side: int = PANEL) -> Image.Image:
    from PIL import Image

    scale = side / max(frame.shape)
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    return Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC).convert("RGB")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
