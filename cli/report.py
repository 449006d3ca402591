"""`lrmcodec report`: one page about a .lrm file, for a person with a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import STREAM, open_lrm, read_input, source_bytes, tell_warnings
from lrmcodec.cli.info import describe
from lrmcodec.cli.plot import output_beside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lrmcodec.cardiac.readout import Phase
    from lrmcodec.cardiac.trajectory import Motion
    from lrmcodec.cli.show.page import Quality
    from lrmcodec.codec import LrmFile


@click.command()
@click.argument("source", metavar="FILE.lrm")
@click.option("--against", metavar="CLIP", help="Show and measure the clip that the file was made from, too.")
@click.option("-o", "--output", metavar="HTML", help="Page to write; default: FILE.html.")
@options.span
@options.gray
@options.strict
@options.pack_folder
@options.device
@options.force
@options.as_json
@pass_console
def report(console: Console, source: str, against: str | None, output: str | None, start: float | None,
           duration: float | None, gray: bool, strict: bool, pack: str | None, device: str, force: bool,
           as_json: bool) -> None:
    """Write a page about a .lrm file: player, heart beats, path of the coefficients, quality, and where bytes go.

    The page is one file that any browser opens without a network. --start, --duration and --gray prepare CLIP the way
    'encode' was told to; it is resized to the size of the file's frames.
    """
    target = output_beside(source, output, (".html", ".htm"), ".html", force, [against] if against else [])
    from lrmcodec.cardiac.readout import read_phase
    from lrmcodec.cli.show.page import Report, render
    from lrmcodec.formats.atomic import write_atomic

    file = open_lrm(source, pack=pack, device=device)
    tell_warnings(console, source, file.warnings, strict)
    original = None if against is None else _original(console, against, file, start, duration, gray, strict)
    frames = _decode(console, file)
    phase = read_phase(file)
    quality = None if original is None or against is None else _compare(against, original, frames)
    name = "clip" if source == STREAM else Path(source).name
    page = render(Report(name, file.times_s, frames, phase, _motion(file, phase), quality,
                         describe(file, source)))
    data = page.encode()
    write_atomic(target, data, force=force)
    if as_json:
        console.data({"input": source, "output": target, "output_bytes": len(data)})
    elif console.level >= 0:
        console.facts([("Written", target), ("Size", f"{len(data):,} bytes; open it in a browser")])


def _original(console: Console, path: str, file: LrmFile, start: float | None, duration: float | None,
              gray: bool, strict: bool) -> NDArray[np.uint8]:
    """Frames to compare with; a clip of another length is refused, since nothing would be measured but the mistake."""
    from lrmcodec.formats.errors import ClipError

    clip = read_input(console, path, gray=gray, size=file.size, start=start, duration=duration, strict=strict)
    if len(clip.frames) != file.coded.frame_count:
        raise ClipError(f"{path} has {len(clip.frames)} frames here, the file has {file.coded.frame_count}.",
                        "Give --start and --duration as they were given to 'encode'.")
    return clip.frames


def _decode(console: Console, file: LrmFile) -> NDArray[np.uint8]:
    import numpy as np

    blocks: list[NDArray[np.uint8]] = []
    with console.progress() as progress:
        for block in file.blocks():
            blocks.append(block)
            progress(sum(map(len, blocks)) / file.coded.frame_count, "decoding")
    return np.concatenate(blocks)


def _compare(path: str, original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> Quality:

    from lrmcodec import metrics
    from lrmcodec.cli.show.page import Quality

    return Quality(Path(path).name, source_bytes(path), original, metrics.psnr_db(original, decoded),
                   metrics.ssim3d(original, decoded), metrics.frame_psnr_db(original, decoded))


def _motion(file: LrmFile, phase: Phase) -> Motion | None:
    """None where nothing moves; the page says so."""
    from lrmcodec.cardiac.trajectory import find_motion
    from lrmcodec.formats.errors import TargetError

    try:
        return find_motion(file, phase)
    except TargetError:
        return None
