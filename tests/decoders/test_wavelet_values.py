"""Integers by classes: they come back, cost what is said, and the cheapest choice is the cheapest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.decoders.wavelet_values import LAST_CLASS, MODELED_CLASSES, cheapest, class_of, code_plain, code_values
from lrmcodec.decoders.wavelet_values import restore as restored_values
from lrmcodec.formats.binary import BinaryDecoder, BinaryEncoder
from lrmcodec.formats.errors import FormatError

EVEN = 1 << 15
LARGEST = 1 << LAST_CLASS - 1


def random_chances(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 65536, (count, MODELED_CLASSES + 1))


@given(st.lists(st.integers(-LARGEST, LARGEST), max_size=20), st.integers(0, 9))
def test_values_come_back(values: list[int], seed: int) -> None:
    chances = random_chances(len(values), seed)
    coder = BinaryEncoder()
    code_values(coder, np.array(values, np.int64), chances)
    assert code_values(BinaryDecoder(coder.finish()), None, chances).tolist() == values


@given(st.lists(st.integers(-LARGEST, LARGEST), min_size=1, max_size=5))
def test_plain_values_come_back(values: list[int]) -> None:
    coder = BinaryEncoder()
    for value in values:
        code_plain(coder, value)
    reader = BinaryDecoder(coder.finish())
    assert [code_plain(reader, 0) for _ in values] == values


def test_classes_double_in_width() -> None:
    assert class_of(np.arange(18)).tolist() == [0, 1, 2, 3, 3, 4, 4, 4, 4, *[5] * 8, 6]


def test_values_too_large_are_refused() -> None:
    ones = BinaryEncoder()
    ones.bits(np.ones(40, np.int32), np.full(40, EVEN))
    with pytest.raises(FormatError, match="over 2"):
        code_values(BinaryDecoder(ones.finish()), None, np.full((1, MODELED_CLASSES + 1), EVEN))
    with pytest.raises(FormatError, match="over 2"):
        code_plain(BinaryDecoder(ones.finish()), 0)


def bits_of(value: int, chances: np.ndarray) -> float:
    class Counter:
        total = 0.0

        def bits(self, bits: np.ndarray, chances: np.ndarray) -> np.ndarray:
            self.total -= np.log2(np.where(bits, chances, 65536 - chances) / 65536).sum()
            return bits

    counter = Counter()
    code_values(counter, np.array([value]), chances[None])
    return counter.total


@pytest.mark.parametrize("seed", range(8))
def test_the_cheapest_is_the_best_of_those_tried(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, chances = rng.normal(0, 3, 30), random_chances(30, seed)
    restored = np.stack([rng.uniform(-0.2, 0.2, 30), *rng.uniform(-0.2, 0.2, (2, 30))], 1)
    chosen = cheapest(values, chances, restored, 0.2)
    for at, value in enumerate(values):
        sign, nearest = (-1 if value < 0 else 1), int(abs(value) + 0.5)
        tried = {0, sign * nearest, sign * max(nearest - 1, 0)}

        def cost(candidate: int, at: int = at, value: float = value) -> float:
            stands_for = restored_values(np.array([candidate]), restored[at:at + 1])[0]
            return (value - stands_for)**2 + 0.2 * bits_of(candidate, chances[at])

        assert cost(int(chosen[at])) == pytest.approx(min(map(cost, tried)), abs=1e-9)
