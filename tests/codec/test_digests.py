"""The digest table: every golden file decodes to the bits that it names, wherever these are promised."""

from __future__ import annotations

from pathlib import Path

import pytest
from digest_table import GOLDEN, place, read_row, read_table

from lrmcodec.decoders.ids import Architecture

MADE, ROWS = read_table()
FILES = sorted(GOLDEN.glob("*.lrm"))


def test_every_golden_file_has_its_row() -> None:
    assert [path.name for path in FILES] == sorted(ROWS)


def test_every_decoder_bit_depth_and_cut_is_there() -> None:
    cases = {(int(row["decoder"]), row["bits"], row["segments"] != "1") for row in ROWS.values()}
    for parts in (False, True):
        assert {(Architecture.SPATIAL, "8", parts), (Architecture.SPATIAL, "10", parts),
                (Architecture.GRID_SIREN, "-", parts), (Architecture.AUTOENCODER, "-", parts),
                (Architecture.WAVELET, "-", parts), (Architecture.GATED_SIREN, "8", parts)} <= cases


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_the_bits_are_those_of_the_table(path: Path) -> None:
    expected, found = ROWS[path.name], read_row(path)
    here = place()
    exact = here["machine"] == MADE["machine"]
    moved = [name for name in expected if (exact or name not in ("coefficients", "pixels")) and
             found[name] != expected[name]]
    changed = {name: f"{MADE[name]} -> {here[name]}" for name in here if here[name] != MADE[name]}
    case = f"decoder {expected['decoder']}, {expected['bits']} bits, {expected['segments']} segments"
    assert not moved, (f"{path.name} ({case}): {', '.join(moved)} moved; changed since the table was made: "
                       f"{changed or 'our code'}. Where the golden tests pass: python tests/digest_table.py.")
