"""Digests of what the golden files decode to, a row for every file: which decoder, bit depth and cut a change moved.

`python tests/digest_table.py` writes them anew, after a change that may move bits; the difference shows which it moved.

Integers are the same on every machine. Coefficients and pixels may differ in their last bits between processors, so
their digests hold where the table was made: on the processor and the library versions that its first rows name.
"""

from __future__ import annotations

import csv
import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.codec import LrmFile
from lrmcodec.formats.container import Component
from lrmcodec.formats.entropy import decode_ints

GOLDEN = Path(__file__).parent / "codec" / "golden"
TABLE = GOLDEN / "digests.tsv"
LIBRARIES = ("numpy", "torch", "av", "constriction")
TEN_BIT = 0x80  # of a still's flags, see SPEC.md, section Pictures
COLUMNS = ("file", "decoder", "bits", "segments", "integers", "coefficients", "pixels")


def read_row(path: Path) -> dict[str, str]:
    """Row of one file, as this machine decodes it."""
    file = codec.open(path, device="cpu")
    integers = [decode_ints(segment.components.get(Component.COEFFS, b""), (segment.rank, stop - start))
                for segment, (start, stop) in zip(file.coded.segments, file.coded.segment_bounds, strict=True)]
    pictures = file.coded.segments[0].components.get(Component.PICTURES)
    bits = "-" if pictures is None else "10" if pictures[0] & TEN_BIT else "8"
    return {"file": path.name, "decoder": str(file.coded.arch_id), "bits": bits,
            "segments": str(len(file.coded.segments)), "integers": digest(integers),
            "coefficients": digest(file.coeffs), "pixels": digest([one_thread_frames(file)])}


def one_thread_frames(file: LrmFile) -> NDArray[np.uint8]:
    """All frames; with more threads sums run in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return file.frames()
    finally:
        torch.set_num_threads(threads)


def digest(arrays: list[NDArray[Any]]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of arrays, shapes included."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.shape}".encode() + array.astype(array.dtype.newbyteorder("<")).tobytes())
    return sha.hexdigest()[:16]


def place() -> dict[str, str]:
    """Where a table was made: what may move last bits."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {"machine": f"{platform.machine()} {' '.join(found)} {torch.backends.cpu.get_cpu_capability()}",
            **{name: version(name) for name in LIBRARIES}}


def read_table() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Where the table was made, and its rows by file."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    made = dict(line.removeprefix("# ").split("\t") for line in lines if line.startswith("# "))
    rows = csv.DictReader((line for line in lines if not line.startswith("# ")), delimiter="\t")
    return made, {row["file"]: row for row in rows}


def write_table() -> None:
    """Write the table of all golden files."""
    with TABLE.open("w", newline="", encoding="utf-8") as out:
        out.writelines(f"# {key}\t{value}\n" for key, value in place().items())
        writer = csv.DictWriter(out, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(read_row(path) for path in sorted(GOLDEN.glob("*.lrm")))


if __name__ == "__main__":
    write_table()
