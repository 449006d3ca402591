"""`lrmcodec wrap` and `unwrap`: a .lrm file in a DICOM object, for archives that hold nothing else, and back."""

from __future__ import annotations

from pathlib import Path

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import beside, refuse_same


@click.command()
@click.argument("source", metavar="IN.lrm")
@click.option("-o", "--output", metavar="OUT.dcm", help="DICOM file to write; default: IN.dcm.")
@click.option("--keep-study", is_flag=True,
              help="Give it the patient and study that 'encode --keep-study' stored; otherwise they are taken out.")
@options.force
@options.as_json
@pass_console
def wrap(console: Console, source: str, output: str | None, keep_study: bool, force: bool, as_json: bool) -> None:
    """Put a .lrm file into a DICOM object (Raw Data Storage) that any archive can hold.

    Such a file can be given wherever a .lrm file can; 'lrmcodec unwrap' takes the .lrm file out again.
    """
    target = _check_output(source, output, ".dcm", force)
    from lrmcodec.formats.errors import OutputError
    from lrmcodec.formats.optional import dicom_module
    from lrmcodec.reader import read_bytes

    data = dicom_module("dicom_raw", OutputError).wrap(read_bytes(Path(source)), keep_study=keep_study)
    _save(console, source, target, data, force, as_json)


@click.command()
@click.argument("source", metavar="IN.dcm")
@click.option("-o", "--output", metavar="OUT.lrm", help="File to write; default: IN.lrm.")
@options.force
@options.as_json
@pass_console
def unwrap(console: Console, source: str, output: str | None, force: bool, as_json: bool) -> None:
    """Take the .lrm file out of a DICOM object that 'lrmcodec wrap' made."""
    target = _check_output(source, output, ".lrm", force)
    from lrmcodec.formats.container import unpack_file
    from lrmcodec.formats.errors import FormatError
    from lrmcodec.formats.optional import dicom_module
    from lrmcodec.reader import read_bytes

    data = dicom_module("dicom_raw", FormatError).unwrap(read_bytes(Path(source)))
    unpack_file(data)  # only a sound file is written
    _save(console, source, target, data, force, as_json)


def _check_output(source: str, output: str | None, suffix: str, force: bool) -> str:
    """Name of the output; whatever would keep it from being written is refused now."""
    from lrmcodec.formats.atomic import check_writable
    from lrmcodec.formats.errors import OutputError

    target = output or beside(source, suffix)
    if Path(target).suffix.lower() != suffix:
        raise OutputError(f"{target} does not end in {suffix}.", f"Choose a name that ends in {suffix}.")
    refuse_same(target, source)
    check_writable(target, force)
    return target


def _save(console: Console, source: str, target: str, data: bytes, force: bool, as_json: bool) -> None:
    from lrmcodec.formats.atomic import write_atomic

    write_atomic(target, data, force=force)
    if as_json:
        console.data({"input": source, "output": target, "output_bytes": len(data)})
    elif console.level >= 0:
        console.facts([("Written", target), ("Size", f"{len(data):,} bytes")])
