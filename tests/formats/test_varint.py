"""LEB128 numbers: round trips, limits and bytes that end too early."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.varint import read_varint, write_varint

TOP = (1 << 63) - 1


@settings(deadline=None)
@given(value=st.integers(0, TOP), before=st.binary(max_size=4), behind=st.binary(max_size=4))
def test_round_trip_anywhere_in_a_file(value: int, before: bytes, behind: bytes) -> None:
    data = before + write_varint(value) + behind
    assert read_varint(data, len(before), limit=TOP) == (value, len(data) - len(behind))


@pytest.mark.parametrize(("value", "data"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_bytes_are_leb128(value: int, data: bytes) -> None:
    assert write_varint(value) == data


@settings(deadline=None)
@given(value=st.integers(0, TOP))
def test_the_fewest_bytes_are_used(value: int) -> None:
    assert len(write_varint(value)) == max(-(-value.bit_length() // 7), 1)


@settings(deadline=None)
@given(value=st.integers(0, TOP), cut=st.integers(1, 9))
def test_an_early_end_is_refused(value: int, cut: int) -> None:
    data = write_varint(value)[:-cut]
    with pytest.raises(FormatError, match="does not end"):
        read_varint(data, 0, limit=TOP)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(FormatError, match="does not end"):
        read_varint(b"\x80" * 100, 0, limit=TOP)


@settings(deadline=None)
@given(limit=st.integers(0, TOP - 1))
def test_a_number_over_its_limit_is_refused(limit: int) -> None:
    assert read_varint(write_varint(limit), 0, limit=limit)[0] == limit
    with pytest.raises(FormatError, match="over the limit"):
        read_varint(write_varint(limit + 1), 0, limit=limit)
