"""`lrmcodec encode`: a clip to a .lrm file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, Rows, pass_console
from lrmcodec.cli.files import STREAM, amount, beside, read_input, read_study, refuse_same, shape, source_bytes
from lrmcodec.cli.mask import mask_clip, warn_of_text

if TYPE_CHECKING:
    from lrmcodec.codec import Encoded
    from lrmcodec.formats.clip import Clip

SUFFIX = ".lrm"


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", metavar="OUT", help="File to write, '-' for stdout; default: INPUT with suffix .lrm.")
@click.option("--rank", type=click.IntRange(min=0), metavar="R",
              help="Number of basis pictures; by default the best one for the target is searched.")
@click.option("--ratio", type=options.POSITIVE, metavar="X", help="Target: a file X times smaller than the pixels.")
@click.option("--size-bytes", type=click.IntRange(min=1), metavar="N", help="Target: the file has at most N bytes.")
@click.option("--psnr", type=options.POSITIVE, metavar="DB", help="Target: a mean PSNR of at least DB.")
@click.option("--quality", type=options.parse_quality, metavar="Q",
              help="Target: the smallest file that keeps a quality, 0 to 100, preview, review (default) or diagnostic.")
@click.option("--min-ssim", type=options.MIN_SSIM, metavar="S",
              help="Target: the smallest file with an SSIM3D of at least S; alone or beside --psnr.")
@click.option("--lossless", is_flag=True, help="Instead of a target: every pixel exact; a digest proves it.")
@click.option("--max-error", type=click.IntRange(0, 42), metavar="N",
              help="Instead of a target: no pixel off by more than N gray levels.")
@click.option("--tool", type=click.Choice(["auto", "low-rank", "video"]), default="auto", show_default=True,
              help="How frames are coded: mixed from pictures, as AV1 video, or whichever serves better.")
@click.option("--pack", metavar="P", help="Decoder: a shipped pack's name (see 'lrmcodec packs') or a pack's folder.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N",
              help="How many may be busy; default: one a processor core. The file is the same.")
@options.device
@options.size("Resize the frames first; a ratio then refers to the resized clip.")
@options.span
@click.option("--phase/--no-phase", default=True,
              help="Store up to 11 bytes that let 'lrmcodec readout' tell systole from diastole; default: store them.")
@click.option("--mask", type=click.Choice(["sector"]),
              help="Set everything outside the ultrasound sector to 0 first. This does not de-identify.")
@click.option("--review", metavar="SHEET.png",
              help="With --mask: write a contact sheet, before and after, and ask before encoding.")
@click.option("--keep-study", is_flag=True,
              help="Store patient and study of a DICOM input in the file, for 'lrmcodec decode --keep-study'.")
@click.option("--fps", type=options.POSITIVE, metavar="F", help="Frame rate of the input, for inputs that have none.")
@options.gray
@options.strict
@options.force
@options.as_json
@pass_console
def encode(console: Console, /, source: str, output: str | None, psnr: float | None, pack: str | None, force: bool,
           as_json: bool, gray: bool, strict: bool, size: tuple[int, int] | None, fps: float | None,
           start: float | None, duration: float | None, keep_study: bool, mask: str | None,
           review: str | None, lossless: bool, max_error: int | None, **coding: Any) -> None:
    """Encode a clip to a .lrm file.

    INPUT is a video, an animated GIF or WebP, a TIFF, a DICOM clip, a .npy or .npz array, a folder of PNG pictures, or
    a pipe with one of them. At most one target can be given, but for --psnr with --min-ssim.
    """
    options.at_most_one(ratio=coding["ratio"], size_bytes=coding["size_bytes"], psnr=psnr, quality=coding["quality"],
                        lossless=lossless or None, max_error=max_error,
                        **({} if psnr is not None else {"min_ssim": coding["min_ssim"]}))
    target = _check_output(source, output, force, as_json)
    _check_review(review, mask, source, target, force)

    from lrmcodec import codec
    from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack

    chosen = find_pack(pack or DEFAULT_PACK)
    clip = read_input(console, source, gray=gray, size=size, fps=fps, start=start, duration=duration,
                      strict=strict)
    masked = None
    if mask:
        clip, masked = mask_clip(console, source, clip, review=review, force=force)
    else:
        warn_of_text(console, source, clip)
    study = read_study(console, source, clip, masked=mask is not None) if keep_study else b""
    with console.progress() as progress:
        encoded = codec.encode(clip, psnr_db=psnr, pack=chosen, metadata=_kept(clip), study=study, progress=progress,
                               max_error=0 if lossless else max_error, **coding)
    _save(encoded, target, force)
    if as_json:
        console.data({"input": source, "source_bytes": source_bytes(source), "output": target, "mask": masked,
                      **encoded.as_dict()})
    elif console.level >= 0:
        console.facts(_summary(encoded, source, target), err=target == STREAM)


def _kept(clip: Clip) -> dict[str, str]:
    """What `info` can tell of the source later: where the times of a DICOM clip come from."""
    source = clip.metadata.get("times_source")
    return {"times_source": source} if source else {}


def _check_output(source: str, output: str | None, force: bool, as_json: bool) -> str:
    """Name of the output; whatever would keep it from being written is refused now, before the long work."""
    from lrmcodec.formats.atomic import check_writable
    from lrmcodec.formats.errors import OutputError

    if output == STREAM:
        if as_json or sys.stdout.isatty():
            raise click.UsageError("-o - writes the file to stdout, which must be free of --json and no terminal.")
        return STREAM
    if output is None:
        output = beside(source, SUFFIX)
    if Path(output).suffix.lower() != SUFFIX:
        raise OutputError(f"{output} does not end in {SUFFIX}.", "A .lrm file becomes a video with 'lrmcodec decode'.")
    refuse_same(output, source)
    check_writable(output, force)
    return output


def _check_review(review: str | None, mask: str | None, source: str, target: str, force: bool) -> None:
    """Refuse a contact sheet that cannot be written, or that nobody needs."""
    from lrmcodec.formats.atomic import check_writable
    from lrmcodec.formats.errors import OutputError

    if review is None:
        return
    if mask is None:
        raise click.UsageError("--review shows what --mask does; give both.")
    if Path(review).suffix.lower() != ".png":
        raise OutputError(f"{review} does not end in .png.", "Contact sheets are PNG pictures.")
    refuse_same(review, source, target)
    check_writable(review, force)


def _save(encoded: Encoded, target: str, force: bool) -> None:
    if target == STREAM:
        sys.stdout.buffer.write(encoded.data)
        sys.stdout.buffer.flush()
    else:
        encoded.save(target, force=force)


def _summary(encoded: Encoded, source: str, target: str) -> Rows:
    report, before = encoded.report, source_bytes(source)
    return [
        ("Written", "stdout" if target == STREAM else target),
        ("Size", f"{report.size_bytes:,} bytes" + (f" (the input has {before:,})" if before else "")),
        ("Ratio", f"{report.ratio:,.1f} to 1, of one byte a pixel"),
        ("PSNR", f"{report.psnr_db:.2f} dB"),
        ("SSIM3D", f"{report.ssim3d:.4f}"),
        ("Clip", f"{shape(report.frames, report.height, report.width)}, {report.fps:.4g} frames a second"),
        ("Tool", f"{report.tool}, rank {report.rank}, {amount(report.segments, 'segment')}"),
        ("Decoder", report.pack),
        ("Time", f"{report.encode_seconds:.1f} s, {report.fit_seconds:.1f} s of it fitting"),
    ]
