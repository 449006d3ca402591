"""End diastole and end systole read from coefficients, against labels.

python -m lrmcodec.benchmarks.studies.phase -o DIR [--hearts echonet_like:0:200 ...] [--echonet ROOT] [--lung CLIP...]
                                   [--ratio 1000] [--ranks best,2,4,8,32] [--cache DIR]

Every encode is one line of DIR/phase.jsonl; a run that was stopped goes on where it was. Simulated clips are kept in
the cache, in a folder for every version of the simulator. DIR/phase.md holds the tables.

All beats count, at the clips' ends too: events are matched one to one within half a beat, and what is not matched is a
miss or a false alarm. With oracle polarity each signal is turned to the sign that follows the true volume. Clips of
EchoNet-Dynamic have one labelled pair of several beats, so false alarms are unknown there; their second table follows
the protocol of the LRM-Functa paper (polarity from the label, nearest event, clips without one left out).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec, simulate
from lrmcodec.benchmarks.measure.readout_error import match
from lrmcodec.benchmarks.measure.sets import Source, echonet
from lrmcodec.cardiac.readout import phase_of, read_phase
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import read_clip
from lrmcodec.provenance import provenance

LUNG_SIZE = (112, 112)
LUNG_RATIO = 300.0
FRAME_S = 0.02
"""Length of a frame at 50 frames a second, in which limits are given."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Labelled:
    """A clip and what is known of it: events, area of the ventricle (T,), rhythm; whether all beats are labelled."""

    name: str
    clip: Clip
    ed: list[int]
    es: list[int]
    area: NDArray[np.float64] | None = None
    rhythm: str = ""
    every_beat: bool = True


@dataclass
class Tally:
    """Errors in frames and in seconds of matched events, and how many were missed, invented and there."""

    errors: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    missed: int = 0
    invented: int = 0
    events: int = 0

    def add(self, true: Sequence[int] | NDArray[np.intp], found: Sequence[int], within: float, fps: float) -> None:
        """Match the events of one clip."""
        errors = match(true, found, within)
        self.errors += errors
        self.seconds += [error / fps for error in errors]
        self.missed += len(true) - len(errors)
        self.invented += len(found) - len(errors)
        self.events += len(true)

    def cells(self, *, every_beat: bool = True) -> list[str]:
        """Mean absolute error in frames of the clip and of 50 a second, bias, misses and false alarms."""
        events = max(self.events, 1)
        alarms = f"{100 * self.invented / events:.1f} %" if every_beat else "-"
        if not self.errors:
            return ["-", "-", "-", f"{100 * self.missed / events:.1f} %", alarms]
        return [f"{np.abs(self.errors).mean():.2f}", f"{np.abs(self.seconds).mean() / FRAME_S:.2f}",
                f"{np.mean(self.seconds) / FRAME_S:+.2f}", f"{100 * self.missed / events:.1f} %", alarms]


def measure(one: Labelled, *, ratio: float, rank: int | None, phase: bool = True) -> Row:
    """Encode a clip, read its phase and note everything that tables may want."""
    file = codec.open(codec.encode(one.clip, ratio=ratio, rank=rank, phase=phase).data)
    found = read_phase(file)
    upside_down = _is_wrong(one, found.signal)
    oracle = phase_of(-found.signal, file.times_s, file.fps, confidence=1.0) if upside_down else found
    return {
        "clip": one.name, "rank": file.rank, "size_bytes": file.size_bytes,
        "phase_bytes": file.byte_counts.get("phase", 0) + 2 * ("phase" in file.byte_counts), "fps": file.fps,
        "frames": file.coded.frame_count, "rhythm": one.rhythm, "every_beat": one.every_beat,
        "true_ed": one.ed, "true_es": one.es, "ed": found.ed_frames, "es": found.es_frames,
        "oracle_ed": oracle.ed_frames, "oracle_es": oracle.es_frames, "wrong_sign": upside_down,
        "word": found.quality_word, "quality": found.quality, "confidence": found.polarity_confidence,
    }


