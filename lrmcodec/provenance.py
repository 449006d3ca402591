"""What ran: versions of the tools and the hardware, for rows, tables and cards of packs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lrmcodec import __version__

TOOLS = ("av", "numpy", "constriction", "zstandard", "pillow")
"""Libraries that decide the bytes of a file."""


def tool_versions(tools: Sequence[str]) -> dict[str, str]:
    """Versions by name: lrmcodec, the installed distributions `tools`, Python."""
    return {"lrmcodec": __version__, **{name: version(name) for name in tools}, "python": platform.python_version()}


@cache
def versions() -> str:
    """lrmcodec, the libraries that decide bytes, and Python, as text."""
    found = tool_versions(TOOLS)
    tools = ", ".join(f"{name} {found[name]}" for name in TOOLS)
    return f"lrmcodec {found['lrmcodec']}; {tools}; Python {found['python']}"


@cache
def hardware(device: str = "cpu") -> str:
    """Processor and the number of cores this process may use, and the GPU where one is used."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = f"{_processor()}, {cores} CPU cores"
    return f"{words}, {_gpu()}" if device == "cuda" else words


def provenance(device: str = "cpu") -> str:
    """Versions and hardware, one line."""
    return f"{versions()}; {hardware(device)}"


def _processor() -> str:
    """Name of the processor as Linux tells it, elsewhere the machine's type."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu() -> str:
    from torch import cuda

    return cuda.get_device_name() if cuda.is_available() else "no GPU"
