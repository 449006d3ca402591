"""A real clip that comes with lrmcodec, for the demonstration and for tests; see ATTRIBUTION.txt."""

from __future__ import annotations

from pathlib import Path


def lung_clip_path() -> Path:
    """Path of the bundled lung clip: 123 gray frames of 270x270 pixels at 25 frames a second, H.264, CC BY 2.0."""
    return Path(__file__).with_name("Vir_whitelung_h1n1.mp4")
