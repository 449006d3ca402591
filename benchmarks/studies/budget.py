"""Where the bytes of a file go, by pack and ratio: header, times, events, coefficients, latent, basis pictures.

python -m lrmcodec.benchmarks.studies.budget NAME=CLIP... -o DIR [--ratios 100,300,1000] [--packs spatial,refined]
    [--size HxW] [--simulated SEED]

Writes DIR/budget.md. Of one file `lrmcodec info --pictures` says it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lrmcodec import codec
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.budget import picture_bits
from lrmcodec.decoders.spatial import encode_tiles
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import CodedSegment, Component
from lrmcodec.formats.video import read_clip
from lrmcodec.provenance import provenance
from lrmcodec.simulate.simulator import simulate

PAGE = "budget.md"
SINGLE = ("times", "metadata", "warnings", "coeffs", "dark", "heart")
"""Parts of a file that have rows of their own, besides header and pictures."""

ROWS = {"header": "header and directory", "times": "frame times", "metadata": "metadata", "warnings": "warnings",
        "heart": "events: direction, valve, ejection", "coeffs": "coefficients over time",
        "dark": "cells that stay black", "latent": "latent picture", "basis": "basis pictures", "total": "whole file"}
NOTE = """Low rank alone was tried (`tool="low-rank"`), at the rank that the search finds. Bytes of wavelet pictures are
the code lengths of their decisions. AV1 stills hold all pictures in one: what the latent takes there is measured by
coding it alone with the same quantizer, and the basis pictures get the rest."""


class Budget(NamedTuple):
    """One file: bytes by part, as in `ROWS`, and what it is like."""

    pack: str
    asked_ratio: float
    parts: dict[str, float]
    report: codec.Report
    stills: bool

    @property
    def label(self) -> str:
        """Heading of its column."""
        return f"{self.asked_ratio:g}:1, {self.pack}{' (stills)' if self.stills and self.pack != 'spatial' else ''}"

    def bits_a_picture(self, part: str) -> float | None:
        """Bits that a picture of this kind takes on average; None without one."""
        count = 1 if part == "latent" else self.report.rank
        return 8 * self.parts[part] / count if count else None


def measure(clip: Clip, ratio: float, pack: str) -> Budget:
    """Encode a clip of one segment and take the file apart."""
    encoded = codec.encode(clip, ratio=ratio, pack=pack, tool="low-rank")
    file = codec.open(encoded.data)
    (coded,) = file.coded.segments
    pictures = len(coded.components.get(Component.WAVELETS, coded.components.get(Component.PICTURES, b"")))
    latent = _latent_bytes(file, coded)
    parts = {"header": file.byte_counts["header"], **{part: file.byte_counts.get(part, 0) for part in SINGLE},
             "latent": latent, "basis": pictures - latent, "total": file.size_bytes}
    return Budget(pack, ratio, parts, encoded.report, Component.PICTURES in coded.components)


def _latent_bytes(file: codec.LrmFile, coded: CodedSegment) -> float:
    (bits,) = picture_bits(file)
    if bits:
        return bits[0] / 8
    segment = file.segment(0)
    assert segment.basis is not None
    return len(encode_tiles(segment.latent, segment.basis[:0], coded.q, final=True))


def page(found: Mapping[str, Sequence[Budget]]) -> str:
    """The record: a table a clip, and how the files were made."""
    tables = [Table(name, ("bytes (share)", *(each.label for each in budgets)), _rows(budgets))
              for name, budgets in found.items()]
    shown = [f"## {table.title}\n\n{table.markdown()}" for table in tables]
    return "\n\n".join(["# Where the bytes of a file go", NOTE, *shown, f"{provenance()}."]) + "\n"


def _rows(budgets: Sequence[Budget]) -> list[tuple[str, ...]]:
    parts = [part for part in ROWS if any(each.parts[part] for each in budgets)]
    rows = [(ROWS[part], *(_amount(each, part) for each in budgets)) for part in parts]
    bits = [(f"bits of {'the latent' if part == 'latent' else 'a basis picture'}",
             *(MISSING if (amount := each.bits_a_picture(part)) is None else f"{amount:,.0f}" for each in budgets))
            for part in ("latent", "basis")]
    likeness = [f"{each.report.psnr_db:.2f} / {each.report.ssim3d:.3f}" for each in budgets]
    return [*rows, *bits, ("rank", *(str(each.report.rank) for each in budgets)),
            ("quantizer index", *(f"{each.report.q:g}" for each in budgets)), ("PSNR dB / SSIM3D", *likeness)]


def _amount(each: Budget, part: str) -> str:
    amount, total = each.parts[part], each.parts["total"]
    return f"{amount:,.0f}" if part == "total" else f"{amount:,.0f} ({100 * amount / total:.1f} %)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="*", metavar="NAME=CLIP")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--ratios", type=lambda text: [float(each) for each in text.split(",")],
                        default=[100.0, 300.0, 1000.0])
    parser.add_argument("--packs", type=lambda text: text.split(","), default=["spatial", "refined"])
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))))
    parser.add_argument("--simulated", type=int, metavar="SEED")
    given = parser.parse_args(arguments)
    clips = {name: read_clip(path, size=given.size) for name, path in (each.split("=", 1) for each in given.clips)}
    if given.simulated is not None:
        clips[f"Simulated heart, seed {given.simulated}"] = simulate(seed=given.simulated).clip
    found = {name: [measure(clip, ratio, pack) for ratio in given.ratios for pack in given.packs]
             for name, clip in clips.items()}
    given.output.mkdir(parents=True, exist_ok=True)
    write_atomic(given.output / PAGE, page(found).encode(), force=True)


if __name__ == "__main__":
    main()
