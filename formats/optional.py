"""Modules that need the optional package pydicom and its companions."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from lrmcodec.formats.errors import LrmError


def dicom_module(module: str, error: type[LrmError]) -> ModuleType:
    """Import `lrmcodec.formats.<module>`; where a package is missing, raise `error` with what to install."""
    try:
        return import_module(f"lrmcodec.formats.{module}")
    except ImportError as missing:
        name = (missing.name or "").partition(".")[0].replace("lrmcodec", "") or "pydicom"
        raise error(f"DICOM files need {name}, which is not installed.",
                    "Install it with: pip install 'lrmcodec[dicom]'") from missing
