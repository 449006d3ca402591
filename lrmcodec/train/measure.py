"""Measure a SIREN pack on clips that it was not trained on.

``python -m lrmcodec.train.measure PACK --lung DIR [--videos DIR]`` prints one JSON object: mean PSNR and SSIM3D
of each group of clips at several ranks. Latents are fitted by `SirenDecoder.fit` and not quantized: it is the
decoder that is measured here, the files are measured by the benchmarks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrmcodec.decoders.base import RestoredSegment
from lrmcodec.decoders.siren import SirenDecoder
from lrmcodec.formats.pack import load_pack
from lrmcodec.metrics import psnr_db, ssim3d
from lrmcodec.train.data import (
    PHANTOM_TEST_SEED,
    Frames,
    lung_files,
    phantom_clip,
    pick_frames,
    read_gray,
    resize_area,
)

SIZE = (112, 112)


def measure_mean_picture(frames: Frames) -> dict[str, float]:
    """Quality of showing a clip's mean picture in every frame: what a decoder must beat."""
    still = np.broadcast_to(np.rint(frames.mean(axis=0)).astype(np.uint8), frames.shape)
    return {"psnr_db": psnr_db(frames, still), "ssim3d": ssim3d(frames, still)}


def measure(decoder: SirenDecoder, frames: Frames, rank: int) -> dict[str, float]:
    """PSNR in dB, SSIM3D and seconds of fitting of one clip at one rank."""
    begin = time.monotonic()
    fitted = decoder.fit(frames, rank, 0, lambda done, label: None)
    seconds = time.monotonic() - begin
    segment = RestoredSegment(fitted.latent, None, fitted.coeffs, (frames.shape[1], frames.shape[2]))
    decoded = np.rint(255 * decoder.render(segment, fitted.coeffs)).astype(np.uint8)
    return {"psnr_db": psnr_db(frames, decoded), "ssim3d": ssim3d(frames, decoded), "fit_seconds": seconds}


def average(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean over clips of each figure."""
    return {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}


def groups(lung: Path | None, videos: Path | None, clip_count: int, frame_count: int) -> dict[str, list[Frames]]:
    """Test clips of at most `frame_count` frames by group, about `clip_count` of them."""
    seeds = range(PHANTOM_TEST_SEED, PHANTOM_TEST_SEED + clip_count)
    clips = {"phantoms": [phantom_clip(seed, SIZE, frame_count) for seed in seeds]}
    if lung:
        files = lung_files(lung, test=True)
        files = files[::max(1, len(files) // clip_count)][:clip_count]
        chosen = [resize_area(read_gray(path, 2 * frame_count), SIZE) for path in files]
        clips["lung_test_patients"] = [pick_frames(frames, min(len(frames), frame_count)) for frames in chosen]
    if videos:
        paths = sorted(path for path in videos.iterdir() if path.suffix in {".avi", ".mp4"})
        clips[videos.name] = [read_gray(path, frame_count) for path in paths]
    return clips


def main(arguments: list[str] | None = None) -> None:
    """Parse arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(prog="python -m lrmcodec.train.measure", description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--lung", type=Path)
    parser.add_argument("--videos", type=Path, help="folder of further clips, measured as they are")
    parser.add_argument("--clips", type=int, default=8, help="simulated clips, and at most so many lung clips")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    decoder = SirenDecoder.from_pack(load_pack(options.pack), "cpu")
    report: dict[str, Any] = {}
    for group, clips in groups(options.lung, options.videos, options.clips, options.frames).items():
        still = average([measure_mean_picture(frames) for frames in clips])
        report[group] = {"clips": len(clips), "mean_picture": still}
        for rank in options.ranks:
            report[group][f"rank_{rank}"] = average([measure(decoder, frames, rank) for frames in clips])
            print(group, rank, report[group][f"rank_{rank}"], file=sys.stderr, flush=True)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
