"""Rate and distortion of the codec beside its peers, clip by clip, as tab-separated rows.

python -m lrmcodec.benchmarks.rate_distortion CLIP... -o DIR [--ratios 100,300,1000,3000] [--size 112x112]

Every file is written to disk and decoded from there by a separate process; bytes are the file's size. Peers are
interpolated at the same bytes (log-linear on their hull).
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lrmcodec import __version__, codec
from lrmcodec.benchmarks import peers
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import read_clip, write_clip

RATIOS = (100.0, 300.0, 1000.0, 3000.0)
COLUMNS = ("clip", "codec", "setting", "frames", "size", "size_bytes", "ratio", "psnr_db", "ssim3d", "rank",
           "encode_seconds")
DECODE = """
import json, sys
from lrmcodec import metrics, open, read_clip
clip, decoded = read_clip(sys.argv[2]), open(sys.argv[1], pack=sys.argv[3] or None).frames()
print(json.dumps({"psnr_db": metrics.psnr_db(clip.frames, decoded), "ssim3d": metrics.ssim3d(clip.frames, decoded)}))
"""

Row = dict[str, object]


def measure_clip(name: str, clip: Clip, ratios: tuple[float, ...], pack: str, folder: Path) -> Iterator[Row]:
    """Rows of our codec at each ratio, then of every peer point, then the peers at our bytes."""
    source = folder / f"{name}.npz"
    write_clip(clip, source, force=True)
    ours = [_our_row(name, clip, ratio, pack, source, folder) for ratio in ratios]
    yield from ours
    for points in (list(peers.floor_points(clip.frames)), list(peers.av1_points(clip.frames, clip.fps))):
        yield from (_peer_row(name, clip, point.codec, point.setting, point.size_bytes, point.psnr_db, point.ssim3d)
                    for point in points)
        for row in ours:
            found = peers.at_bytes(points, float(str(row["size_bytes"])))
            quality = found or (float("nan"), float("nan"))
            yield _peer_row(name, clip, points[0].codec, f"at {row['setting']}", float(str(row["size_bytes"])),
                            *quality)


def _our_row(name: str, clip: Clip, ratio: float, pack: str, source: Path, folder: Path) -> Row:
    encoded = codec.encode(clip, ratio=ratio, pack=pack)
    path = folder / f"{name}-{ratio:g}.lrm"
    encoded.save(path, force=True)
    decoded = json.loads(subprocess.run([sys.executable, "-c", DECODE, path, source, pack if "/" in pack else ""],
                                        check=True, capture_output=True, text=True).stdout)
    size_bytes = path.stat().st_size
    return {**_facts(name, clip), "codec": f"lrmcodec {pack}", "setting": f"ratio {ratio:g}", "size_bytes": size_bytes,
            "ratio": clip.frames.size / size_bytes, "psnr_db": decoded["psnr_db"], "ssim3d": decoded["ssim3d"],
            "rank": encoded.report.rank, "encode_seconds": round(encoded.report.encode_seconds, 2)}


def _peer_row(name: str, clip: Clip, peer: str, setting: str, size_bytes: float, psnr_db: float, ssim3d: float) -> Row:
    return {**_facts(name, clip), "codec": peer, "setting": setting, "size_bytes": round(size_bytes),
            "ratio": clip.frames.size / size_bytes, "psnr_db": psnr_db, "ssim3d": ssim3d, "rank": "",
            "encode_seconds": ""}


def _facts(name: str, clip: Clip) -> Row:
    return {"clip": name, "frames": len(clip.frames), "size": f"{clip.frames.shape[1]}x{clip.frames.shape[2]}"}


def summary(rows: list[Row]) -> str:
    """Markdown table of the means over clips at every ratio: ours, the floor and AV1 at the same bytes."""
    lines = ["| asked | bytes | ratio | lrmcodec dB / SSIM3D | low rank + AV1 still | AV1 envelope |",
             "|---|---|---|---|---|---|"]
    ours = [row for row in rows if str(row["codec"]).startswith("lrmcodec")]
    for setting in dict.fromkeys(str(row["setting"]) for row in ours):
        mine = [row for row in ours if row["setting"] == setting]
        cells = [_mean(mine, "psnr_db", "ssim3d")]
        for peer in ("low rank + av1 still", "av1"):
            cells.append(_mean([row for row in rows if row["codec"] == peer and row["setting"] == f"at {setting}"],
                               "psnr_db", "ssim3d"))
        bytes_, ratio = (np.mean([float(str(row[key])) for row in mine]) for key in ("size_bytes", "ratio"))
        lines.append(f"| {setting} | {bytes_:.0f} | {ratio:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(rows: list[Row], *keys: str) -> str:
    values = np.array([[float(str(row[key])) for key in keys] for row in rows])
    reached = np.isfinite(values).all(1)
    if not reached.all():
        return f"out of reach for {np.count_nonzero(~reached)} of {len(rows)}"
    return f"{values[:, 0].mean():.2f} / {values[:, 1].mean():.3f}"


def provenance() -> str:
    """Versions and hardware, one line."""
    tools = ", ".join(f"{name} {version(name)}" for name in ("av", "numpy", "constriction", "zstandard"))
    return f"lrmcodec {__version__}; {tools}; Python {platform.python_version()}; {platform.machine()}, 2 CPU cores"


def _size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for rows and summary")
    parser.add_argument("--name", default="rate_distortion", help="name of the files in it")
    parser.add_argument("--ratios", default=",".join(f"{ratio:g}" for ratio in RATIOS))
    parser.add_argument("--size", help="HxW to resize clips to first")
    parser.add_argument("--pack", default="spatial")
    options = parser.parse_args()
    size = _size(options.size) if options.size else None
    ratios = tuple(float(ratio) for ratio in options.ratios.split(","))
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for path in options.clips:
            rows += measure_clip(path.stem, read_clip(path, size=size), ratios, options.pack, Path(folder))
            print(summary(rows), file=sys.stderr, flush=True)
    with (options.output / f"{options.name}.tsv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter="\t")
        writer.writeheader()
        writer.writerows({key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}
                         for row in rows)
    text = f"{summary(rows)}\n\nMeans over {len(options.clips)} clips. {provenance()}.\n"
    (options.output / f"{options.name}.md").write_text(text)


if __name__ == "__main__":
    main()
