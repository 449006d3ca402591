"""ED and ES in every view of every preset, by three chains, at several ranks: from coefficients before they are coded.

python -m lrmcodec.benchmarks.studies.beat_views -o DIR [--hearts echonet_like/a2c:2000000:4 ...] [--ranks 1,2,4,8,32]

Each clip is simulated and fitted once, and lower ranks are its first coefficients, so that many views take minutes
where `beat_chains`, which encodes and adds ratios and frame rates, takes hours. DIR/beat_views.md holds the tables,
DIR/beat_views.jsonl a line a clip and rank; a stopped run goes on where it was, and `--tables` makes the tables of what
is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lrmcodec.benchmarks.studies.beat_chains import (
    Groups,
    Row,
    chain_table,
    clips_of,
    ejection_line,
    event_reliability,
    kept,
    row_of,
    tell,
)
from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.cardiac.direction import find_direction
from lrmcodec.cardiac.readout import Phase, phase_of
from lrmcodec.cardiac.signal import Array
from lrmcodec.decoders.registry import find_pack, make_decoder
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.provenance import provenance
from lrmcodec.simulate import simulate

PACK = "spatial"
HEARTS = ("echonet_like/a4c:2000000:4", "echonet_like/a2c:2000000:4", "echonet_like/plax:2000000:4",
          "echonet_like/psax:2000000:4", "pocus_plax/plax:2000000:4")


def rows_of(preset: str, view: str | None, seed: int, frame_count: int, ranks: Sequence[int]) -> Iterator[Row]:
    """A row for every rank of a clip."""
    made = simulate(preset, seed, view=view, frame_count=frame_count)
    cavity = find_cavity(made.clip.frames, made.clip.times_s)
    decoder = make_decoder(find_pack(PACK), "cpu")
    coeffs = decoder.fit(np.ascontiguousarray(made.clip.frames), max(ranks), 0, lambda done, label: None).coeffs
    for rank in ranks:
        kept = np.asarray(coeffs[:, :rank], np.float64)
        found = _read(cavity, kept, made.clip.times_s, made.truth.fps)
        yield {**row_of(f"{preset}|{view}|{seed}|{rank}", made, kept, found),
               "group": (f"{preset} {view}", "not coded", str(rank), f"{made.truth.fps:g}")}


def _read(cavity: Cavity | None, coeffs: Array, times_s: Array, fps: float) -> Phase:
    """What `read_phase` would read from a file with these coefficients (T, r)."""
    found = None if cavity is None else find_direction(cavity, coeffs, times_s)
    if found is None:
        return phase_of(coeffs[:, 0], times_s, fps, confidence=None)
    ejected = None if found.ejected is None else 100 * found.ejected
    return phase_of(found.project(coeffs), times_s, fps, confidence=found.confidence / 255,
                    es_shift_s=found.es_shift_s, ejection_fraction=ejected)


def run(options: argparse.Namespace, path: Path) -> list[Row]:
    """Rows of all clips, seed by seed over the views; those in the file at `path` are not measured again."""
    rows, ranks = kept(path), [int(word) for word in options.ranks.split(",")]
    missing = [] if options.tables else [
        clip for clip in clips_of(options.hearts) if f"{'|'.join(map(str, clip))}|{ranks[-1]}" not in rows]
    began = time.monotonic()
    for index, (preset, view, seed) in enumerate(missing):
        for row in rows_of(preset, view, seed, options.frames, ranks):
            rows[row["key"]] = json.loads(json.dumps(row))
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
        tell(index + 1, len(missing), began, f"{preset} {view} {seed}")
    return list(rows.values())


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hearts", nargs="*", default=HEARTS, metavar="PRESET/VIEW:FIRST:COUNT")
    parser.add_argument("--ranks", default="1,2,4,8,32")
    parser.add_argument("--frames", type=int, default=128, metavar="N", help="of each clip")
    parser.add_argument("--tables", action="store_true", help="make the tables of the rows that are there, no more")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows = run(options, options.output / "beat_views.jsonl")
    groups: Groups = {}
    for row in rows:
        groups.setdefault(tuple(row["group"]), []).append(row)
    text = "\n\n".join([
        "# ED and ES in all views", f"Simulated hearts of {options.frames} frames, seeds from "
        f"{min(row['key'].split('|')[2] for row in rows)}; coefficients before coding. {provenance()}.",
        chain_table(groups).markdown(), "How often a listed event was right, by its stated confidence:",
        event_reliability(rows).markdown(),
        ejection_line([row for row in rows if row["rank"] == rows[-1]["rank"]])]) + "\n"
    write_atomic(options.output / "beat_views.md", text.encode(), force=True)
    print(text)


if __name__ == "__main__":
    main()
