"""ED and ES by our readout beside the published chain and plain PCA, over ratios, ranks and frame rates.

python -m lrmcodec.benchmarks.studies.beat_chains -o DIR [--hearts echonet_like/a2c:5000000:3 ...] [--seconds 2.56]
                [--ratios 100,300,1000,3000] [--ranks 1,2,4,8,32] [--rates 15,25,100] [--usual 300] [--tables]

Simulated hearts only, encoded once a setting: the best rank at every ratio, every rank and every frame rate at the
usual ratio. All chains read the same coefficients. The published chain (LRM-Functa) takes the principal direction of
unit displacements of the first four coefficients, those within 30 degrees of the best one, then PCA; plain PCA takes
the first coefficient. Both are smoothed and searched for peaks as published, and told the right sign, which ours is
not. DIR/beat_chains.md holds the tables, DIR/beat_chains.jsonl a line an encode; a stopped run goes on where it was,
clips take turns over the views, and `--tables` makes the tables of what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.benchmarks.measure.readout_error import match
from lrmcodec.benchmarks.table import Table
from lrmcodec.cardiac.readout import Phase, read_phase
from lrmcodec.cardiac.signal import GRID_HZ, even_times, high_pass, standardize
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.provenance import provenance
from lrmcodec.simulate import Simulated, simulate
from lrmcodec.simulate.presets import PRESETS

Array = NDArray[np.float64]
Row = dict[str, Any]
Groups = dict[tuple[str, str, str, str], list[Row]]

HEARTS = ("echonet_like/a4c:5000000:3", "echonet_like/a2c:5000000:3", "echonet_like/plax:5000000:3",
          "echonet_like/psax:5000000:3", "pocus_plax/plax:5000000:3")
ALL = "all views"
CONE = np.cos(np.radians(30))
COEFFS = 4  # that the published chain looks at
PROMINENCE, WINDOW_S = 0.3, 0.25
FRAME_S = 0.02
"""Length of a frame at 50 frames a second, in which errors are given."""

CHAINS = ("readout", "published", "PCA")
EVENT_HEAD = ("at 50/s", "bias", "misses", "false alarms")
HEAD = ("clips", "ratio", "rank", "frames/s", "chain", "n", "not listed", "right sign", "ED error, ms", *EVENT_HEAD,
        "ES error, ms", *EVENT_HEAD, "EF error")


@dataclass(frozen=True)
class Ask:
    """One encode of one simulated clip; `view`, `rank` and `fps` None for the preset's own, the best, the preset's."""

    preset: str
    view: str | None
    seed: int
    ratio: float
    rank: int | None = None
    fps: float | None = None

    @property
    def group(self) -> tuple[str, str, str, str]:
        """Cells that rows of a group have in common."""
        return (f"{self.preset} {self.view or ''}".strip(), f"{self.ratio:g}",
                "best" if self.rank is None else str(self.rank), "own" if self.fps is None else f"{self.fps:g}")

    @property
    def key(self) -> str:
        """Name of the encode in the file of rows."""
        return "|".join((str(self.seed), *self.group))


def asks(options: argparse.Namespace) -> Iterator[Ask]:
    """Everything to be measured, each encode once: clip by clip, the first clip of every view first."""
    ratios, ranks, rates = (_numbers(words) for words in (options.ratios, options.ranks, options.rates))
    for preset, view, seed in clips_of(options.hearts):
        usual = Ask(preset, view, seed, options.usual)
        yield from (replace(usual, ratio=ratio) for ratio in ratios)
        yield from (replace(usual, fps=rate) for rate in rates if rate != PRESETS[preset].fps)
        yield from (replace(usual, rank=int(rank)) for rank in ranks)


def clips_of(specs: Sequence[str]) -> list[tuple[str, str | None, int]]:
    """Preset, view and seed of every clip of PRESET:FIRST:COUNT or PRESET/VIEW:FIRST:COUNT, by turns."""
    clips = []
    for order, spec in enumerate(specs):
        kind, first, count = spec.split(":")
        preset, _, view = kind.partition("/")
        clips += [(index, order, preset, view or None, int(first) + index) for index in range(int(count))]
    return [clip[2:] for clip in sorted(clips, key=lambda clip: clip[:2])]


def _numbers(words: str) -> list[float]:
    return [float(word) for word in words.split(",") if word]


def made(ask: Ask, seconds: float | None) -> Simulated:
    """The clip of an encode, as long as asked or as its preset draws it."""
    rate = ask.fps or PRESETS[ask.preset].fps
    return simulate(ask.preset, ask.seed, view=ask.view, fps=ask.fps,
                    frame_count=None if seconds is None else round(seconds * rate))


def measure(ask: Ask, made: Simulated) -> Row:
    """Encode and read a clip by every chain."""
    file = codec.open(codec.encode(made.clip, ratio=ask.ratio, rank=ask.rank).data)
    return row_of(ask.key, made, np.concatenate(file.coeffs), read_phase(file))


def row_of(key: str, made: Simulated, coeffs: Array, found: Phase) -> Row:
    """What every chain reads from coefficients (T, r), beside the truth; `found` is what our readout reads."""
    area, times_s = np.asarray(made.truth.lv_area_cm2), made.clip.times_s
    events = {"readout": (found.ed_frames, found.es_frames)}
    for name, path in (("published", published_direction(coeffs)), ("PCA", coeffs[:, 0])):
        upright = path if (path - path.mean()) @ (area - area.mean()) >= 0 else -path
        events[name] = peaks(upright, times_s)
    right = bool((found.signal - found.signal.mean()) @ (area - area.mean()) >= 0)
    return {"key": key, "word": found.quality_word, "sign_right": right, "fps": found.fps, "rank": coeffs.shape[1],
            "true": (made.truth.ed_frames, made.truth.es_frames), "half_beat": 30 * found.fps / _rate(made),
            "found": events, "ef": (found.ejection_fraction_percent, made.truth.ef_percent),
            "confidences": (found.ed_confidences, found.es_confidences), "sure": found.polarity_confidence}


def _rate(made: Simulated) -> float:
    return made.truth.heart_rate_bpm or 60.0


def published_direction(coeffs: Array) -> Array:
    """Projection (T,) on the principal direction of unit displacements: the best cone of 30 degrees, then PCA."""
    steps = np.diff(standardize(coeffs[:, :COEFFS]), axis=0)
    units = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-12)
    near = np.abs(units @ units.T) > CONE
    inliers = units[near[int(near.sum(1).argmax())]]
    direction = np.linalg.svd(inliers, full_matrices=False)[2][0]
    return np.asarray(standardize(coeffs[:, :COEFFS]) @ direction)


def peaks(path: Array, times_s: Array) -> tuple[list[int], list[int]]:
    """Frames of tops (ED) and valleys (ES) as published: Savitzky-Golay, high-pass, prominence of 0.3 of the range."""
    from scipy.signal import find_peaks, savgol_filter

    even_s = even_times(times_s)
    smooth = savgol_filter(np.interp(even_s, times_s, path), round(WINDOW_S * GRID_HZ) | 1, 2)
    even = high_pass(smooth, GRID_HZ)
    tops, valleys = (find_peaks(sign * even, prominence=PROMINENCE * np.ptp(even))[0] for sign in (1, -1))
    nearest = [np.abs(times_s[:, None] - even_s[found]).argmin(0).tolist() for found in (tops, valleys)]
    return nearest[0], nearest[1]


def run(wanted: Sequence[Ask], path: Path, seconds: float | None = None) -> dict[str, Row]:
    """Rows by key; those in the file at `path` are not measured again."""
    rows = kept(path)
    missing = [ask for ask in wanted if ask.key not in rows]
    clips: dict[tuple[str, str | None, int, float | None], Simulated] = {}
    began = time.monotonic()
    for index, ask in enumerate(missing):
        clip = (ask.preset, ask.view, ask.seed, ask.fps)
        if clip not in clips:
            clips = {clip: made(ask, seconds)}
        rows[ask.key] = json.loads(json.dumps(measure(ask, clips[clip])))
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(rows[ask.key]) + "\n")
        tell(index + 1, len(missing), began, ask.key)
    return rows


def kept(path: Path) -> dict[str, Row]:
    """Rows by key of the file at `path`; none where there is no file."""
    if not path.exists():
        return {}
    return {row["key"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def tell(done: int, count: int, began: float, key: str) -> None:
    """Say how far a run is that began at `began` on the monotonic clock, and how many minutes are left."""
    left_s = (time.monotonic() - began) / done * (count - done)
    print(f"{done} of {count} {key}, about {left_s / 60:.0f} min left", file=sys.stderr)


def grouped(wanted: Sequence[Ask], rows: dict[str, Row]) -> Groups:
    """Rows that are there by the cells that they have in common."""
    groups: Groups = {}
    for ask in wanted:
        if ask.key in rows:
            groups.setdefault(ask.group, []).append(rows[ask.key])
    return dict(sorted(groups.items(), key=lambda item: _order(item[0])))


def pooled(groups: Groups) -> Groups:
    """The same over all clips together."""
    together: Groups = {}
    for (_, ratio, rank, fps), rows in groups.items():
        together.setdefault((ALL, ratio, rank, fps), []).extend(rows)
    return dict(sorted(together.items(), key=lambda item: _order(item[0])))


def _order(group: tuple[str, str, str, str]) -> tuple[str, list[float]]:
    """By clips, then by ratio, rank and frame rate; the best rank and the own rate first."""
    return group[0], [float(word) if word not in ("best", "own") else 0.0 for word in group[1:]]


def chain_table(groups: Groups) -> Table:
    """A line for every group of encodes and every chain."""
    lines = []
    for group, found in groups.items():
        for chain in CHAINS:
            silent = str(sum(row["word"] != "cardiac" for row in found)) if chain == "readout" else "-"
            right = f"{100 * np.mean([row['sign_right'] for row in found]):.0f} %" if chain == "readout" else "told"
            lines.append((*group, chain, str(len(found)), silent, right, *_cells(found, chain),
                          _ejection_error(found) if chain == "readout" else "-"))
    return Table("Chains", HEAD, lines)


def _cells(rows: Sequence[Row], chain: str) -> Iterator[str]:
    for kind in (0, 1):
        errors: list[float] = []
        true = found = 0
        for row in rows:
            listed = row["found"][chain][kind]
            errors += [error / row["fps"] / FRAME_S for error in match(row["true"][kind], listed, row["half_beat"])]
            true, found = true + len(row["true"][kind]), found + len(listed)
        mean = np.abs(errors).mean() if errors else 0.0
        yield from ((f"{1000 * FRAME_S * mean:.0f}", f"{mean:.2f}", f"{np.mean(errors):+.2f}") if errors else "---")
        yield from (f"{true - len(errors)} of {true}", str(found - len(errors)))


def _ejection_error(rows: Sequence[Row]) -> str:
    """Mean absolute error in points of the ejection fractions that are known; '-' where none is."""
    errors = [abs(found - true) for found, true in (row["ef"] for row in rows) if None not in (found, true)]
    return f"{np.mean(errors):.1f}" if errors else "-"


def event_reliability(rows: Sequence[Row]) -> Table:
    """How many listed events lay within 50 ms of a true one, by the confidence that was stated."""
    pairs = [(confidence, _is_near(frame, row["true"][kind], row["fps"])) for row in rows for kind in (0, 1)
             for frame, confidence in zip(row["found"]["readout"][kind], row["confidences"][kind], strict=True)]
    return _reliability("Events", "within 50 ms", pairs, (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01))


def sign_reliability(rows: Sequence[Row]) -> Table:
    """How often the sign was right, by the probability that was stated."""
    pairs = [(row["sure"], row["sign_right"]) for row in rows if row["word"] != "not cardiac"]
    return _reliability("Signs", "sign right", pairs, (0.5, 0.8, 0.9, 0.95, 0.99, 1.01))


def _reliability(title: str, head: str, pairs: Sequence[tuple[float, bool]], edges: Sequence[float]) -> Table:
    lines = []
    for low, high in pairwise(edges):
        inside = [(stated, right) for stated, right in pairs if low <= stated < high]
        if inside:
            stated, right = (np.mean([pair[index] for pair in inside]) for index in (0, 1))
            lines.append((f"{low:g} to {min(high, 1):g}", str(len(inside)), f"{stated:.2f}", f"{100 * right:.0f} %"))
    return Table(title, ("confidence", "n", "mean of it", head), lines)


def _is_near(frame: int, true: Sequence[int], fps: float) -> bool:
    return any(abs(frame - other) / fps <= 0.05 + 0.5 / fps for other in true)


def ejection_line(rows: Sequence[Row]) -> str:
    """Error of the ejection fraction where both are known."""
    pairs = np.array([row["ef"] for row in rows if None not in row["ef"]], float)
    if len(pairs) < 2:
        return "No ejection fractions."
    errors = pairs[:, 0] - pairs[:, 1]
    return (f"Ejection fraction, {len(pairs)} encodes of apical clips: mean absolute error {np.abs(errors).mean():.1f} "
            f"points, bias {errors.mean():+.1f}, correlation {np.corrcoef(pairs.T)[0, 1]:.2f}.")


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hearts", nargs="*", default=HEARTS, metavar="PRESET/VIEW:FIRST:COUNT")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each clip; as the preset draws it by default")
    parser.add_argument("--ratios", default="100,300,1000,3000")
    parser.add_argument("--ranks", default="1,2,4,8,32")
    parser.add_argument("--rates", default="15,25,100", help="beside the preset's own, 50 or, hand-held, 30")
    parser.add_argument("--usual", type=float, default=300, metavar="RATIO", help="of the ranks and frame rates")
    parser.add_argument("--tables", action="store_true", help="make the tables of the rows that are there, no more")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    wanted, path = list(asks(options)), options.output / "beat_chains.jsonl"
    rows = kept(path) if options.tables else run(wanted, path, options.seconds)
    text = page(options, wanted, rows)
    write_atomic(options.output / "beat_chains.md", text.encode(), force=True)
    print(text)


def page(options: argparse.Namespace, wanted: Sequence[Ask], rows: dict[str, Row]) -> str:
    """All tables of the rows that were asked for and are there, as Markdown."""
    groups, found = grouped(wanted, rows), [rows[ask.key] for ask in wanted if ask.key in rows]
    length = "" if options.seconds is None else f", {options.seconds:g} s each"
    return "\n\n".join([
        "# ED and ES by three chains",
        f"Simulated hearts {', '.join(options.hearts)}{length}; read from encoded files. {provenance()}.",
        "All clips together:", chain_table(pooled(groups)).markdown(),
        "By preset and view:", chain_table(groups).markdown(),
        "How often a listed event was right, by its stated confidence:", event_reliability(found).markdown(),
        "How often the sign was right, by the stated probability:", sign_reliability(found).markdown(),
        ejection_line(found)]) + "\n"


if __name__ == "__main__":
    main()
