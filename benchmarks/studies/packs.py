"""Every shipped pack on clips that none was trained on: quality, bytes, speed, and the paper's findings.

python -m lrmcodec.benchmarks.studies.packs -o DIR [--videos DIR] [--lung DIR] [--simulated N] [--packs a,b]
                                             [--ranks 2,4,8,32]

Each clip is fitted once a pack at the highest rank and coded at every rank with one quantizer index. A lower rank loses
by that: 0 to 0.14 dB (lrm-ortho) and 0.06 to 0.44 dB (medfuncta) at ranks 2 and 8 of two simulated clips. Bytes are
those of the whole file, quality is measured on what it decodes to. Rows are added as they come; what stands in the
table is not measured again.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec import __version__, metrics
from lrmcodec.codec import DEFAULT_QUALITY, quality_to_q
from lrmcodec.decoders.base import Decoder, FittedSegment
from lrmcodec.decoders.registry import find_pack, make_decoder, shipped_packs
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import CodedClip, CodedSegment, pack_file
from lrmcodec.formats.pack import Pack
from lrmcodec.formats.video import read_clip
from lrmcodec.reader import LrmFile
from lrmcodec.simulate import simulate
from lrmcodec.train.data import TEST_SEED, VideoFolder, lung_files

COLUMNS = ("group", "clip", "frames", "pack", "rank", "size_bytes", "ratio", "psnr_db", "ssim3d", "fit_seconds",
           "decode_fps", "second_share", "turning")
SIZE = (112, 112)
FIRST_SEED = TEST_SEED + 500
"""Apart from the seeds that training looks at on its way."""

LUNG_CLIPS = 5
MEAN_PICTURE = "mean picture"
Row = dict[str, object]


@dataclass(frozen=True)
class Case:
    """A clip to measure, with its group and name."""

    group: str
    name: str
    clip: Clip


def cases(videos: Path | None, lung: Path | None, simulated: int, frames: int) -> Iterator[Case]:
    """Clips of all groups, at most `frames` frames of each, 112x112."""
    for seed in range(FIRST_SEED, FIRST_SEED + simulated):
        yield Case("simulated", f"echonet_like_{seed}", simulate("echonet_like", seed, frame_count=frames).clip)
    if videos:
        for index, path in enumerate(VideoFolder(videos).paths, 1):
            yield Case("cardiac", f"cardiac_{index}", _cut(read_clip(path, size=SIZE), frames))
    if lung:
        files = lung_files(lung, test=True)
        for path in files[::max(1, len(files) // LUNG_CLIPS)][:LUNG_CLIPS]:
            yield Case("lung", path.stem, _cut(read_clip(path, size=SIZE), frames))


def _cut(clip: Clip, frames: int) -> Clip:
    return Clip(clip.frames[:frames], clip.times_s[:frames])


def mean_picture_row(case: Case) -> Row:
    """Quality of showing the clip's mean in every frame, which costs no coefficients at all."""
    frames = case.clip.frames
    still = np.broadcast_to(np.rint(frames.mean(0)).astype(np.uint8), frames.shape)
    return {"group": case.group, "clip": case.name, "frames": len(frames), "pack": MEAN_PICTURE, "rank": 0,
            "psnr_db": metrics.psnr_db(frames, still), "ssim3d": metrics.ssim3d(frames, still)}


def pack_rows(case: Case, pack: Pack, decoder: Decoder, ranks: Sequence[int]) -> Iterator[Row]:
    """Rows of one clip with one pack at every rank that the clip allows."""
    frames = np.ascontiguousarray(case.clip.frames)
    limit = decoder.rank_limit(len(frames), SIZE)
    begin = time.perf_counter()
    fitted = decoder.fit(frames, min(max(ranks), limit), 0, lambda done, label: None)
    fit_seconds = time.perf_counter() - begin
    for rank in (rank for rank in ranks if rank <= limit):
        yield {"group": case.group, "clip": case.name, "frames": len(frames), "pack": pack.name, "rank": rank,
               "fit_seconds": fit_seconds, **_coded(case.clip, pack, decoder, fitted, rank)}


def _coded(clip: Clip, pack: Pack, decoder: Decoder, fitted: FittedSegment, rank: int) -> Row:
    q = quality_to_q(DEFAULT_QUALITY)
    segment = CodedSegment(rank, q, decoder.code(fitted, rank, q))
    data = pack_file(CodedClip(pack.pack_id, decoder.arch_id, SIZE, clip.times_s, [segment], {}))
    file = LrmFile(data, decoder=decoder)
    coeffs = file.coeffs[0]
    begin = time.perf_counter()
    decoded = file.frames()
    seconds = time.perf_counter() - begin
    share, turning = trajectory(coeffs)
    return {"size_bytes": len(data), "ratio": clip.frames.size / len(data),
            "psnr_db": metrics.psnr_db(clip.frames, decoded), "ssim3d": metrics.ssim3d(clip.frames, decoded),
            "decode_fps": len(decoded) / seconds, "second_share": share, "turning": turning}


