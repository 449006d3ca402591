"""Arrays of binary decisions come back, at about the entropy of their chances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.formats.binary import BinaryDecoder, BinaryEncoder, CountingDecoder
from lrmcodec.formats.errors import FormatError

PARTS = st.lists(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 65535)), max_size=30), max_size=6)


@given(PARTS)
def test_decisions_come_back(parts: list[list[tuple[int, int]]]) -> None:
    coder = BinaryEncoder()
    for part in parts:
        coder.bits(np.array([bit for bit, _ in part], np.int32), np.array([chance for _, chance in part], np.int64))
    reader = BinaryDecoder(coder.finish())
    for part in parts:
        read = reader.bits(np.zeros(len(part), np.int32), np.array([chance for _, chance in part], np.int64))
        assert read.tolist() == [bit for bit, _ in part]


@pytest.mark.parametrize("count", [1, 40, 3000])
def test_bytes_are_as_few_as_the_chances_allow(count: int) -> None:
    rng = np.random.default_rng(count)
    chances = rng.integers(1, 65536, count)
    bits = (rng.uniform(size=count) < chances / 65536).astype(np.int32)
    coder = BinaryEncoder()
    coder.bits(bits, chances)
    entropy = -np.log2(np.where(bits, chances, 65536 - chances) / 65536).sum()
    assert len(coder.finish()) <= entropy / 8 + 2 + 0.001 * count


def test_likely_decisions_take_no_bytes() -> None:
    coder = BinaryEncoder()
    coder.bits(np.zeros(1000, np.int32), np.ones(1000, np.int64))
    assert coder.finish() == b""


@given(st.binary(max_size=40))
def test_any_bytes_give_decisions_or_a_format_error(data: bytes) -> None:
    reader = BinaryDecoder(data)
    try:
        bits = reader.bits(np.zeros(500, np.int32), np.full(500, 40000))
    except FormatError:
        return
    assert set(bits.tolist()) <= {0, 1}


@given(st.integers(0, 2**32), st.integers(0, 400))
def test_decisions_rest_on_no_more_bytes_than_were_seen(seed: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    chances = rng.integers(1, 65536, 900)
    bits = (rng.uniform(size=900) < chances / 65536).astype(np.int32)
    coder = BinaryEncoder()
    coder.bits(bits, chances)
    data = coder.finish()[:kept]
    reader, count = CountingDecoder(data), 0
    while count < 900:
        step = int(rng.integers(1, 60))
        try:
            read = reader.bits(np.zeros(0, np.int32), chances[count:count + step])
        except FormatError:
            break
        if reader.seen_bytes > len(data):
            break
        assert read.tolist() == bits[count:count + step].tolist()
        count += step
    assert reader.seen_bytes > len(data) - 4 or count >= 900
