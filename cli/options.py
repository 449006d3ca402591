"""Types and options that several sub-commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click


def parse_size(text: str) -> tuple[int, int]:
    """Height and width in pixels, from HxW, or N for a square; a usage error outside the format's limits."""
    from lrmcodec.formats.container import MAX_SIDE, MIN_SIDE

    match = re.fullmatch(r"(\d{1,6})(?:[xX](\d{1,6}))?", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not of the form HxW, for example 112x112.")
    height, width = int(match[1]), int(match[2] or match[1])
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_SIDE:
        raise click.BadParameter(f"{text} has a side outside {MIN_SIDE} to {MAX_SIDE} pixels.")
    return height, width


def parse_times(text: str) -> list[float]:
    """Seconds from a list separated by commas; a usage error when one is not a number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of seconds, for example 0,0.1,0.2.") from error


def parse_quality(text: str) -> float:
    """A quality from 0 to 100, or that of a named level."""
    from lrmcodec.formats.errors import TargetError
    from lrmcodec.rate import level

    try:
        value = float(text)
    except ValueError:
        try:
            return level(text)
        except TargetError as error:
            raise click.BadParameter(f"{error.what} {error.hint}") from error
    if not 0 <= value <= 100:
        raise click.BadParameter(f"{text} is not in the range 0<=x<=100.")
    return value


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

MIN_SSIM = click.FloatRange(min=0, max=1, min_open=True, max_open=True)
POSITIVE = click.FloatRange(min=0, min_open=True)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout.")
force = click.option("--force", is_flag=True, help="Replace an existing output.")
strict = click.option("--strict", is_flag=True,
                      help="Take every warning about the input for an error; nothing is written then.")
gray = click.option("--gray", is_flag=True, help="Turn a color clip to gray instead of refusing it.")
pack_folder = click.option("--pack", metavar="PATH", help="Folder of a decoder pack that does not come with lrmcodec.")
device = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                      help="Where networks run; decoders without weights need none.")


def size(text: str) -> Decorator:
    """Option --size with its help."""
    return click.option("--size", type=parse_size, metavar="HxW", help=text)


def span(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options --start and --duration in seconds."""
    function = click.option("--duration", type=POSITIVE, metavar="S", help="Use only this many seconds.")(function)
    return click.option("--start", type=click.FloatRange(min=0), metavar="S", help="Begin at this time.")(function)


def dicom(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of DICOM outputs."""
    function = click.option("--dicom-pixels", type=click.Choice(["native", "h264", "hevc"]),
                            help="How a .dcm stores its pixels: as they are (default), or as a video that archives "
                                 "play.")(function)
    return click.option("--keep-study", is_flag=True,
                        help="Give a .dcm the patient and study that 'encode --keep-study' stored.")(function)


def check_dicom(output: str, keep_study: bool, dicom_pixels: str | None) -> None:
    """Refuse options of DICOM for another kind of output, as a usage error."""
    if not output.lower().endswith(".dcm"):
        for given, name in ((keep_study, "--keep-study"), (dicom_pixels, "--dicom-pixels")):
            if given:
                raise click.UsageError(f"{name} is for an output that ends in .dcm, not {output}.")


def at_most_one(**given: object) -> None:
    """Refuse a call that gives more than one of some options, as a usage error."""
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(names)} exclude each other.")