def trajectory(coeffs: NDArray[np.float64]) -> tuple[float, float]:
    """Shape of the path phi(t) (T, r) in its plane of largest variance.

    Returns
    -------
    second_share : float
        Variance across the path's main direction over the variance along it: 0 for a line, 1 for a circle.
    turning : float
        Net turns around the middle over all turns, 0 to 1: 1 where the path always goes round the same way, as
        a spiral does, 0 where it goes to and fro.
    """
    centered = coeffs - coeffs.mean(0)
    if centered.shape[1] < 2 or not centered.any():
        return 0.0, 0.0
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    plane = left[:, :2] * values[:2]
    angles = np.diff(np.unwrap(np.arctan2(plane[:, 1], plane[:, 0])))
    return float(values[1]**2 / values[0]**2), float(abs(angles.sum()) / max(np.abs(angles).sum(), 1e-12))


def summary(rows: Sequence[Row]) -> str:
    """Markdown: means over the clips of every group, pack and rank."""
    lines = []
    for group in dict.fromkeys(str(row["group"]) for row in rows):
        of_group = [row for row in rows if row["group"] == group]
        clips = len({row["clip"] for row in of_group})
        lines += [f"**{group}**, {clips} clips", "",
                  "| pack | rank | bytes | ratio | PSNR dB | SSIM3D | fit s | decode frames/s |",
                  "|---|---|---|---|---|---|---|---|"]
        for key in dict.fromkeys((str(row["pack"]), int(str(row["rank"]))) for row in of_group):
            chosen = [row for row in of_group if (row["pack"], int(str(row["rank"]))) == key]
            cells = [_mean(chosen, name, form) for name, form in (
                ("size_bytes", ".0f"), ("ratio", ".0f"), ("psnr_db", ".2f"), ("ssim3d", ".3f"),
                ("fit_seconds", ".1f"), ("decode_fps", ".0f"))]
            lines.append(f"| {key[0]} | {key[1]} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def findings(rows: Sequence[Row]) -> str:
    """Markdown: the paper's qualitative statements beside what the simulated clips show."""
    simulated = [row for row in rows if row["group"] == "simulated"]
    packs = list(dict.fromkeys(str(row["pack"]) for row in simulated if row["pack"] != MEAN_PICTURE))
    ranks = sorted({int(str(row["rank"])) for row in simulated} - {0})
    lines = [f"| pack | {' | '.join(f'r = {rank}' for rank in ranks)} | second share | turning |",
             "|---" * (len(ranks) + 3) + "|"]
    for pack in packs:
        mine = [row for row in simulated if row["pack"] == pack]
        cells = [_mean([row for row in mine if int(str(row["rank"])) == rank], "psnr_db", ".2f") for rank in ranks]
        pair = [row for row in mine if int(str(row["rank"])) == 2]
        lines.append(f"| {pack} | {' | '.join(cells)} | {_mean(pair, 'second_share', '.3f')} | "
                     f"{_mean(pair, 'turning', '.2f')} |")
    return "\n".join(lines)


def _mean(rows: Sequence[Row], name: str, form: str) -> str:
    values = [float(str(row[name])) for row in rows if str(row.get(name, "")) != ""]
    return format(float(np.mean(values)), form) if values else "-"


def provenance() -> str:
    """Versions and hardware, one line."""
    return (f"lrmcodec {__version__}, torch {version('torch')}, Python {platform.python_version()}, "
            f"{platform.machine()}, one CPU thread of a machine shared with other work: times are upper bounds.")


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [dict(row) for row in csv.DictReader(file, delimiter="\t")]


def _append(path: Path, rows: Sequence[Row]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", restval="")
        if fresh:
            writer.writeheader()
        writer.writerows({key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}
                         for row in rows)


def measure(chosen: Sequence[Pack], all_cases: Sequence[Case], ranks: Sequence[int], table: Path) -> list[Row]:
    """Measure what `table` lacks, and return all its rows."""
    done = {(row["clip"], row["pack"]) for row in _read(table)}
    for case in all_cases:
        if (case.name, MEAN_PICTURE) not in done:
            _append(table, [mean_picture_row(case)])
    for pack in chosen:
        decoder = make_decoder(pack, "cpu")
        for case in all_cases:
            if (case.name, pack.name) not in done:
                _append(table, list(pack_rows(case, pack, decoder, ranks)))
                print(pack.name, case.name, file=sys.stderr, flush=True)
    return _read(table)


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m lrmcodec.benchmarks.studies.packs", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for packs.tsv and packs.md")
    parser.add_argument("--videos", type=Path, help="folder of cardiac clips")
    parser.add_argument("--lung", type=Path, help="folder of lung clips with ATTRIBUTION.csv")
    parser.add_argument("--simulated", type=int, default=20)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--packs", help="names separated by commas; default: all shipped")
    parser.add_argument("--ranks", default="2,4,8,32")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    chosen = [find_pack(name) for name in options.packs.split(",")] if options.packs else shipped_packs()
    ranks = [int(rank) for rank in options.ranks.split(",")]
    options.output.mkdir(parents=True, exist_ok=True)
    table = options.output / "packs.tsv"
    every = list(cases(options.videos, options.lung, options.simulated, options.frames))
    rows = measure(chosen, every, ranks, table)
    text = f"{summary(rows)}\n**Trajectories and ranks**, simulated clips, PSNR in dB\n\n{findings(rows)}\n\n"
    (options.output / "packs.md").write_text(f"{text}{provenance()}\n")


if __name__ == "__main__":
    main()
