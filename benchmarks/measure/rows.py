"""Rows of the benchmark: one a clip, codec and setting, kept as tab-separated text that grows line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.errors import ClipError


@dataclass(frozen=True)
class Row:
    """One measurement; None (an empty cell) where something does not apply or is not known.

    Attributes
    ----------
    clip, clip_id : str
        Name, and a digest of the frames, so that another clip of the same name is told apart.
    codec, setting : str
        'lrmcodec PACK' or a peer's name; what was asked of it.
    rank : int
        Coefficients a frame, where there are some.
    frames, height, width, fps
        The clip as it was coded.
    size_bytes : float
        The file on disk, or all packets and headers.
    raw_bytes : int
        One byte a pixel.
    ratio, source_ratio : float
        raw_bytes and the bytes of the clip's own file over size_bytes.
    scalars_ratio : float
        Pixels a frame over coefficients a frame: compression as the LRM-Functa paper counts it, without the
        latent, the basis and the number format.
    psnr_db, psnr_pooled_db, ssim3d : float
        Mean over frames of the frame's PSNR; PSNR of the mean squared error of all frames; see `metrics`.
    encode_seconds, decode_fps : float
        Wall time; frames a second, opening included.
    encode_peak_mib, decode_peak_mib : float
        Largest resident memory of the process meanwhile.
    ed_events, ed_error_frames, ed_error_ms, ed_misses, ed_false_alarms
        End diastole read from the coefficients against labels: events labelled, mean absolute error of those
        found, how many were not found, how many found are none; `es_` the same for end systole.
    heart_rate_error_bpm : float
        Absolute, against the label.
    parts : str
        Bytes of the file by purpose, 'name=bytes' separated by blanks.
    note : str
        Why there are no figures.
    versions, hardware : str
    """

    clip: str
    clip_id: str
    codec: str
    setting: str
    frames: int
    height: int
    width: int
    fps: float
    raw_bytes: int
    rank: int | None = None
    size_bytes: float | None = None
    ratio: float | None = None
    source_ratio: float | None = None
    scalars_ratio: float | None = None
    psnr_db: float | None = None
    psnr_pooled_db: float | None = None
    ssim3d: float | None = None
    encode_seconds: float | None = None
    decode_fps: float | None = None
    encode_peak_mib: float | None = None
    decode_peak_mib: float | None = None
    ed_events: int | None = None
    ed_error_frames: float | None = None
    ed_error_ms: float | None = None
    ed_misses: int | None = None
    ed_false_alarms: int | None = None
    es_events: int | None = None
    es_error_frames: float | None = None
    es_error_ms: float | None = None
    es_misses: int | None = None
    es_false_alarms: int | None = None
    heart_rate_error_bpm: float | None = None
    parts: str = ""
    note: str = ""
    versions: str = ""
    hardware: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a row is known by."""
        return self.clip, self.clip_id, self.codec, self.setting

    @property
    def is_ours(self) -> bool:
        """Whether lrmcodec made it."""
        return self.codec.startswith(OURS)


OURS = "lrmcodec "
"""Beginning of the codec names of our packs."""

COLUMNS = tuple(field.name for field in fields(Row))
_TYPES = {field.name: str(field.type).removesuffix(" | None") for field in fields(Row)}
_PARSE = {"str": str, "int": int, "float": float}


def to_line(row: Row) -> str:
    """Tab-separated cells of a row, with its line end."""
    return "\t".join(_cell(value) for value in asdict(row).values()) + "\n"


def header() -> str:
    """First line of a file of rows."""
    return "\t".join(COLUMNS) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.7g}"
    return " ".join(str(value).split())


def from_cells(cells: Mapping[str, Any]) -> Row:
    """Row of a mapping from column names to text; raises ValueError or TypeError on cells that do not fit."""
    values: dict[str, Any] = {name: _PARSE[_TYPES[name]](text) if text != "" or _TYPES[name] == "str" else None
                              for name, text in cells.items()}
    return Row(**values)


def read_rows(path: Path) -> list[Row]:
    """Rows of a file; a last line that was cut short, as after a kill, is left out.

    Raises
    ------
    ClipError
        When the file is missing or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"{path} cannot be read ({error}).", "Check the path.") from error
    lines = text[:text.rfind("\n") + 1].splitlines()
    if not lines or lines[0] + "\n" != header():
        raise ClipError(f"{path} does not hold rows of this version of the benchmark.", "Measure into another folder.")
    try:
        return [from_cells(cells) for cells in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    except (TypeError, ValueError) as error:
        raise ClipError(f"{path} holds a damaged row ({error}).", "Delete that line and pass --resume.") from error


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write rows in the order given, replacing a file that is there; whole or not at all."""
    write_atomic(path, (header() + "".join(map(to_line, rows))).encode(), force=True)
