"""`lrmcodec plot`: one picture of a .lrm file's coefficients: path, beats, likeness of frames, ED and ES."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import STREAM, beside, check_suffix, open_lrm, refuse_same, tell_warnings


@click.command()
@click.argument("source", metavar="FILE.lrm")
@click.option("-o", "--output", metavar="PNG", help="Picture to write; default: FILE.png.")
@options.pack_folder
@options.device
@options.force
@options.as_json
@pass_console
def plot(console: Console, source: str, output: str | None, pack: str | None, device: str, force: bool,
         as_json: bool) -> None:
    """Draw what the coefficients of a .lrm file say.

    The picture shows the signal of the heart's cycle with end diastoles (ED) and end systoles (ES), the path of the
    coefficients with its principal direction, how alike every two frames are, and a frame at ED and at ES. Where no
    heart beats it shows the main motion and its two ends.
    """
    target = output_beside(source, output, (".png",), ".png", force)
    from lrmcodec.cardiac.readout import read_phase
    from lrmcodec.cardiac.trajectory import find_motion, picked_frames
    from lrmcodec.cli.show import figures
    from lrmcodec.formats.atomic import write_atomic

    file = open_lrm(source, pack=pack, device=device)
    tell_warnings(console, source, file.warnings)
    phase = read_phase(file)
    motion = find_motion(file, phase)
    picked = picked_frames(phase, motion)
    frames = motion.frames(motion.coeffs[[frame - motion.start for frame in picked]])
    figure = figures.draw_overview(Path(source).name, phase, file.times_s, motion, frames)
    write_atomic(target, figures.png(figure), force=force)
    if as_json:
        console.data({"input": source, "output": target, "output_bytes": Path(target).stat().st_size,
                      "frames_shown": list(picked), **phase.as_dict()})
    elif console.level >= 0:
        console.facts([("Written", target), ("Shown", figures.verdict(phase))])


def output_beside(source: str, output: str | None, suffixes: Sequence[str], ending: str, force: bool,
                  also_read: Sequence[str] = ()) -> str:
    """Name of an output: as given, or the input's with another ending; what would keep it from being written shows now.

    Raises
    ------
    OutputError
        When its suffix is none of `suffixes`, it is the source or another file that is read, it exists and `force` is
        false, or its folder is not there.
    """
    from lrmcodec.formats.atomic import check_writable

    if output is None and source == STREAM:
        raise click.UsageError("input from stdin needs a name for the output; give -o.")
    target = output if output is not None else beside(source, ending)
    check_suffix(target, suffixes)
    refuse_same(target, source, *also_read)
    check_writable(target, force)
    return target
