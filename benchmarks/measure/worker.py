"""A process of its own that measures one clip, so that nothing a codec does to it can harm the others.

python -m lrmcodec.benchmarks.measure.worker

Reads a job as JSON from stdin and writes one JSON object a line: {"expect": n, "clip_id": ...}, then {"row": {...}} or
{"failed": ...} for every setting.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lrmcodec import metrics
from lrmcodec.benchmarks.measure import ours
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.memory import peak_mib, reset_peak
from lrmcodec.benchmarks.measure.quality import qualities
from lrmcodec.benchmarks.measure.rows import OURS, Row
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.peers import KNOWN, Job
from lrmcodec.benchmarks.peers.coder import EncoderMissingError
from lrmcodec.benchmarks.setting import ALL, Setting
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError, TargetError
from lrmcodec.formats.video import write_clip
from lrmcodec.provenance import hardware, versions

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Work:
    """What is to be done with one clip.

    Attributes
    ----------
    source : Source
    packs, peers : list of str
    asks : list of Setting
    device : str
    files : str
        Folder for the .lrm files that are kept: those of the best rank at given ratios.
    done : list
        (clip_id, codec, setting) of rows that are there already.
    one_fit : bool
        See `asks.Plan`.
    """

    source: Source
    packs: list[str]
    peers: list[str]
    asks: list[Setting]
    device: str
    files: str
    done: list[tuple[str, str, Setting]]
    one_fit: bool = False

    def to_json(self) -> str:
        """Text for the process's stdin."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Work:
        """Undo `to_json`."""
        values = json.loads(text)
        return Work(Source.from_json(values.pop("source")), asks=[Setting(**ask) for ask in values.pop("asks")],
                    done=[(a, b, Setting(**c)) for a, b, c in values.pop("done")], **values)


@dataclass(frozen=True)
class Subject:
    """The clip under measurement with what every row says about it."""

    clip: Clip
    labels: Labels | None
    source_bytes: int | None
    facts: dict[str, Any]

    def row(self, codec: str, setting: Setting, **cells: Any) -> Row:
        """Row with the ratios that follow from its size and rank."""
        size, rank = cells.get("size_bytes"), cells.get("rank")
        if size is not None:
            cells["ratio"] = metrics.ratio(self.clip.frames.size, size)
            cells["source_ratio"] = None if self.source_bytes is None else metrics.ratio(self.source_bytes, size)
        if rank:
            cells["scalars_ratio"] = self.clip.frames[0].size / rank
        return Row(codec=codec, setting=setting, **self.facts, **cells)


def clip_id(clip: Clip) -> str:
    """Eight hexadecimal digits that tell clips apart: frames and times."""
    digest = hashlib.sha256(repr(clip.frames.shape).encode())
    digest.update(memoryview(clip.frames.tobytes()))
    digest.update(clip.times_s.tobytes())
    return digest.hexdigest()[:8]


def load(work: Work) -> Subject:
    """Read or simulate the clip; raises LrmError when that fails."""
    clip, labels = _load_apart(work.source) if work.source.needs_torch else work.source.load()
    height, width = clip.frames.shape[1:]
    facts = {"clip": work.source.name, "clip_id": clip_id(clip), "frames": len(clip.frames), "height": height,
             "width": width, "fps": clip.fps, "raw_bytes": int(clip.frames.size), "group": work.source.group,
             "versions": versions(), "hardware": hardware(work.device)}
    return Subject(clip, labels, work.source.source_bytes, facts)


def _load_apart(source: Source) -> tuple[Clip, Labels | None]:
    """Simulate in another process, so that torch stays out of the memory measured here."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(source.load).result()


def run(work: Work, emit: Emit) -> None:
    """Measure everything that is not done yet; a setting that fails does not stop the others."""
    subject = load(work)
    done = {(codec, setting) for known, codec, setting in work.done if known == subject.facts["clip_id"]}
    peers = {name: KNOWN[name](subject.clip) for name in work.peers if (name, ALL) not in done}
    peers = {name: [job for job in jobs if (name, job.setting) not in done] for name, jobs in peers.items()}
    packs = {pack: [ask for ask in work.asks if (OURS + _pack_name(pack), ask) not in done]
             for pack in work.packs}
    emit({"expect": sum(map(len, peers.values())) + sum(map(len, packs.values())),
          "clip_id": subject.facts["clip_id"]})
    for pack, asks in packs.items():
        _run_pack(subject, work, pack, asks, emit)
    for name, jobs in peers.items():
        _run_peer(subject, name, jobs, emit)


def _run_pack(subject: Subject, work: Work, pack: str, asks: list[Setting], emit: Emit) -> None:
    if not asks:
        return
    codec = OURS + _pack_name(pack)
    encode = ours.encoder(subject.clip, pack, work.device, work.asks, work.one_fit)
    with tempfile.TemporaryDirectory() as name:
        clip_path = Path(name) / "clip.npz"
        write_clip(subject.clip, clip_path)
        with ours.probe(clip_path, pack, work.device) as decoder:
            for ask in asks:
                path = kept_file(Path(work.files), subject.facts["clip"], pack, ask) if _is_kept(ask) else (
                    Path(name) / "file.lrm")
                with _guarded(emit, codec, ask):
                    try:
                        cells = ours.measure_file(encode, ask, path, decoder, subject.labels, pack, work.device)
                    except TargetError as error:
                        cells = {"rank": ask.asked_rank, "note": str(error)}
                    emit({"row": subject.row(codec, ask, **cells).as_dict()})


def _run_peer(subject: Subject, name: str, jobs: list[Job], emit: Emit) -> None:
    for job in jobs:
        with _guarded(emit, name, job.setting):
            try:
                emit({"row": _peer_row(subject, name, job).as_dict()})
            except EncoderMissingError as error:
                emit({"row": subject.row(name, ALL, note=error.what).as_dict()})
                return


def _peer_row(subject: Subject, name: str, job: Job) -> Row:
    reset_peak()
    coded = job.run()
    peak = peak_mib()
    cells: dict[str, Any] = {} if not coded.size_bytes else {
        "size_bytes": float(coded.size_bytes), "encode_seconds": coded.encode_seconds, "encode_peak_mib": peak,
        "decode_fps": len(coded.frames) / max(coded.decode_seconds, 1e-9)}
    return subject.row(name, job.setting, rank=job.setting.asked_rank, **cells,
                       **qualities(subject.clip.frames, coded.frames))


@contextmanager
def _guarded(emit: Emit, codec: str, setting: Setting) -> Iterator[None]:
    """Turn any error inside the block into a line that says what failed."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        emit({"failed": f"{codec}, {setting.words}: {type(error).__name__}: {error}"})


def _is_kept(ask: Setting) -> bool:
    return ask.is_ratio_at_best_rank and not ask.without


def kept_file(folder: Path, clip: str, pack: str, ask: Setting) -> Path:
    """Name of a .lrm file that stays beside the rows."""
    return folder / f"{clip}.{_pack_name(pack)}.{ask.words.replace(' ', '-')}.lrm"


def _pack_name(pack: str) -> str:
    return Path(pack).name


def _answers() -> Emit:
    """Write to the real stdout; what libraries print there goes to stderr instead."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def emit(message: dict[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    return emit


def main() -> None:
    """Do the job on stdin."""
    emit = _answers()
    try:
        run(Work.from_json(sys.stdin.read()), emit)
    except LrmError as error:
        emit({"failed": str(error)})


if __name__ == "__main__":
    main()
