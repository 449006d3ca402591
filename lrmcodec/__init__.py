"""Low-rank-modulated codec for ultrasound video.

clip = lrmcodec.read_clip("video.avi")
lrmcodec.encode(clip, ratio=500).save("video.lrm")
frames = lrmcodec.open("video.lrm").frames()  # (T, H, W) uint8
"""

import lazy_loader

__version__ = "0.1.0"

# Public names stand in __init__.pyi and are imported when they are first used, so that `lrmcodec --help` stays quick.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
