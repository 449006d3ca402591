"""Lossless peers: FFV1, the archive codec, and x265 without loss."""

from __future__ import annotations

from functools import partial

import numpy as np

from lrmcodec.benchmarks.peers.coder import Coded, Job, VideoCoder, code_video
from lrmcodec.benchmarks.setting import LOSSLESS
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError

FFV1 = VideoCoder("ffv1", "ffv1", "gray", {"level": "3", "coder": "1", "context": "1", "g": "9999"})
# x265 4.x is not lossless on gray pictures with its presets slower and veryslow.
X265 = VideoCoder("libx265", "hevc", "gray", {"preset": "slow", "x265-params": "lossless=1:log-level=none:info=0"})


def ffv1(clip: Clip) -> list[Job]:
    """FFV1 version 3, range coder, large context."""
    return [Job(LOSSLESS, partial(_code, clip, FFV1))]


def x265(clip: Clip) -> list[Job]:
    """HEVC by x265, preset slow, transform and quantization bypassed."""
    return [Job(LOSSLESS, partial(_code, clip, X265))]


def _code(clip: Clip, coder: VideoCoder) -> Coded:
    coded = code_video(clip.frames, coder, clip.fps)
    if not np.array_equal(coded.frames, clip.frames):
        raise LrmError(f"{coder.encoder} was asked for no loss and lost something.",
                       "Use the library versions of the constraints file.")
    return coded
