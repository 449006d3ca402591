"""Lossless peers: FFV1, the archive codec; x265 and SVT-AV1 without loss; JPEG-LS, a frame at a time as in DICOM."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from lrmcodec.benchmarks.peers.coder import Coded, Job, VideoCoder, code_video
from lrmcodec.benchmarks.setting import LOSSLESS
from lrmcodec.formats.av1_video import MAX_GROUP, Quality, encode_video, open_video
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError

FFV1 = VideoCoder("ffv1", "ffv1", "gray", {"level": "3", "coder": "1", "context": "1", "g": "9999"})
# x265 4.x is not lossless on gray pictures with its presets slower and veryslow.
X265 = VideoCoder("libx265", "hevc", "gray", {"preset": "slow", "x265-params": "lossless=1:log-level=none:info=0"})
JPEG_LS = VideoCoder("jpegls", "jpegls", "gray", {})
AV1 = Quality(None, 2)


def ffv1(clip: Clip) -> list[Job]:
    """FFV1 version 3, range coder, large context."""
    return [Job(LOSSLESS, partial(_code, clip, FFV1))]


def x265(clip: Clip) -> list[Job]:
    """HEVC by x265, preset slow, transform and quantization bypassed."""
    return [Job(LOSSLESS, partial(_code, clip, X265))]


def jpeg_ls(clip: Clip) -> list[Job]:
    """JPEG-LS by FFmpeg, each frame alone."""
    return [Job(LOSSLESS, partial(_code, clip, JPEG_LS))]


def av1(clip: Clip) -> list[Job]:
    """SVT-AV1 preset 2, gray levels as luma of full range, one key frame in 1024."""
    return [Job(LOSSLESS, partial(_code_av1, clip))]


def _code_av1(clip: Clip) -> Coded:
    count, height, width = clip.frames.shape
    began = time.perf_counter()
    stream = encode_video(clip.frames, AV1, group=min(count, MAX_GROUP))
    encoded = time.perf_counter()
    decoded = open_video(stream, count, (height, width)).frames(0, count)
    return _checked(clip, Coded(len(stream), decoded, encoded - began, time.perf_counter() - encoded), "libsvtav1")


def _code(clip: Clip, coder: VideoCoder) -> Coded:
    return _checked(clip, code_video(clip.frames, coder, clip.fps), coder.encoder)


def _checked(clip: Clip, coded: Coded, encoder: str) -> Coded:
    if not np.array_equal(coded.frames, clip.frames):
        raise LrmError(f"{encoder} was asked for no loss and lost something.",
                       "Use the library versions of the constraints file.")
    return coded
