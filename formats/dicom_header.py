"""Elements of a DICOM header, read so that a mangled one is a missing one. Needs the optional package pydicom.

References are to DICOM PS3.3, 2024.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
"""A code string (VR CS): nothing else is passed on as text, for it might name a patient."""


class Header:
    """Data sets that are looked through in order, the first that has an element deciding.

    Parameters
    ----------
    levels : sequence of Dataset
        The most specific one first: functional groups of a frame, shared ones, the header itself.
    """

    def __init__(self, levels: Sequence[Dataset]) -> None:
        self._levels = tuple(levels)

    def value(self, keyword: str) -> Any:
        """Value of an element; None when it is missing, empty or cannot be converted."""
        for level in self._levels:
            try:
                found = level.get(keyword)
            except Exception:  # pydicom raises errors of every kind on mangled values
                continue
            if found is not None and not (isinstance(found, (str, bytes, MultiValue, list)) and not len(found)):
                return found
        return None

    def has(self, keyword: str) -> bool:
        """Whether an element is there with a value."""
        return self.value(keyword) is not None

    def vr(self, keyword: str) -> str:
        """Value representation of an element as read, '' when it is missing."""
        for level in self._levels:
            try:
                if keyword in level:
                    return str(level[keyword].VR)
            except Exception:  # as above
                continue
        return ""

    def numbers(self, keyword: str) -> list[float]:
        """All numbers of an element; empty when it is missing or one of them is no finite number."""
        value = self.value(keyword)
        values = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
        try:
            numbers = [float(v) for v in values if not isinstance(v, bytes)]
        except (TypeError, ValueError, OverflowError):
            return []
        return numbers if len(numbers) == len(values) and np.isfinite(numbers).all() else []

    def number(self, keyword: str) -> float | None:
        """First number of an element, or None."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """First number of an element when it is whole, or None."""
        number = self.number(keyword)
        return int(number) if number is not None and number == int(number) else None

    def codes(self, keyword: str) -> list[str]:
        """Code strings of an element; anything that is none is left out."""
        value = self.value(keyword)
        values = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
        return [v.strip() for v in values if isinstance(v, str) and _CODE.fullmatch(v.strip())]

    def code(self, keyword: str) -> str:
        """First code string of an element, or ''."""
        codes = self.codes(keyword)
        return codes[0] if codes else ""

    def items(self, keyword: str) -> list[Dataset]:
        """Items of a sequence; empty when it is missing or none."""
        value = self.value(keyword)
        try:
            return [item for item in value if isinstance(item, Dataset)] if value is not None else []
        except TypeError:
            return []


class FrameHeaders:
    """The header as each frame sees it: its functional groups, then the shared ones, then the rest (C.7.6.16)."""

    def __init__(self, dataset: Dataset) -> None:
        self.whole = Header([dataset])
        self._dataset = dataset

    @cached_property
    def per_frame(self) -> list[Dataset]:
        """Functional groups of each frame; empty in objects without them."""
        return self.whole.items("PerFrameFunctionalGroupsSequence")

    @cached_property
    def shared(self) -> Header:
        """The header of a frame without groups of its own."""
        groups = self.whole.items("SharedFunctionalGroupsSequence")
        return Header([*(item for group in groups[:1] for item in _macros(group)), self._dataset])

    def frame(self, index: int) -> Header:
        """The header of frame `index`, from 0."""
        if index >= len(self.per_frame):
            return self.shared
        return Header([*_macros(self.per_frame[index]), *self.shared._levels])


def _macros(group: Dataset) -> list[Dataset]:
    """First items of all sequences of a functional group."""
    found = []
    for tag in list(group.keys()):
        try:
            element = group[tag]
        except Exception:  # as above
            continue
        if element.VR == "SQ" and element.value:
            found.append(element.value[0])
    return found
