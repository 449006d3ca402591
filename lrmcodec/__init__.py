"""Low-rank-modulated codec for ultrasound video.

clip = lrmcodec.read_clip("video.avi")
lrmcodec.encode(clip, ratio=500).save("video.lrm")
frames = lrmcodec.open("video.lrm").frames()  # (T, H, W) uint8
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lrmcodec.codec import Encoded, decode, encode, open
    from lrmcodec.formats.clip import Clip
    from lrmcodec.formats.errors import LrmError
    from lrmcodec.formats.video import read_clip, write_clip
    from lrmcodec.reader import LrmFile

__all__ = ["Clip", "Encoded", "LrmError", "LrmFile", "__version__", "decode", "encode", "open", "read_clip",
           "write_clip"]

_HOMES = {
    "Clip": "lrmcodec.formats.clip", "LrmError": "lrmcodec.formats.errors", "read_clip": "lrmcodec.formats.video",
    "write_clip": "lrmcodec.formats.video", "Encoded": "lrmcodec.codec", "LrmFile": "lrmcodec.reader",
    "decode": "lrmcodec.codec", "encode": "lrmcodec.codec", "open": "lrmcodec.codec",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that `lrmcodec --help` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lrmcodec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
