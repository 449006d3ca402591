"""`lrmcodec decode`: a .lrm file to a clip of any writable kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import STREAM, beside, open_lrm, refuse_same, shape, tell_warnings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@click.command()
@click.argument("source", metavar="IN.lrm")
@click.option("-o", "--output", metavar="OUT",
              help="Clip to write; default: IN.mp4. Its suffix is the type: .avi .mkv .mp4 .gif .npy .npz .dcm, "
                   "or none for a folder of PNG pictures.")
@click.option("--fps", type=options.POSITIVE, metavar="F", help="Render F frames a second instead of the coded ones.")
@click.option("--times", type=options.parse_times, metavar="T0,T1,...", help="Render frames at these times in seconds.")
@options.size("Render at another size.")
@click.option("--rank", type=click.IntRange(min=0), metavar="R", help="Show the first R basis pictures only: quicker.")
@click.option("--partial", is_flag=True, help="Show what there is of a file that was cut off, and say what is missing.")
@click.option("--max-bytes", type=click.IntRange(min=1), metavar="N",
              help="Read the first N bytes only, as if the file were cut off there.")
@options.span
@options.dicom
@options.strict
@options.pack_folder
@options.device
@options.force
@options.as_json
@pass_console
def decode(console: Console, source: str, output: str | None, fps: float | None, times: list[float] | None,
           size: tuple[int, int] | None, rank: int | None, partial: bool, max_bytes: int | None, start: float | None,
           duration: float | None, pack: str | None, device: str, keep_study: bool, dicom_pixels: str | None,
           strict: bool, force: bool, as_json: bool) -> None:
    """Decode a .lrm file to a clip, at its own frame times or any others.

    '-' reads the file from stdin. A file that was cut off, as when it is still on its way, is refused, unless --partial
    is given: then its frames are shown as well as what is there allows.
    """
    options.at_most_one(fps=fps, times=times)
    target = _check_output(source, output, force)
    options.check_dicom(target, keep_study, dicom_pixels)

    from lrmcodec.formats.clip import Clip
    from lrmcodec.formats.frames import DicomOptions
    from lrmcodec.formats.video import write_frames

    began = time.perf_counter()
    file = open_lrm(source, pack=pack, device=device, rank=rank, partial=partial, max_bytes=max_bytes)
    tell_warnings(console, source, (*file.missing, *file.warnings), strict)
    wanted = file.select_times(fps=fps, times_s=times, start_s=start, duration_s=duration)
    relative = wanted - wanted[0]
    metadata = {**file.metadata, **file.compression(wanted, size)}
    with console.progress() as progress:
        blocks = _watched(file.blocks(wanted, size), len(wanted), progress)
        write_frames(target, blocks, relative, force=force, metadata=metadata,
                     dicom=DicomOptions(file.coded.study, keep_study, dicom_pixels or "native"))
    height, width = size or file.size
    timing = Clip(_placeholder(len(wanted)), relative)
    facts: dict[str, Any] = {
        "input": source, "output": target, "output_bytes": _disk_bytes(Path(target)), "frames": len(wanted),
        "height": height, "width": width, "fps": timing.fps, "duration_s": timing.duration_s,
        "seconds": time.perf_counter() - began,
    }
    if as_json:
        console.data(facts)
    elif console.level >= 0:
        console.facts([
            ("Written", target),
            ("Size", f"{facts['output_bytes']:,} bytes"),
            ("Clip", f"{shape(len(wanted), height, width)}, {timing.fps:.4g} frames a second"),
            ("Time", f"{facts['seconds']:.1f} s"),
        ])


def _check_output(source: str, output: str | None, force: bool) -> str:
    """Name of the output; whatever would keep it from being written is refused now."""
    from lrmcodec.formats.atomic import check_writable
    from lrmcodec.formats.video import check_output_kind

    if output is None and source == STREAM:
        raise click.UsageError("input from stdin needs a name for the output; give -o OUT.")
    if output == STREAM:
        raise click.UsageError("a clip cannot be written to stdout; give the name of a file.")
    if output is None:
        output = beside(source, ".mp4")
    check_output_kind(output)
    refuse_same(output, source)
    check_writable(output, force)
    return output


def _watched(blocks: Iterator[NDArray[np.uint8]], count: int,
             progress: Callable[[float | None, str], None]) -> Iterator[NDArray[np.uint8]]:
    """Hand blocks on and report how many frames have passed."""
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        progress(done / count, "rendering")


def _placeholder(count: int) -> NDArray[np.uint8]:
    """Frames that take no memory, for a clip of which only the times matter."""
    import numpy as np

    return np.broadcast_to(np.uint8(0), (count, 1, 1))


def _disk_bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.iterdir())
    return path.stat().st_size
