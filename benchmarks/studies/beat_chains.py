"""ED and ES by our readout beside the published chain and plain PCA, over ratios, ranks and frame rates.

python -m lrmcodec.benchmarks.studies.beat_chains -o DIR [--hearts echonet_like:300000:6 ...] [--ratios 100,1000,3000]
                                                  [--ranks 1,2,4,8,32] [--rates 15,25,50,100]

Simulated hearts only, encoded once a setting: the best rank at every ratio, every rank at 1000 to 1, every frame rate
at 1000 to 1 with the best rank. All chains read the same coefficients. The published chain (LRM-Functa) takes the
principal direction of unit displacements of the first four coefficients, those within 30 degrees of the best one, then
PCA; plain PCA takes the first coefficient. Both are smoothed and searched for peaks as published, and told the right
sign, which ours is not. DIR/beat_chains.md holds the tables, DIR/beat_chains.jsonl a line an encode; a stopped run goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

Array = NDArray[np.float64]
Row = dict[str, Any]
Groups = dict[tuple[str, str, str, str], list[Row]]

USUAL_RATIO = 1000.0
CONE = np.cos(np.radians(30))
COEFFS = 4  # that the published chain looks at
PROMINENCE, WINDOW_S = 0.3, 0.25
FRAME_S = 0.02
"""Length of a frame at 50 frames a second, in which errors are given."""

CHAINS = ("readout", "published", "PCA")
HEAD = ("clips", "ratio", "rank", "frames/s", "chain", "n", "not listed", "right sign", "ED error at 50/s", "bias",
        "misses", "false alarms", "ES error at 50/s", "bias", "misses", "false alarms")


@dataclass(frozen=True)
class Ask:
    """One encode of one simulated clip; `rank` and `fps` None for the best and the preset's own."""

    preset: str
    seed: int
    ratio: float
    rank: int | None = None
    fps: float | None = None

    @property
    def group(self) -> tuple[str, str, str, str]:
        """Cells that rows of a group have in common."""
        return (self.preset, f"{self.ratio:g}", "best" if self.rank is None else str(self.rank),
                "own" if self.fps is None else f"{self.fps:g}")

    @property
    def key(self) -> str:
        """Name of the encode in the file of rows."""
        return "|".join((str(self.seed), *self.group))


def asks(options: argparse.Namespace) -> Iterator[Ask]:
    """Everything to be measured, clip by clip."""
    ratios, ranks, rates = (_numbers(words) for words in (options.ratios, options.ranks, options.rates))
    for spec in options.hearts:
        preset, first, count = spec.split(":")
        for seed in range(int(first), int(first) + int(count)):
            yield from (Ask(preset, seed, ratio) for ratio in ratios)
            yield from (Ask(preset, seed, USUAL_RATIO, int(rank)) for rank in ranks)
            yield from (Ask(preset, seed, USUAL_RATIO, None, rate) for rate in rates)


def _numbers(words: str) -> list[float]:
    return [float(word) for word in words.split(",") if word]


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


def run(wanted: Sequence[Ask], path: Path) -> dict[str, Row]:
    """Rows by key; those in the file at `path` are not measured again."""
    rows = {}
    if path.exists():
        rows = {row["key"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    kept: dict[tuple[str, int, float | None], Simulated] = {}
    with path.open("a", encoding="utf-8") as stream:
        for index, ask in enumerate(wanted):
            if ask.key in rows:
                continue
            clip = (ask.preset, ask.seed, ask.fps)
            if clip not in kept:
                kept = {clip: simulate(ask.preset, ask.seed, fps=ask.fps)}
            rows[ask.key] = json.loads(json.dumps(measure(ask, kept[clip])))
            stream.write(json.dumps(rows[ask.key]) + "\n")
            stream.flush()
            print(f"{index + 1} of {len(wanted)} {ask.key}", file=sys.stderr)
    return rows


def grouped(wanted: Sequence[Ask], rows: dict[str, Row]) -> Groups:
    """Rows by the cells that they have in common."""
    groups: Groups = {}
    for ask in wanted:
        groups.setdefault(ask.group, []).append(rows[ask.key])
    return dict(sorted(groups.items()))


def chain_table(groups: Groups) -> Table:
    """A line for every group of encodes and every chain."""
    lines = []
    for group, found in groups.items():
        for chain in CHAINS:
            silent = str(sum(row["word"] != "cardiac" for row in found)) if chain == "readout" else "-"
            right = f"{100 * np.mean([row['sign_right'] for row in found]):.0f} %" if chain == "readout" else "told"
            lines.append((*group, chain, str(len(found)), silent, right, *_cells(found, chain)))
    return Table("Chains", HEAD, lines)


def _cells(rows: Sequence[Row], chain: str) -> Iterator[str]:
    for kind in (0, 1):
        errors: list[float] = []
        true = found = 0
        for row in rows:
            listed = row["found"][chain][kind]
            errors += [error / row["fps"] / FRAME_S for error in match(row["true"][kind], listed, row["half_beat"])]
            true, found = true + len(row["true"][kind]), found + len(listed)
        yield from ((f"{np.abs(errors).mean():.2f}", f"{np.mean(errors):+.2f}") if errors else ("-", "-"))
        yield from (f"{true - len(errors)} of {true}", str(found - len(errors)))


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
    parser.add_argument("--hearts", nargs="*", default=["echonet_like:300000:6", "pocus_plax:300000:6"])
    parser.add_argument("--ratios", default="100,1000,3000")
    parser.add_argument("--ranks", default="1,2,4,8,32")
    parser.add_argument("--rates", default="15,25,50,100")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    wanted = list(asks(options))
    rows = run(wanted, options.output / "beat_chains.jsonl")
    found = [rows[ask.key] for ask in wanted]
    text = "\n\n".join([
        "# ED and ES by three chains", f"Simulated hearts {', '.join(options.hearts)}. {provenance()}.",
        chain_table(grouped(wanted, rows)).markdown(), "How often a listed event was right, by its stated confidence:",
        event_reliability(found).markdown(), "How often the sign was right, by the stated probability:",
        sign_reliability(found).markdown(), ejection_line(found)]) + "\n"
    write_atomic(options.output / "beat_chains.md", text.encode(), force=True)
    print(text)


if __name__ == "__main__":
    main()
