"""Make `formats/dicom_tables.json` from tables that others took from the standard.

    pip install highdicom==0.28.2 dicom-anonymizer==2.1.0
    python -P tests/formats/make_dicom_tables.py > formats/dicom_tables.json

highdicom holds the modules and attributes of PS3.3 in the edition that its release notes name (0.24.0: 2024c, that
of pydicom 3.0's dictionary as well); dicom-anonymizer holds Table E.1-1 of PS3.15. Only facts are taken: keywords,
types, usages and actions.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as profile  # type: ignore[import-not-found]
from pydicom.datadict import keyword_for_tag

OBJECTS = {"ultrasound-multi-frame-image": "1.2.840.10008.5.1.4.1.1.3.1", "raw-data": "1.2.840.10008.5.1.4.1.1.66"}
ACTIONS = ("D", "Z", "X", "U", "Z_D", "X_Z", "X_D", "X_Z_D", "X_Z_U_STAR")


def read(name: str) -> dict[str, Any]:
    """One of highdicom's tables."""
    loaded: dict[str, Any] = json.loads((resources.files("highdicom") / "_standard" / name).read_text())
    return loaded


def main() -> None:
    """Print the tables."""
    objects, modules = read("iod_module_map.json"), read("module_attribute_map.json")
    used = {key: {row["key"]: row["usage"] for row in objects[key]} for key in OBJECTS}
    names = sorted({name for rows in used.values() for name in rows})
    tables = {
        "editions": {"modules": "DICOM PS3.3 2024c", "profile": "DICOM PS3.15 2026c, Table E.1-1, Basic Profile"},
        "objects": used,
        "modules": {name: {row["keyword"]: row["type"] for row in modules[name] if not row["path"]} for name in names},
        "profile": {key.replace("_STAR", "*").replace("_", "/"):
                    sorted(filter(None, map(name_of, getattr(profile, f"{key}_TAGS")))) for key in ACTIONS},
    }
    print("{" + ",\n".join(f"{json.dumps(key)}: {lines(part)}" for key, part in tables.items()) + "}")


def lines(part: dict[str, Any]) -> str:
    """JSON with one entry a line."""
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in part.items()) + "}"


def name_of(tag: tuple[int, ...]) -> str:
    """Keyword of a tag; for tags that the dictionary does not know, eight hexadecimal digits; else nothing."""
    if len(tag) != 2:
        return ""  # repeating groups (curves, overlays), which are never carried
    return keyword_for_tag(tag[0] << 16 | tag[1]) or f"{tag[0]:04X}{tag[1]:04X}"


if __name__ == "__main__":
    main()
