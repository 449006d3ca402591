"""`lrmcodec verify`: check a .lrm file by decoding all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import open_lrm, read_input, shape, tell_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from lrmcodec.codec import LrmFile


@click.command()
@click.argument("source", metavar="IN.lrm")
@click.option("--against", metavar="CLIP", help="Measure PSNR, SSIM3D and ratio against the clip it was made from.")
@options.span
@options.gray
@options.strict
@options.pack_folder
@options.device
@options.as_json
@pass_console
def verify(console: Console, source: str, against: str | None, start: float | None, duration: float | None,
           gray: bool, strict: bool, pack: str | None, device: str, as_json: bool) -> None:
    """Check structure, checksum and decoder of a .lrm file and decode every frame.

    The exit code is 0 only when all of it is sound. --start, --duration and --gray prepare CLIP the way 'encode' was
    told to; it is resized to the size of the file's frames.
    """
    file = open_lrm(source, pack=pack, device=device)
    tell_warnings(console, source, file.warnings, strict)
    facts: dict[str, Any] = {
        "input": source, "valid": True, "size_bytes": file.size_bytes, "ratio": file.ratio,
        "frames": file.coded.frame_count, "height": file.size[0], "width": file.size[1], "pack": file.pack.name,
    }
    original = None
    if against is not None:
        clip = read_input(console, against, gray=gray, size=file.size, start=start, duration=duration,
                          strict=strict)
        original = _comparable(clip.frames, file, against)
    facts |= _decode_all(console, file, original)
    facts["tool"], facts["digest"] = file.tool, "equal" if file.coded.digest else None
    if against is not None:
        facts["against"] = against
    _print(console, facts, as_json)


def _comparable(frames: NDArray[np.uint8], file: LrmFile, name: str) -> NDArray[np.uint8]:
    """Refuse a clip of another length: nothing would be measured but the mistake."""
    from lrmcodec.formats.errors import ClipError

    count = file.coded.frame_count
    if len(frames) != count:
        raise ClipError(f"{name} has {len(frames)} frames here, the file has {count}.",
                        "Give --start and --duration as they were given to 'encode'.")
    return frames


def _decode_all(console: Console, file: LrmFile, original: NDArray[np.uint8] | None) -> dict[str, float]:
    """Render every frame, a block at a time; its quality, where there is an original."""
    from lrmcodec import metrics

    with console.progress() as progress:
        blocks = checked(file, _watched(file, progress))
        if original is not None:
            quality = metrics.compare(original, blocks)
            return {"psnr_db": quality.psnr_db, "ssim3d": quality.ssim3d}
        for _ in blocks:
            pass
    return {}


def checked(file: LrmFile, blocks: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Hand all frames on and compare their digest with the file's, where it has one.

    Raises
    ------
    FormatError
        When they are not the frames that were encoded.
    """
    from lrmcodec.formats.container import PixelDigest
    from lrmcodec.formats.errors import FormatError

    digest = PixelDigest()
    for block in blocks:
        digest.update(block)
        yield block
    if file.coded.digest and digest.value() != file.coded.digest:
        raise FormatError("the decoded frames are not those that were encoded: their digest differs.",
                          "Install the versions of the constraints file, or get another copy of the file.")


def _watched(file: LrmFile, progress: Callable[[float, str], None]) -> Iterator[NDArray[np.uint8]]:
    done = 0
    for block in file.blocks():
        done += len(block)
        progress(done / file.coded.frame_count, "decoding")
        yield block


def _print(console: Console, facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.data(facts)
    elif console.level >= 0:
        rows = [
            ("File", f"{facts['input']}: sound, every frame decodes"),
            ("Clip", shape(facts["frames"], facts["height"], facts["width"])),
            ("Size", f"{facts['size_bytes']:,} bytes, {facts['ratio']:,.1f} to 1, of one byte a pixel"),
            ("Decoder", f"{facts['pack']}, {facts['tool']}"),
            *([("Exact", "the frames' digest is that of the encoded ones")] if facts["digest"] else []),
        ]
        if "against" in facts:
            rows += [("PSNR", f"{facts['psnr_db']:.2f} dB"), ("SSIM3D", f"{facts['ssim3d']:.4f}")]
        console.facts(rows)
