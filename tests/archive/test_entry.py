"""Manifest lines: what is written is read, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.archive.entry import Blob, Coding, Entry, parse_line, signed
from lrmcodec.archive.errors import ArchiveError

CODING = Coding("a" * 64, "b" * 64, [1.5], 2, 16, 16, 25.0, True, 0.08, {"asked": {}}, "c" * 64, 1, 10.0, 30.0, 0.9, 2,
                {"quality_word": "not cardiac"}, {"modality": "US"})
ENTRY = Entry("0" * 16, "a/b.dcm", 5, "2024", "d" * 64, "e", "clip", coded=Blob("f" * 64, 3, ".lrm"),
              coding=CODING, warnings=["one"])


def test_round_trip() -> None:
    line = ENTRY.to_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_line(line) == ENTRY
    assert ENTRY.coded is not None
    assert ENTRY.coded.key == f"objects/ff/{'f' * 64}.lrm"


@given(st.text(max_size=40))
def test_any_path(path: str) -> None:
    text = path.encode("utf-8", "replace").decode()
    assert parse_line(replace(ENTRY, path=text).to_line()).path == text


def test_every_damage_is_found() -> None:
    line = ENTRY.to_line().rstrip()
    for at in range(len(line)):
        with pytest.raises(ArchiveError):
            parse_line(line[:at])
        harmed = bytearray(line)
        harmed[at] ^= 1
        with pytest.raises(ArchiveError):
            parse_line(bytes(harmed))


@pytest.mark.parametrize("values", [{}, {"id": "x"}, {"coded": 3}, {"coding": 3}])
def test_lines_of_other_things(values: dict[str, object]) -> None:
    with pytest.raises(ArchiveError):
        parse_line(signed(values))


@pytest.mark.parametrize("blob", [{"sha256": "../../etc", "size_bytes": 1, "suffix": ".lrm"},
                                  {"sha256": "f" * 64, "size_bytes": 1, "suffix": "/../../x"}])
def test_objects_never_lie_outside(blob: dict[str, object]) -> None:
    values = {"id": "x", "path": "p", "size_bytes": 1, "modified": "", "sha256": "", "stat": "", "kind": "kept",
              "original": blob}
    with pytest.raises(ArchiveError, match="cannot be one"):
        parse_line(signed(values))


def test_a_newer_format_says_so() -> None:
    import json

    from lrmcodec.archive.entry import _signed

    values = json.loads(ENTRY.to_line())
    del values["check"]
    with pytest.raises(ArchiveError, match="format 2"):
        parse_line(_signed({**values, "format": 2}))


def test_fields_of_later_versions_are_left_out() -> None:
    import json

    from lrmcodec.archive.entry import _signed

    values = json.loads(ENTRY.to_line())
    del values["check"]
    assert parse_line(_signed({**values, "new": 1})) == ENTRY
