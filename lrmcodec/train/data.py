"""Sources of training clips: EchoNet-Dynamic, folders of videos, lung clips split by patient, simulated hearts.

Every clip is brought to the same size and the same number of frames, so that a pool of clips is one array.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.formats.echonet import EchoNetDynamic, read_table
from lrmcodec.formats.errors import ClipError
from lrmcodec.simulate import simulate
from lrmcodec.train.pool import Pool, cached, make_pool, simulator_digest
from lrmcodec.train.recipe import Data

Frames = NDArray[np.uint8]

LUNG_TEST_PATIENTS = frozenset({4, 116, 118, 119})
"""Patients of the lung collection that no decoder of this project is trained on: 10 clips, both probes."""

TEST_SEED = 1_000_000
"""Seeds of simulated clips from here on are for tests; training draws below."""

SPAN_FRAMES, SPANS = 64, 2
"""A video gives pieces from its first spans: a second or two each."""

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mov", ".mkv", ".webm", ".mpeg", ".mpg"})


class VideoFolder:
    """All videos under a folder, by path; `paths` lists them.

    Raises
    ------
    ClipError
        When there is no such folder or no video in it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.paths = sorted(path for path in self.root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        if not self.paths:
            raise ClipError(f"{root} holds no videos.", f"Known are {', '.join(sorted(VIDEO_SUFFIXES))}.")


def lung_files(folder: Path, test: bool = False) -> list[Path]:
    """Lung clips of the training patients, or of the test patients.

    Parameters
    ----------
    folder : Path
        Clips and their `ATTRIBUTION.csv` with the columns `file` and `patient`.
    test : bool
        Which side of the split.
    """
    rows = read_table(folder / "ATTRIBUTION.csv", ("file", "patient"))
    return [folder / row["file"] for row in rows
            if (int(float(row["patient"])) in LUNG_TEST_PATIENTS) == test]


def read_gray(path: Path, limit: int | None = None) -> Frames:
    """Decode a video to gray frames (T, H, W), at most `limit` of them."""
    frames: list[Frames] = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            frames.append(picture.to_ndarray(format="gray").astype(np.uint8))
            if limit and len(frames) == limit:
                break
    return np.stack(frames)


def resize_area(frames: Frames, size: tuple[int, int]) -> Frames:
    """Shrink frames (T, H, W) to (T, *size), each new pixel the mean of the area it covers."""
    small = torch.nn.functional.interpolate(torch.from_numpy(frames)[:, None].float(), size, mode="area")
    return np.asarray(small[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())


def pick_frames(frames: Frames, count: int) -> Frames:
    """Take `count` frames spread evenly over a clip; short clips repeat frames."""
    return np.asarray(frames[np.linspace(0, len(frames) - 1, count).round().astype(np.intp)])


def video_clips(files: Iterable[Path], size: tuple[int, int], count: int, mirror: bool = False) -> list[Frames]:
    """Pieces of `count` frames from the first spans of each video, and with `mirror` their mirror images."""
    clips = []
    for path in files:
        frames = resize_area(read_gray(path, SPANS * SPAN_FRAMES), size)
        for start in range(0, max(len(frames) - SPAN_FRAMES // 2, 1), SPAN_FRAMES):
            piece = pick_frames(frames[start:start + SPAN_FRAMES], count)
            clips += [piece, piece[:, :, ::-1]] if mirror else [piece]
    return clips


def simulated_clips(preset: str, first_seed: int, clip_count: int, frame_count: int, size: tuple[int, int],
                    fps: float, device: str = "cpu") -> list[Frames]:
    """Simulated clips of consecutive seeds."""
    return [simulate(preset, seed, frame_count=frame_count, size=size, fps=fps, device=device).clip.frames
            for seed in range(first_seed, first_seed + clip_count)]


def training_pool(data: Data, cache: Path | None = None, device: str = "cpu") -> Pool:
    """Pool of all sources that a recipe names.

    Parameters
    ----------
    data : Data
    cache : Path, optional
        Folder that keeps the clips made, since simulating and reading take minutes.
    device : str
        Where to simulate.

    Raises
    ------
    ClipError
        When no source gives a clip.
    """
    size, count = (data.size, data.size), data.frames
    sources: dict[str, Sequence[Frames]] = {}
    if data.simulated:
        key = {"preset": data.preset, "clips": data.simulated, "frames": count, "size": data.size, "fps": data.fps,
               "device": device, "simulator": simulator_digest()}
        sources["simulated"] = cached(cache, key, lambda: simulated_clips(
            data.preset, 0, data.simulated, count, size, data.fps, device))
    if data.echonet:
        files = [clip.path for clip in EchoNetDynamic(data.echonet).split("TRAIN")]
        sources["echonet"] = _cached_videos(cache, files, size, count, mirror=False)
    if data.lung:
        sources["lung"] = _cached_videos(cache, lung_files(Path(data.lung)), size, count, mirror=True)
    if data.videos:
        sources["videos"] = _cached_videos(cache, VideoFolder(data.videos).paths, size, count, mirror=False)
    if not any(len(clips) for clips in sources.values()):
        raise ClipError("the recipe names no clips to train on.", "Set 'simulated', or name a folder with --data.")
    return make_pool(sources)


def held_out(data: Data, clip_count: int = 2) -> dict[str, list[Frames]]:
    """A few clips of each source that training never sees, for measuring on the way."""
    size, count = (data.size, data.size), data.frames
    clips: dict[str, list[Frames]] = {}
    if data.simulated:
        clips["simulated"] = simulated_clips(data.preset, TEST_SEED, clip_count, count, size, data.fps)
    if data.echonet:
        files = [clip.path for clip in EchoNetDynamic(data.echonet).split("VAL")[:clip_count]]
        clips["echonet"] = video_clips(files, size, count)
    if data.lung:
        files = lung_files(Path(data.lung), test=True)
        clips["lung"] = video_clips(files[::max(1, len(files) // clip_count)][:clip_count], size, count)[:clip_count]
    return clips


def _cached_videos(cache: Path | None, files: Sequence[Path], size: tuple[int, int], count: int,
                   mirror: bool) -> Sequence[Frames]:
    """Pieces of videos, from the cache as long as names and lengths of the files stay."""
    key = {"files": [(path.name, path.stat().st_size) for path in files], "size": size, "frames": count,
           "mirror": mirror}
    return cached(cache, key, lambda: video_clips(files, size, count, mirror)) if files else []
