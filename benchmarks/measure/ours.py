"""Our codec on one clip: files written to disk, decoded from there by a separate process, and read for their phase."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrmcodec import codec
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.memory import peak_mib, reset_peak
from lrmcodec.benchmarks.measure.one_fit import OneFit
from lrmcodec.benchmarks.measure.path_shape import path_shape
from lrmcodec.benchmarks.measure.readout_error import readout_cells
from lrmcodec.benchmarks.setting import LOSSLESS, Setting
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


Encode = Callable[[Setting, Path], tuple[float, float]]
"""Writes the file of a setting; seconds of the fit and of all encoding."""


def encoder(clip: Clip, pack: str, device: str, settings: Sequence[Setting], one_fit: bool) -> Encode:
    """What encodes a clip: anew for every setting, or from one fit for all."""
    if one_fit:
        return OneFit(clip, pack, device, settings).encode

    def encode(setting: Setting, path: Path) -> tuple[float, float]:
        encoded = codec.encode(clip, rank=setting.asked_rank, pack=pack, device=device,
                               phase=setting.without != "phase", **_target(setting))
        encoded.save(path, force=True)
        return encoded.report.fit_seconds, encoded.report.encode_seconds

    return encode


def _target(setting: Setting) -> dict[str, Any]:
    """What a setting asks of `encode`."""
    if setting == LOSSLESS:
        return {"max_error": 0}
    return {setting.target: setting.target_value} if setting.target else {}


def measure_file(encode: Encode, setting: Setting, path: Path, decoder: Probe, labels: Labels | None, pack: str,
                 device: str) -> dict[str, Any]:
    """Cells of a row: encode to `path`, decode in another process, read the phase.

    Raises
    ------
    LrmError
        When the pack cannot do what is asked, for example at a rank it does not have.
    """
    reset_peak()
    fit_seconds, encode_seconds = encode(setting, path)
    peak = peak_mib()
    file = codec.open(path, pack=pack if "/" in pack else None, device=device)
    second_share, turning = path_shape(file.coeffs[0])
    return {"rank": file.rank, "size_bytes": float(path.stat().st_size), "encode_peak_mib": peak,
            "fit_seconds": fit_seconds, "encode_seconds": encode_seconds, "second_share": second_share,
            "turning": turning, "parts": _parts(file.byte_counts), **decoder.measure(path),
            **readout_cells(file, read_phase(file), labels)}


def _parts(byte_counts: dict[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in byte_counts.items())
