"""Modules of DICOM objects and the attributes that identify somebody, from tables of named editions.

`dicom_tables.json` says which editions these are; `tests/formats/make_dicom_tables.py` made it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from pydicom.datadict import tag_for_keyword

ULTRASOUND_MULTIFRAME = "ultrasound-multi-frame-image"
RAW_DATA = "raw-data"


@cache
def _tables() -> dict[str, Any]:
    text = (resources.files(__package__) / "dicom_tables.json").read_text(encoding="utf-8")
    tables: dict[str, Any] = json.loads(text)
    return tables


def editions() -> dict[str, str]:
    """Editions of the standard that `modules` and `profile` were taken from."""
    return dict(_tables()["editions"])


def modules(kind: str) -> dict[str, str]:
    """Modules of an object and their usage: M mandatory, C conditional, U optional (PS3.3 Annex A)."""
    return dict(_tables()["objects"][kind])


def attributes(module: str) -> dict[str, str]:
    """Keywords of a module's attributes outside its sequences, and their type: 1, 1C, 2, 2C or 3 (PS3.3 Annex C)."""
    return dict(_tables()["modules"][module])


def mandatory(kind: str, type_: str) -> list[str]:
    """Keywords of one type in the mandatory modules of an object, for example '2' (present, perhaps empty)."""
    rows = (attributes(module) for module, usage in modules(kind).items() if usage == "M")
    return [keyword for row in rows for keyword, found in row.items() if found == type_]


@cache
def confidential() -> frozenset[int]:
    """Tags that the Basic Application Level Confidentiality Profile removes, empties or replaces (PS3.15 E.1-1)."""
    names = (name for names in _tables()["profile"].values() for name in names)
    return frozenset(tag for tag in map(_tag, names) if tag is not None)


def _tag(name: str) -> int | None:
    """Tag of a keyword, or of eight hexadecimal digits where the table is newer than the dictionary."""
    return tag_for_keyword(name) if not name[0].isdigit() else int(name, 16)
