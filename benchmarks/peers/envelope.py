"""Standard video codecs as a careful user runs them at low rates.

Besides the native clip: every 2nd, 4th, 8th or 16th frame with linear blending between them, and frames of reduced
size restored by cubic interpolation. The upper hull of these points, not the codec at its native rate, is the peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrmcodec.benchmarks.peers.coder import Coded, Frames, Job, VideoCoder, code_video, without_sei
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.formats.clip import Clip

# One key frame a clip, the slowest presets that finish in seconds. Gray frames go through FFmpeg's usual conversion to
# 4:2:0 of limited range, as a user's would.
AV1 = VideoCoder("libsvtav1", "libdav1d", "yuv420p", {"preset": "2", "svtav1-params": "keyint=-1:tune=1:lp=1"})
AV1_10BIT = replace(AV1, pixel_format="yuv420p10le")
AV1_PRESET5 = replace(AV1, options={**AV1.options, "preset": "5"})
X265 = VideoCoder("libx265", "hevc", "yuv420p",
                  {"preset": "veryslow", "g": "9999", "x265-params": "log-level=none:info=0:keyint=-1"})
X264 = VideoCoder("libx264", "h264", "yuv420p", {"preset": "veryslow", "g": "9999"}, without_sei)
VP9 = VideoCoder("libvpx-vp9", "vp9", "yuv420p",
                 {"deadline": "good", "cpu-used": "0", "b": "0", "lag-in-frames": "25", "auto-alt-ref": "1",
                  "g": "9999"})

MAX_CRF = 63  # of SVT-AV1
MIDDLE, SMALL = "5/7", "4/7"  # 80 and 64 pixels of 112


def _points(by_step: dict[int, Sequence[int]], small: dict[int, Sequence[int]],
            middle: dict[int, Sequence[int]] | None = None) -> list[Setting]:
    grids = (("", by_step), (MIDDLE, middle or {}), (SMALL, small))
    return [Setting("crf", crf, every=step, scale=scale)
            for scale, grid in grids for step, crfs in grid.items() for crf in crfs]


AV1_POINTS = _points({1: (4, 8, 14, 20, 26, 32, 36, 40, 45, 50, 54, 58, 63), 2: (32, 40, 50, 58), 4: (50, 58, 63),
                      8: (58, 63), 16: (58, 63)},
                     {4: (58,), 8: (50, 58), 16: (50, 58, 63)}, {4: (58,), 8: (58,)})
AV1_FEW_POINTS = _points({1: (2, 4, 8, 14, 20, 26, 32, 40, 50, 58), 2: (40, 50, 58), 4: (58,)}, {})
X26X_POINTS = _points({1: (18, 24, 30, 38, 45, 51), 2: (30, 38, 45), 4: (38, 45), 8: (38, 45)},
                      {4: (38,), 8: (38, 45), 16: (38, 45)})
VP9_POINTS = _points({1: (24, 36, 50, 58, 63), 2: (50, 58, 63), 4: (50, 58, 63), 8: (58, 63)},
                     {4: (58,), 8: (50, 58), 16: (50, 63)})


def _jobs(coder: VideoCoder, points: Sequence[Setting], clip: Clip) -> list[Job]:
    """Jobs of a codec's points; a step that leaves one frame of several is left out."""
    return [Job(point, partial(code_point, clip.frames, coder, point, clip.fps))
            for point in points if (point.every or 1) < max(len(clip.frames), 2)]


def av1(clip: Clip) -> list[Job]:
    """SVT-AV1, preset 2."""
    return _jobs(AV1, AV1_POINTS, clip)


def av1_10bit(clip: Clip) -> list[Job]:
    """SVT-AV1, preset 2, with 10 bits a sample."""
    return _jobs(AV1_10BIT, AV1_FEW_POINTS, clip)


def av1_preset5(clip: Clip) -> list[Job]:
    """SVT-AV1, preset 5."""
    return _jobs(AV1_PRESET5, AV1_FEW_POINTS, clip)


def x265(clip: Clip) -> list[Job]:
    """HEVC by x265, preset veryslow."""
    return _jobs(X265, X26X_POINTS, clip)


def x264(clip: Clip) -> list[Job]:
    """AVC by x264, preset veryslow."""
    return _jobs(X264, X26X_POINTS, clip)


def vp9(clip: Clip) -> list[Job]:
    """VP9 by libvpx, constant quality in one pass, the slowest of its good deadline."""
    return _jobs(VP9, VP9_POINTS, clip)


def code_point(frames: Frames, coder: VideoCoder, point: Setting, fps: float) -> Coded:
    """Code what the point keeps of frames (T, H, W) and restore all of them."""
    step = point.every or 1
    coded = code_video(_resized(frames[::step], point.scale), coder, max(fps / step, 1.0),
                       crf=f"{point.target_value:.0f}")
    restored = _restored(coded.frames, (frames.shape[1], frames.shape[2]))
    return replace(coded, frames=blend(restored, step, len(frames)))


def code_within(frames: Frames, coder: VideoCoder, point: Setting, fps: float,
                size_bytes: float) -> tuple[Setting, Coded] | None:
    """The finest whole crf at a point's step and scale that stays within a size; None when none does."""
    best, low, high = None, 1, MAX_CRF
    while low <= high:
        crf = (low + high) // 2
        tried = replace(point, target_value=float(crf))
        coded = code_point(frames, coder, tried, fps)
        if coded.size_bytes <= size_bytes:
            best, high = (tried, coded), crf - 1
        else:
            low = crf + 1
    return best


def _resized(frames: Frames, scale: str) -> Frames:
    """Frames reduced by cubic interpolation with its kernel widened, to even sides."""
    if not scale:
        return frames
    height, width = (max(2 * round(side * Fraction(scale) / 2), 2) for side in frames.shape[1:])
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
                     for frame in frames])


def _restored(frames: Frames, size: tuple[int, int]) -> NDArray[np.float32]:
    """Frames (n, H, W) enlarged by cubic interpolation, not rounded."""
    if frames.shape[1:] == size:
        return frames.astype(np.float32)
    return np.stack([np.asarray(Image.fromarray(frame.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC))
                     for frame in frames])


def blend(frames: NDArray[np.float32], step: int, count: int) -> Frames:
    """All `count` frames from every `step`-th one, blended linearly, the last one held; rounded to gray levels."""
    at = np.arange(count) / step
    left = np.minimum(at.astype(int), len(frames) - 1)
    right = np.minimum(left + 1, len(frames) - 1)
    weight = (at - left).astype(np.float32)[:, None, None].clip(0, 1)
    mixed = (1 - weight) * frames[left] + weight * frames[right]
    return np.asarray(mixed.round().clip(0, 255).astype(np.uint8))
