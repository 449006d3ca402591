"""Our codec on one clip: files written to disk, decoded from there by a separate process, and read for their phase."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrmcodec import codec
from lrmcodec.benchmarks.measure.asks import Ask
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.memory import peak_mib, reset_peak
from lrmcodec.benchmarks.measure.readout_error import readout_errors
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError


class Probe:
    """The process that decodes; see `probe`."""

    def __init__(self, clip_path: Path, pack: str, device: str) -> None:
        folder = pack if "/" in pack else ""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lrmcodec.benchmarks.measure.probe", str(clip_path), device, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, path: Path) -> dict[str, Any]:
        """Figures of one file.

        Raises
        ------
        LrmError
            When the process ended instead of answering.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise LrmError(f"{path.name} could not be decoded: the decoding process ended with "
                           f"code {self._process.wait()}.")
        figures: dict[str, Any] = json.loads(line)
        return figures

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@contextmanager
def probe(clip_path: Path, pack: str, device: str) -> Iterator[Probe]:
    """A probe that ends with the block."""
    process = Probe(clip_path, pack, device)
    try:
        yield process
    finally:
        process.close()


def measure_file(clip: Clip, ask: Ask, pack: str, device: str, path: Path, decoder: Probe,
                 labels: Labels | None) -> dict[str, Any]:
    """Cells of a row: encode to `path`, decode in another process, read the phase.

    Raises
    ------
    LrmError
        When the pack cannot do what is asked, for example at a rank it does not have.
    """
    reset_peak()
    encoded = codec.encode(clip, rank=ask.rank, ratio=ask.ratio, quality=ask.quality, pack=pack, device=device)
    peak = peak_mib()
    encoded.save(path, force=True)
    file = codec.open(path, pack=pack if "/" in pack else None, device=device)
    cells = {"rank": file.rank, "size_bytes": float(path.stat().st_size), "encode_peak_mib": peak,
             "encode_seconds": encoded.report.encode_seconds, "parts": _parts(file.byte_counts),
             **decoder.measure(path)}
    return cells if labels is None else cells | readout_errors(read_phase(file), labels)


def _parts(byte_counts: dict[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in byte_counts.items())
