"""Modules that need the optional package pydicom."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from lrmcodec.formats.errors import LrmError


def dicom_module(name: str, error: type[LrmError]) -> ModuleType:
    """Import `lrmcodec.formats.<name>`; where pydicom is missing, raise `error` with what to install."""
    try:
        return import_module(f"lrmcodec.formats.{name}")
    except ImportError as missing:
        raise error("DICOM files need pydicom, which is not installed.",
                    "Install it with: pip install 'lrmcodec[dicom]'") from missing
