"""Codecs as people call them."""

from __future__ import annotations

from lrmcodec.benchmarks.measure.rows import OURS
from lrmcodec.decoders.registry import DEFAULT_PACK

NAMES = {"av1": "AV1", "x265": "x265", "x264": "x264", "vp9": "VP9", "jpeg2000": "JPEG 2000", "jpeg": "JPEG",
         "ffv1": "FFV1", "x265-lossless": "x265 lossless", "lowrank-av1": "low rank + AV1 still",
         "av1-10bit": "AV1 10 bit", "av1-preset5": "AV1 preset 5", "av1-lossless": "AV1 lossless", "jpeg-ls": "JPEG-LS"}
"""Peers as people call them."""


def name_of(codec: str) -> str:
    """A codec as people call it."""
    return NAMES.get(codec, codec.removeprefix(OURS) if codec != OURS + DEFAULT_PACK else "lrmcodec")
