"""`lrmcodec demo`: encode, decode and measure a real clip and a simulated one, and leave the files to look at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lrmcodec.codec import LrmFile
    from lrmcodec.formats.clip import Clip

PICTURE = "demo.png"
KINDS = (".lrm", "_original.mp4", "_decoded.mp4")


@dataclass(frozen=True)
class Source:
    """A clip of the demonstration; `path` is the file it came from, or None when it was simulated."""

    name: str
    title: str
    clip: Clip
    path: Path | None


@dataclass(frozen=True)
class Result:
    """What came back from the file on disk."""

    source: Source
    file: LrmFile
    frames: NDArray[np.uint8]
    facts: dict[str, Any]


@click.command()
@click.option("-o", "--output", metavar="DIR", default="demo", show_default=True, help="Folder for the files.")
@click.option("--ratio", type=options.POSITIVE, metavar="X", default=300.0, show_default=True,
              help="Target: a file X times smaller than the pixels.")
@options.force
@options.as_json
@pass_console
def demo(console: Console, output: str, ratio: float, force: bool, as_json: bool) -> None:
    """Encode and decode a real lung clip and a simulated heart.

    Leaves in DIR, for each of the two: the .lrm file, the original and the decoded clip as .mp4; and one picture
    with original, reconstruction and error. All figures are measured on what the .lrm files decode to.
    """
    folder = Path(output)
    names = _check_outputs(folder, force)
    results = [_run(console, source, folder, ratio) for source in _sources()]
    _write_picture(results, folder / PICTURE)
    if as_json:
        console.data({"clips": [result.facts for result in results], "files": names})
    else:
        _print(console, results, names)


def _sources() -> Iterator[Source]:
    from lrmcodec.formats.video import read_clip
    from lrmcodec.samples import lung_clip_path
    from lrmcodec.simulate.heart.phantom import demonstration_heart

    path = lung_clip_path()
    yield Source("lung", "Lung, convex probe", read_clip(path), path)
    yield Source("heart", "Simulated heart", demonstration_heart().clip, None)


def _check_outputs(folder: Path, force: bool) -> list[str]:
    """Make the folder; refuse now what could not be written later."""
    from lrmcodec.formats.atomic import check_writable
    from lrmcodec.formats.errors import OutputError

    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        what = f"the folder {folder} cannot be made ({error.strerror})."
        raise OutputError(what, "Choose another -o DIR.") from error
    names = [f"{name}{kind}" for name in ("lung", "heart") for kind in KINDS] + [PICTURE]
    for name in names:
        check_writable(folder / name, force)
    return [str(folder / name) for name in names]


def _run(console: Console, source: Source, folder: Path, ratio: float) -> Result:
    """Encode one clip, read its file back, and write both as video; existing outputs were checked before."""
    from lrmcodec import codec
    from lrmcodec.formats.clip import Clip
    from lrmcodec.formats.video import write_clip

    lrm, original, decoded = (folder / f"{source.name}{kind}" for kind in KINDS)
    console.note(f"encoding {source.title.lower()}: {source.clip.frames.size:,} pixels")
    with console.progress() as progress:
        encoded = codec.encode(source.clip, ratio=ratio, progress=progress)
    encoded.save(lrm, force=True)
    began = time.perf_counter()
    file = codec.open(lrm)
    frames = file.frames()
    seconds = time.perf_counter() - began
    write_clip(Clip(frames, file.times_s), decoded, force=True)
    _write_original(source, original)
    return Result(source, file, frames, _measure(source, lrm, frames, encoded.report.encode_seconds, seconds))


def _write_original(source: Source, path: Path) -> None:
    """Copy the bundled file as it is; a simulated clip has none and becomes a video."""
    from lrmcodec.formats.atomic import write_atomic
    from lrmcodec.formats.video import write_clip

    if source.path is not None:
        write_atomic(path, source.path.read_bytes(), force=True)
    else:
        write_clip(source.clip, path, force=True)


def _measure(source: Source, lrm: Path, frames: NDArray[np.uint8], encode_s: float, decode_s: float) -> dict[str, Any]:
    from lrmcodec import metrics

    original, size = source.clip.frames, lrm.stat().st_size
    return {
        "name": source.name, "frames": len(original), "height": original.shape[1], "width": original.shape[2],
        "fps": source.clip.fps, "source_bytes": source.path.stat().st_size if source.path else None,
        "raw_bytes": original.size, "size_bytes": size, "ratio": metrics.ratio(original.size, size),
        "psnr_db": metrics.psnr_db(original, frames), "ssim3d": metrics.ssim3d(original, frames),
        "encode_seconds": encode_s, "decode_seconds": decode_s,
    }


def _write_picture(results: list[Result], path: Path) -> None:
    from lrmcodec.cli.show.strip import Row, draw, png
    from lrmcodec.formats.atomic import write_atomic

    rows = []
    for result in results:
        facts, middle = result.facts, len(result.frames) // 2
        caption = (f"{result.source.title}: {facts['frames']} frames of {facts['height']} x {facts['width']}, "
                   f"{facts['raw_bytes']:,} pixels in {facts['size_bytes']:,} bytes ({facts['ratio']:.0f} to 1), "
                   f"PSNR {facts['psnr_db']:.1f} dB, SSIM3D {facts['ssim3d']:.3f}")
        rows.append(Row(caption, result.source.clip.frames[middle], result.frames[middle],
                        result.file.times_s, result.file.coeffs[0], float(result.file.times_s[middle])))
    write_atomic(path, png(draw(rows)), force=True)


def _print(console: Console, results: list[Result], names: list[str]) -> None:
    head = ("Clip", "Pixels", ".lrm bytes", "Ratio", "PSNR dB", "SSIM3D", "Encode s", "Decode s")
    console.table([(facts["name"], f"{facts['raw_bytes']:,}", f"{facts['size_bytes']:,}", f"{facts['ratio']:.1f}",
                    f"{facts['psnr_db']:.2f}", f"{facts['ssim3d']:.4f}", f"{facts['encode_seconds']:.1f}",
                    f"{facts['decode_seconds']:.2f}") for facts in (result.facts for result in results)], head)
    source = results[0].facts["source_bytes"]
    click.echo(f"\nThe lung clip came as {source:,} bytes of H.264; ratios are to one byte a pixel.\n")
    for name in names:
        click.echo(f"{Path(name).stat().st_size:>10,}  {name}")
