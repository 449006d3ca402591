"""End diastole and end systole read from coefficients against the exact truth of simulated hearts.

python -m lrmcodec.benchmarks.phase --count 20 --seed 0 --ratio 1000 -o DIR [--ranks 2,4,8] [--lung CLIP...]

Events are matched one to one within half a beat; whatever is not matched is a miss or a false alarm, at the clips'
ends too. The oracle variant turns each signal to the sign that follows the true volume.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.benchmarks.provenance import provenance
from lrmcodec.formats.video import read_clip
from lrmcodec.readout import Phase, phase_of, read_phase
from lrmcodec.simulate.phantom import Phantom, random_phantom

FRAMES = (96, 150)
SIZE = (112, 112)


@dataclass
class Tally:
    """Errors in frames of matched events, and how many were missed, invented and there."""

    errors: list[float] = field(default_factory=list)
    missed: int = 0
    invented: int = 0
    events: int = 0

    def add(self, true: Sequence[int] | NDArray[np.intp], found: Sequence[int], within: float) -> None:
        """Match the events of one clip."""
        errors = match(true, found, within)
        self.errors += errors
        self.missed += len(true) - len(errors)
        self.invented += len(found) - len(errors)
        self.events += len(true)

    def cells(self) -> str:
        """Mean absolute error, bias, misses and false alarms as cells of a table."""
        events = max(self.events, 1)
        if not self.errors:
            return f"- | - | {100 * self.missed / events:.1f} % | {100 * self.invented / events:.1f} %"
        return (f"{np.abs(self.errors).mean():.2f} | {np.mean(self.errors):+.2f} | "
                f"{100 * self.missed / events:.1f} % | {100 * self.invented / events:.1f} %")


def match(true: Sequence[int] | NDArray[np.intp], found: Sequence[int], within: float) -> list[float]:
    """Errors (found - true) of the one-to-one assignment with most pairs at most `within` apart, then least error."""
    from scipy.optimize import linear_sum_assignment

    if not len(true) or not len(found):
        return []
    errors = np.subtract.outer(np.asarray(found, float), np.asarray(true, float))
    far = 1e6
    rows, columns = linear_sum_assignment(np.where(np.abs(errors) <= within, np.abs(errors), far))
    picked = errors[rows, columns]
    return [float(error) for error in picked if abs(error) <= within]


def measure(hearts: Sequence[Phantom], *, ratio: float, rank: int | None, phase: bool) -> list[str]:
    """Rows of the table: without and with the oracle's polarity."""
    tallies = {oracle: (Tally(), Tally()) for oracle in (False, True)}
    wrong = refused = 0
    phase_bytes, ranks = [], []
    for heart in hearts:
        file = codec.open(codec.encode(heart.clip, ratio=ratio, rank=rank, phase=phase).data)
        phase_bytes.append(file.byte_counts.get("phase", 0) + 2 * ("phase" in file.byte_counts))
        ranks.append(file.rank)
        found = read_phase(file)
        upside_down = bool(np.corrcoef(found.signal, heart.cavity_volume)[0, 1] < 0)
        wrong += upside_down
        refused += found.quality_word != "cardiac"
        for oracle, (ed, es) in tallies.items():
            shown = _turned(found, file) if oracle and upside_down else found
            within = _half_beat(heart)
            ed.add(heart.ed_frames, shown.ed_frames, within)
            es.add(heart.es_frames, shown.es_frames, within)
    name = f"{'best' if rank is None else rank} ({min(ranks)} to {max(ranks)})" if rank is None else str(rank)
    way = "stored direction" if phase else "principal direction"
    return [f"| {name} | {way}{', oracle polarity' if oracle else ''} | {np.mean(phase_bytes):.1f} | {refused} | "
            f"{wrong if not oracle else '-'} | {ed.cells()} | {es.cells()} |"
            for oracle, (ed, es) in tallies.items()]


def _turned(found: Phase, file: codec.LrmFile) -> Phase:
    """Readout of the other sign."""
    return phase_of(-found.signal, file.times_s, file.fps, confidence=1.0)


def _half_beat(heart: Phantom) -> float:
    gaps = [*np.diff(heart.ed_frames), *np.diff(heart.es_frames)]
    return float(np.median(gaps)) / 2 if gaps else heart.clip.fps / 2


def lung_rows(paths: Sequence[Path]) -> list[str]:
    """Quality of real clips in which no heart is seen, at the default quality and at 300 to 1."""
    rows = []
    for path in paths:
        clip = read_clip(path, gray=True, size=SIZE)
        cells = []
        for phase in (True, False):
            found = read_phase(codec.open(codec.encode(clip, ratio=300, phase=phase).data))
            cells.append(f"{found.quality_word} ({found.quality:.2f})")
        rows.append(f"| {path.name} | {len(clip.frames)} | {clip.fps:.1f} | {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ratio", type=float, default=1000)
    parser.add_argument("--ranks", default="", help="fixed ranks besides the best one, for example 2,4,8")
    parser.add_argument("--lung", type=Path, nargs="*", default=[], metavar="CLIP")
    options = parser.parse_args()
    lengths = np.random.default_rng(options.seed).integers(FRAMES[0], FRAMES[1] + 1, options.count)
    hearts = [random_phantom(options.seed + index, int(length), SIZE) for index, length in enumerate(lengths)]
    lines = ["| rank | way | bytes | not cardiac | wrong sign | ED error | bias | misses | false alarms "
             "| ES error | bias | misses | false alarms |", "|" + "---|" * 13]
    for rank in (None, *map(int, filter(None, options.ranks.split(",")))):
        lines += measure(hearts, ratio=options.ratio, rank=rank, phase=True)
        print(lines[-2], file=sys.stderr)
    lines += measure(hearts, ratio=options.ratio, rank=None, phase=False)
    note = (f"{options.count} simulated hearts (`random_phantom`, seeds from {options.seed}), {FRAMES[0]} to "
            f"{FRAMES[1]} frames of {SIZE[0]}x{SIZE[1]} at 30 to 60 a second, at {options.ratio:g} to 1; errors in "
            f"frames, found minus true. {provenance()}.")
    text = ["# Cardiac phase readout", "", note, "", *lines]
    if options.lung:
        text += ["", "Lung clips at 300 to 1, resized to the same size; the word should be 'not cardiac'.", "",
                 "| clip | frames | frames/s | as encoded | with --no-phase |", "|---|---|---|---|---|",
                 *lung_rows(options.lung)]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "phase.md").write_text("\n".join(text) + "\n")
    print("\n".join(text), file=sys.stderr)


if __name__ == "__main__":
    main()
