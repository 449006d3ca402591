"""Warnings of a clip in a file: kept, small, and hostile ones refused."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.stamps import UNKNOWN_RATE
from lrmcodec.formats.warning_code import MAX_WARNINGS_BYTES, PHRASES, decode_warnings, encode_warnings


def squeezed(raw: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, PHRASES.encode())
    return deflate.compress(raw) + deflate.flush()


def test_no_warning_takes_no_bytes() -> None:
    assert encode_warnings(()) == b""


def test_the_most_usual_warning_takes_a_few_bytes() -> None:
    payload = encode_warnings([UNKNOWN_RATE])
    assert decode_warnings(payload) == (UNKNOWN_RATE,)
    assert len(payload) <= 10


LINES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=80)


@pytest.mark.parametrize(("text", "most"), [
    ("the file promises 40 frames, 24 could be decoded", 16), ("the file is cut off: its end is missing", 10),
    ("pictures are missing from the numbering: 3 (17, 18, 19)", 24), ("damaged packets left out: 2", 12)])
def test_usual_warnings_take_little(text: str, most: int) -> None:
    assert len(encode_warnings([text])) <= most


@given(st.lists(LINES, min_size=1, max_size=9))
def test_sentences_survive(texts: list[str]) -> None:
    assert decode_warnings(encode_warnings(texts)) == tuple(texts)


def test_what_cannot_be_shown_or_kept_is_cut() -> None:
    assert decode_warnings(encode_warnings(["a\nb\x1b[2J"])) == ("a b?[2J",)
    assert decode_warnings(encode_warnings(["first", "x" * MAX_WARNINGS_BYTES, "last"])) == ("first",)
    assert encode_warnings(["x" * (MAX_WARNINGS_BYTES + 1)]) == b""


@pytest.mark.parametrize("payload", [
    b"", b"abc", squeezed(b"abc")[:-1], squeezed(b"abc") + b"\0", squeezed(b""), squeezed(b"a\n\nb"),
    squeezed(b"a\x1b"), squeezed(b"\xff"), squeezed(b"x" * (MAX_WARNINGS_BYTES + 1)), squeezed(bytes(10_000_000)),
])
def test_damaged_ones_are_refused(payload: bytes) -> None:
    with pytest.raises(FormatError):
        decode_warnings(payload)
