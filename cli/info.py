"""`lrmcodec info`: what is in a .lrm file, without decoding a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console
from lrmcodec.cli.files import amount, open_lrm, shape

if TYPE_CHECKING:
    from lrmcodec.codec import LrmFile

PARTS = {
    "header": "Header",
    "times": "Frame times",
    "metadata": "Metadata",
    "pictures": "Pictures (latent and basis)",
    "wavelets": "Pictures (latent and basis) as wavelets",
    "video": "Video",
    "dark": "Cells that stay black",
    "latent": "Latent",
    "coeffs": "Coefficients",
    "warnings": "Warnings",
    "phase": "Direction of the cardiac phase",
    "ventricle": "Direction of the cardiac phase, areas of the ventricle",
    "heart": "Direction of the cardiac phase, closing of the valve, ejection",
    "digest": "Digest of the frames",
    "study": "Patient and study",
}
"""Names of the parts that `byte_counts` tells apart."""


@click.command()
@click.argument("source", metavar="IN.lrm")
@click.option("--pictures", is_flag=True, help="Show what every single picture takes as well; decodes all of them.")
@options.as_json
@pass_console
def info(console: Console, source: str, pictures: bool, as_json: bool) -> None:
    """Show what a .lrm file holds and where its bytes go.

    Structure and checksum are checked; 'lrmcodec verify' checks the rest. '-' reads the file from stdin.
    """
    file = open_lrm(source)
    facts = describe(file, source)
    if pictures:
        facts["picture_bits"] = _picture_bits(file)
    if as_json:
        console.data(facts)
        return
    console.facts(_words(facts))
    click.echo()
    rows = [(PARTS.get(part, part), f"{count:,}", _share(count, file.size_bytes))
            for part, count in file.byte_counts.items()]
    console.table([*rows, ("Total", f"{file.size_bytes:,}", _share(1, 1))], ("Part", "Bytes", "Share"))
    if pictures:
        click.echo()
        console.table(_picture_rows(facts), ("Segment", "Picture", "Bytes", "Bits a pixel"))


def describe(file: LrmFile, path: str) -> dict[str, Any]:
    """Everything that `info` knows, as plain values."""
    return {
        "input": path,
        "size_bytes": file.size_bytes,
        "ratio": file.ratio,
        "frames": file.coded.frame_count,
        "height": file.size[0],
        "width": file.size[1],
        "fps": file.fps,
        "duration_s": file.duration_s,
        "segments": len(file.coded.segments),
        "ranks": [segment.rank for segment in file.coded.segments],
        "q": [segment.q for segment in file.coded.segments],
        "arch_id": file.coded.arch_id,
        "pack_id": file.coded.pack_id.hex(),
        "pack": _pack_name(file),
        "bytes": file.byte_counts,
        "overhead_bytes": file.byte_counts["header"],
        "metadata": dict(file.metadata),
        "warnings": list(file.warnings),
    }


def _picture_bits(file: LrmFile) -> list[list[float]]:
    """Bits of every picture, by segment; a TargetError where none is coded by itself."""
    from lrmcodec.budget import picture_bits
    from lrmcodec.formats.errors import TargetError

    found = picture_bits(file)
    if not any(found):
        raise TargetError("no picture of the file is coded by itself.", "Leave --pictures out.")
    return found


def _picture_rows(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row a picture, and one a segment without any."""
    pixels = facts["height"] * facts["width"]
    rows: list[tuple[str, ...]] = []
    for index, bits in enumerate(facts["picture_bits"]):
        rows += [(f"{index + 1}", f"basis {number}" if number else "latent", f"{each / 8:,.0f}", f"{each / pixels:.4f}")
                 for number, each in enumerate(bits)]
        rows += [] if bits else [(f"{index + 1}", "none coded by itself", "", "")]
    return rows


def _words(facts: dict[str, Any]) -> list[tuple[str, str]]:
    ranks = facts["ranks"]
    rank = f"{max(ranks)}" if len(set(ranks)) == 1 else f"{min(ranks)} to {max(ranks)}"
    known = facts["pack"] or "not among the shipped packs; pass --pack to decode"
    rows = [
        ("File", facts["input"]),
        ("Clip", shape(facts["frames"], facts["height"], facts["width"])),
        ("Time", f"{facts['duration_s']:.3f} s, {facts['fps']:.4g} frames a second"),
        ("Ratio", f"{facts['ratio']:,.1f} to 1, of one byte a pixel"),
        ("Rank", f"{rank}, {amount(facts['segments'], 'segment')}"),
        ("Decoder", f"{known} ({facts['pack_id']})"),
    ]
    if "study" in facts["bytes"]:
        rows.append(("Study", "patient and study of a DICOM clip are stored in this file"))
    rows += [("Warning", text) for text in facts["warnings"]]
    return rows + [(f"- {key}", str(value)) for key, value in facts["metadata"].items()]


def _pack_name(file: LrmFile) -> str | None:
    from lrmcodec.formats.errors import PackError

    try:
        return file.pack.name
    except PackError:
        return None


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %"