def _is_wrong(one: Labelled, signal: NDArray[np.float64]) -> bool:
    """Whether a signal falls where the ventricle grows; of one labelled pair, whether it is lower at ED than at ES."""
    if one.area is not None:
        return bool((signal - signal.mean()) @ (one.area - one.area.mean()) < 0)
    return bool(one.ed and one.es and signal[one.ed].mean() < signal[one.es].mean())


def half_beat(row: Row) -> float:
    """Frames within which a found event may belong to a labelled one."""
    gaps = [*np.diff(row["true_ed"]), *np.diff(row["true_es"])]
    return float(np.median(gaps)) / 2 if gaps and row["every_beat"] else row["fps"] / 2


# Clips


def simulated(preset: str, seed: int, folder: Path | None) -> Labelled:
    """A simulated clip, from the cache where it is there."""
    path = None if folder is None else folder / _simulator_version() / f"{preset}_{seed}.npz"
    if path is None or not path.exists():
        made = _simulate(preset, seed)
        if path is None:
            return made
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, frames=made.clip.frames, times_s=made.clip.times_s, ed=made.ed, es=made.es,
                            area=made.area if made.area is not None else np.zeros(0), rhythm=made.rhythm)
        write_atomic(path, buffer.getvalue(), force=True)  # several runs may share the cache
    with np.load(path) as kept:
        return Labelled(f"{preset}_{seed}", Clip(kept["frames"], kept["times_s"]), kept["ed"].tolist(),
                        kept["es"].tolist(), kept["area"] if len(kept["area"]) else None, str(kept["rhythm"]))


def _simulate(preset: str, seed: int) -> Labelled:
    made = simulate.simulate(preset, seed)
    truth = made.truth
    area = None if truth.lv_area_cm2 is None else np.asarray(truth.lv_area_cm2)
    return Labelled(f"{preset}_{seed}", made.clip, truth.ed_frames, truth.es_frames, area, truth.rhythm or "")


@cache
def _simulator_version() -> str:
    """Digest of the simulator's source, so that the cache never holds clips of another version."""
    sha = hashlib.sha256()
    for path in sorted(Path(str(simulate.__file__)).parent.rglob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:12]


def _lung(path: Path) -> Labelled:
    return Labelled(path.name, read_clip(path, gray=True, size=LUNG_SIZE), [], [])


def _real(source: Source) -> Labelled:
    clip, labels = source.load()
    assert labels is not None
    return Labelled(source.name, clip, list(labels.ed_frames), list(labels.es_frames), every_beat=False)


# Runs


@dataclass(frozen=True)
class Task:
    """One encode: its key in the rows, how to get the clip, and the settings."""

    key: str
    load: Callable[[], Labelled]
    ratio: float
    rank: int | None
    phase: bool = True


