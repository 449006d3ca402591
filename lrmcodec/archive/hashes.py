"""Sets of many names in 8 bytes each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable

import numpy as np


class Hashes:
    """Tells which values are among some; n of them make it wrong about another value once in 2**64 / n times."""

    def __init__(self, values: Iterable[Hashable]) -> None:
        self._sorted = np.fromiter(map(hash, values), np.int64)
        self._sorted.sort()

    def __contains__(self, value: Hashable) -> bool:
        wanted = hash(value)
        place = bisect_left(self._sorted, wanted)
        return place < len(self._sorted) and int(self._sorted[place]) == wanted
