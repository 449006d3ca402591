"""Measure a pack on clips that it was not trained on, latents fitted and not quantized: the decoder, not the files.

``python -m lrmcodec.train.measure PACK [--lung DIR] [--videos DIR]`` prints one JSON object: mean PSNR and SSIM3D of
each group of clips at several ranks, and of the clip's mean picture, what a useful decoder must beat.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrmcodec import metrics
from lrmcodec.decoders.registry import find_pack, make_decoder
from lrmcodec.train.data import (
    TEST_SEED,
    Frames,
    VideoFolder,
    lung_files,
    pick_frames,
    read_gray,
    resize_area,
    simulated_clips,
)
from lrmcodec.train.frame_job import measure

SIZE = (112, 112)
FPS = 50.0


def _mean_picture_quality(frames: Frames) -> dict[str, float]:
    still = metrics.mean_picture(frames)
    return {"psnr_db": metrics.psnr_db(frames, still), "ssim3d": metrics.ssim3d(frames, still)}


def average(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean over clips of each figure."""
    return {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}


def groups(lung: Path | None, videos: Path | None, clip_count: int, frame_count: int) -> dict[str, list[Frames]]:
    """Test clips of at most `frame_count` frames by group, about `clip_count` of them."""
    clips = {"simulated": simulated_clips("echonet_like", TEST_SEED, clip_count, frame_count, SIZE, FPS)}
    if lung:
        files = lung_files(lung, test=True)
        files = files[::max(1, len(files) // clip_count)][:clip_count]
        chosen = [resize_area(read_gray(path, 2 * frame_count), SIZE) for path in files]
        clips["lung_test_patients"] = [pick_frames(frames, min(len(frames), frame_count)) for frames in chosen]
    if videos:
        clips[videos.name] = [resize_area(read_gray(path, frame_count), SIZE) for path in VideoFolder(videos).paths]
    return clips


def main(arguments: list[str] | None = None) -> None:
    """Parse arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(prog="python -m lrmcodec.train.measure", description=__doc__)
    parser.add_argument("pack", help="a shipped pack's name or a folder")
    parser.add_argument("--lung", type=Path, help="folder of lung clips with ATTRIBUTION.csv")
    parser.add_argument("--videos", type=Path, help="folder of further clips")
    parser.add_argument("--clips", type=int, default=3, help="simulated clips, and at most so many lung clips")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 8, 32])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    decoder = make_decoder(find_pack(options.pack), "cpu")
    report: dict[str, Any] = {}
    for group, clips in groups(options.lung, options.videos, options.clips, options.frames).items():
        still = average([_mean_picture_quality(frames) for frames in clips])
        report[group] = {"clips": len(clips), "mean_picture": still}
        for rank in options.ranks:
            report[group][f"rank_{rank}"] = average([measure(decoder, frames, rank) for frames in clips])
            print(group, rank, report[group][f"rank_{rank}"], file=sys.stderr, flush=True)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