def run(tasks: Iterable[Task], path: Path) -> dict[str, Row]:
    """Rows by key; those already in the file at `path` are not measured again."""
    rows: dict[str, Row] = {}
    if path.exists():
        rows = {row["key"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    kept: tuple[str, Labelled] | None = None
    with path.open("a", encoding="utf-8") as stream:
        for task in tasks:
            if task.key not in rows:
                name = task.key.split("|")[0]
                if kept is None or kept[0] != name:
                    kept = (name, task.load())
                row = measure(kept[1], ratio=task.ratio, rank=task.rank, phase=task.phase)
                rows[task.key] = {"key": task.key, **row}
                stream.write(json.dumps(rows[task.key]) + "\n")
                stream.flush()
                print(task.key, row["word"], "wrong sign" if row["wrong_sign"] else "", file=sys.stderr)
    return rows


def heart_tasks(spec: str, ranks: Sequence[int | None], ratio: float, folder: Path | None,
                without: int = 0) -> Iterator[Task]:
    """Encodes of PRESET:FIRST:COUNT at every rank, and of the first `without` clips without a phase component."""
    preset, first, count = _spec(spec)
    for seed in range(first, first + count):
        load = partial(simulated, preset, seed, folder)
        for rank in ranks:
            yield Task(f"{preset}_{seed}|{ratio:g}|{_rank_word(rank)}|stored", load, ratio, rank)
        if seed < first + without:
            yield Task(f"{preset}_{seed}|{ratio:g}|best|none", load, ratio, None, phase=False)


def echonet_tasks(root: Path, split: str, count: int | None, ratio: float,
                  ranks: Sequence[int | None]) -> Iterator[Task]:
    """Encodes of a split of EchoNet-Dynamic."""
    for source in echonet(root, count):
        for rank in ranks if source.labels is not None else ():
            yield Task(f"echonet_{split}_{source.name}|{ratio:g}|{_rank_word(rank)}|stored", partial(_real, source),
                       ratio, rank)


def lung_tasks(paths: Sequence[Path]) -> Iterator[Task]:
    """Encodes of clips in which no heart is seen; where the encoder agrees, --no-phase gives the same file."""
    for path in paths:
        yield Task(f"lung_{path.name}|{LUNG_RATIO:g}|best|stored", partial(_lung, path), LUNG_RATIO, None)


def _spec(spec: str) -> tuple[str, int, int]:
    preset, first, count = spec.split(":")
    return preset, int(first), int(count)


def _rank_word(rank: int | None) -> str:
    return "best" if rank is None else str(rank)


# Tables

HEAD = ["clips", "rank", "way", "n", "bytes", "not cardiac", "right sign", "ED error", "at 50/s", "bias", "misses",
        "false alarms", "ES error", "at 50/s", "bias", "misses", "false alarms"]


def table(groups: Mapping[tuple[str, str, str], Sequence[Row]]) -> list[str]:
    """Lines of a table: of every group of rows (clips, rank, way), without and with oracle polarity."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for (clips, rank, way), rows in groups.items():
        refused = sum(row["word"] != "cardiac" for row in rows)
        wrong = sum(row["wrong_sign"] for row in rows)
        used = sorted({row["rank"] for row in rows})
        spread = f"{rank} ({used[0]} to {used[-1]})" if rank == "best" else rank
        size = f"{np.mean([row['phase_bytes'] for row in rows]):.1f}"
        for oracle in ("", "oracle_") if wrong else ("",):
            ed, es = (_tally(rows, oracle, event) for event in ("ed", "es"))
            right = "-" if oracle else f"{100 * (1 - wrong / len(rows)):.1f} %"
            every = all(row["every_beat"] for row in rows)
            cells = [clips, spread, way + (", oracle polarity" if oracle else ""), str(len(rows)), size, str(refused),
                     right, *ed.cells(every_beat=every), *es.cells(every_beat=every)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _tally(rows: Sequence[Row], oracle: str, event: str) -> Tally:
    tally = Tally()
    for row in rows:
        tally.add(row[f"true_{event}"], row[f"{oracle}{event}"], half_beat(row), row["fps"])
    return tally


def paper_table(rows: Sequence[Row]) -> list[str]:
    """The paper's protocol: polarity from the label, nearest event at any distance, clips without events left out."""
    lines = ["| event | n | left out | mean absolute error, frames |", "|---|---|---|---|"]
    for event in ("ed", "es"):
        errors = [min(abs(found - row[f"true_{event}"][0]) for found in row[f"oracle_{event}"])
                  for row in rows if row[f"oracle_{event}"]]
        mean = f"{np.mean(errors):.2f}" if errors else "-"
        lines.append(f"| {event.upper()} | {len(errors)} | {len(rows) - len(errors)} | {mean} |")
    return lines


def reliability(rows: Sequence[Row]) -> list[str]:
    """How often the sign was right, by the confidence that files state."""
    lines = ["| confidence | n | mean of it | sign right |", "|---|---|---|---|"]
    edges = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
    for low, high in pairwise(edges):
        inside = [row for row in rows if low <= row["confidence"] < high and row["word"] == "cardiac"]
        if inside:
            right = 100 * np.mean([not row["wrong_sign"] for row in inside])
            lines.append(f"| {low:g} to {min(high, 1):g} | {len(inside)} | "
                         f"{np.mean([row['confidence'] for row in inside]):.2f} | {right:.1f} % |")
    return lines


def grouped(rows: Mapping[str, Row], name: str, prefix: str) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of clips whose keys begin with `prefix`, by rank and way; irregular rhythms once more by themselves."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for key, row in rows.items():
        if key.startswith(prefix):
            _, _, rank, way = key.split("|")
            words = "stored direction" if way == "stored" else "no component"
            groups.setdefault((name, rank, words), []).append(row)
            if row["rhythm"] not in ("", "sinus") and rank == "best" and way == "stored":
                groups.setdefault((f"{name}, irregular rhythm", rank, words), []).append(row)
    return dict(sorted(groups.items(), key=lambda item: item[0][0]))


def lung_lines(rows: Sequence[Row]) -> list[str]:
    """How many clips without a heart were called so, and word and quality of each."""
    right = sum(row["word"] != "cardiac" for row in rows)
    stored = sum(row["phase_bytes"] > 0 for row in rows)
    return [f"Lung clips at {LUNG_RATIO:g} to 1, resized to {LUNG_SIZE[0]}x{LUNG_SIZE[1]}: 'not cardiac' in {right} of "
            f"{len(rows)}; the encoder saw a heart in {stored}.", "", "| clip | word | quality |", "|---|---|---|",
            *(f"| {row['clip']} | {row['word']} | {row['quality']:.2f} |" for row in rows)]


def page(rows: Mapping[str, Row], options: argparse.Namespace) -> list[str]:
    """Everything that was measured, as lines of Markdown."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for preset in dict.fromkeys(_spec(spec)[0] for spec in options.hearts):
        groups |= grouped(rows, preset, f"{preset}_")
    real = grouped(rows, "EchoNet-Dynamic test", "echonet_test_") if options.echonet is not None else {}
    lines = ["# Cardiac phase readout", "",
             f"Simulated clips {', '.join(options.hearts)} (preset, first seed, count) at {options.ratio:g} to 1; "
             f"errors in frames, found minus true, of the clip and of 50 a second. {provenance()}.", ""]
    if groups or real:
        lines += table(groups | real)
    if real:
        best = next(iter(real.values()))
        lines += ["", "The same clips by the paper's protocol:", "", *paper_table(best)]
    stored = [row for key, row in rows.items() if key.endswith("|stored") and row["true_ed"]]
    if stored:
        lines += ["", "How often the sign was right, by the confidence in the file, of all files above with a stored "
                      "direction:", "", *reliability(stored)]
    lung = [row for key, row in rows.items() if key.startswith("lung_")]
    if lung:
        lines += ["", *lung_lines(lung)]
    return lines


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hearts", nargs="*", default=[], metavar="PRESET:FIRST:COUNT", help="simulated clips")
    parser.add_argument("--echonet", type=Path, metavar="ROOT", help="folder of EchoNet-Dynamic")
    parser.add_argument("--echonet-count", type=int, metavar="N", help="at most N of its clips")
    parser.add_argument("--lung", type=Path, nargs="*", default=[], metavar="CLIP")
    parser.add_argument("--ratio", type=float, default=1000)
    parser.add_argument("--ranks", default="best", help="for example best,2,4,8,32")
    parser.add_argument("--without", type=int, default=0, metavar="N",
                        help="encode the first N clips of each preset without a phase component, too")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep simulated clips here")
    options = parser.parse_args()
    ranks = [None if word == "best" else int(word) for word in options.ranks.split(",")]
    tasks = [task for spec in options.hearts
             for task in heart_tasks(spec, ranks, options.ratio, options.cache, options.without)]
    tasks += lung_tasks(options.lung)
    if options.echonet is not None:
        tasks += echonet_tasks(options.echonet, "test", options.echonet_count, options.ratio, ranks)
    options.output.mkdir(parents=True, exist_ok=True)
    wanted = {task.key for task in tasks}
    rows = {key: row for key, row in run(tasks, options.output / "phase.jsonl").items() if key in wanted}
    text = "\n".join(page(rows, options))
    (options.output / "phase.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
