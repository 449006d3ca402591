"""Frame by frame, as DICOM stores clips: JPEG 2000 (OpenJPEG) and baseline JPEG, both through Pillow."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, features

from lrmcodec.benchmarks.peers.coder import Coded, EncoderMissingError, Frames, Job
from lrmcodec.benchmarks.setting import LOSSLESS, Setting
from lrmcodec.formats.clip import Clip

JPEG_2000_RATIOS = (0, 4, 8, 16, 32, 64, 128)
"""Compression ratios asked of the encoder; 0 is the reversible transform."""

JPEG_QUALITIES = (5, 10, 25, 50, 75, 90)


def jpeg2000(clip: Clip) -> list[Job]:
    """JPEG 2000 codestreams, the 9/7 transform at given ratios or the reversible 5/3."""
    return [Job(Setting("ratio", ratio) if ratio else LOSSLESS, partial(_jpeg2000, clip.frames, ratio))
            for ratio in JPEG_2000_RATIOS]


def jpeg(clip: Clip) -> list[Job]:
    """Baseline JPEG with Huffman tables made for each frame."""
    return [Job(Setting("quality", quality), partial(_code, clip.frames, partial(_write_jpeg, quality=quality)))
            for quality in JPEG_QUALITIES]


def _jpeg2000(frames: Frames, ratio: int) -> Coded:
    if not features.check("jpg_2000"):
        raise EncoderMissingError("not available: this Pillow has no JPEG 2000.")
    return _code(frames, partial(_write_jpeg2000, ratio=ratio))


def _write_jpeg2000(picture: Image.Image, stream: io.BytesIO, ratio: int) -> None:
    """A bare codestream, as in a DICOM fragment; `no_jp2` leaves out the file's boxes."""
    lossy = {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True} if ratio else {}
    picture.save(stream, "jpeg2000", no_jp2=True, **lossy)


def _write_jpeg(picture: Image.Image, stream: io.BytesIO, quality: int) -> None:
    picture.save(stream, "jpeg", quality=quality, optimize=True)


def _code(frames: Frames, write: Callable[[Image.Image, io.BytesIO], None]) -> Coded:
    began = time.perf_counter()
    streams = []
    for frame in frames:
        stream = io.BytesIO()
        write(Image.fromarray(frame), stream)
        streams.append(stream.getvalue())
    encoded = time.perf_counter()
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in streams])
    return Coded(sum(map(len, streams)), decoded, encoded - began, time.perf_counter() - encoded)
