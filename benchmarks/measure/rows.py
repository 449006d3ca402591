"""Rows of the benchmark: one a clip, codec and setting, kept as tab-separated text that grows line by line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.table import tsv_line
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.errors import ClipError


@dataclass(frozen=True)
class Row:
    """One measurement; None (an empty cell) where something does not apply or is not known.

    Attributes
    ----------
    clip, clip_id : str
        Name, and a digest of the frames, so that another clip of the same name is told apart.
    codec : str
        'lrmcodec PACK' or a peer's name.
    setting : Setting
        What was asked of it; a column for each of its fields.
    group : str
        Kind of clips that it belongs to, where a run has several.
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
    fit_seconds, encode_seconds, decode_fps : float
        Wall time, the fit a part of encoding; frames a second, opening included.
    encode_peak_mib, decode_peak_mib : float
        Largest resident memory of the process meanwhile.
    ed_events, ed_error_frames, ed_error_ms, ed_bias_frames, ed_misses, ed_false_alarms
        End diastole read from the coefficients against labels: events labelled, mean absolute error of those
        found, the mean of found minus labelled, how many were not found, how many found are none; `es_` the same for
        end systole.
    heart_rate_error_bpm : float
        Absolute, against the label.
    ed_labels, ed_found, ed_turned : tuple of int
        Frames labelled; frames read; what would have been read with the other sign, where the sign is wrong. `es_` the
        same.
    sign_right : bool
        Whether the signal rises where the ventricle grows, where that is known.
    verdict, readout_quality, polarity_confidence
        What the readout says about the clip and about itself.
    rhythm : str
        As labelled.
    second_share, turning : float
        Shape of the path of the coefficients; see `path_shape`.
    parts : str
        Bytes of the file by purpose, 'name=bytes' separated by blanks.
    note : str
        Why there are no figures.
    versions, hardware : str
    """

    clip: str
    clip_id: str
    codec: str
    setting: Setting
    frames: int
    height: int
    width: int
    fps: float
    raw_bytes: int
    group: str = ""
    rank: int | None = None
    size_bytes: float | None = None
    ratio: float | None = None
    source_ratio: float | None = None
    scalars_ratio: float | None = None
    psnr_db: float | None = None
    psnr_pooled_db: float | None = None
    ssim3d: float | None = None
    fit_seconds: float | None = None
    encode_seconds: float | None = None
    decode_fps: float | None = None
    encode_peak_mib: float | None = None
    decode_peak_mib: float | None = None
    ed_events: int | None = None
    ed_error_frames: float | None = None
    ed_error_ms: float | None = None
    ed_bias_frames: float | None = None
    ed_misses: int | None = None
    ed_false_alarms: int | None = None
    es_events: int | None = None
    es_error_frames: float | None = None
    es_error_ms: float | None = None
    es_bias_frames: float | None = None
    es_misses: int | None = None
    es_false_alarms: int | None = None
    heart_rate_error_bpm: float | None = None
    ed_labels: tuple[int, ...] = ()
    es_labels: tuple[int, ...] = ()
    ed_found: tuple[int, ...] = ()
    es_found: tuple[int, ...] = ()
    ed_turned: tuple[int, ...] = ()
    es_turned: tuple[int, ...] = ()
    sign_right: bool | None = None
    verdict: str = ""
    readout_quality: float | None = None
    polarity_confidence: float | None = None
    rhythm: str = ""
    second_share: float | None = None
    turning: float | None = None
    parts: str = ""
    note: str = ""
    versions: str = ""
    hardware: str = ""

    @property
    def key(self) -> tuple[str, str, str, Setting]:
        """What a row is known by."""
        return self.clip, self.clip_id, self.codec, self.setting

    @property
    def is_ours(self) -> bool:
        """Whether lrmcodec made it."""
        return self.codec.startswith(OURS)

    @property
    def part_bytes(self) -> dict[str, int]:
        """Bytes of the file by purpose."""
        return {name: int(count) for name, _, count in (item.partition("=") for item in self.parts.split())}

    def as_dict(self) -> dict[str, Any]:
        """Plain values by column."""
        values = asdict(self)
        setting = values.pop("setting")
        return {name: setting[name] if name in setting else values[name] for name in COLUMNS}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Row:
        """Undo `as_dict`, from JSON too; raises TypeError on columns that are missing or unknown."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        asked = {name: plain.pop(name) for name in _SETTING}
        return Row(setting=Setting(**asked), **plain)


OURS = "lrmcodec "
"""Beginning of the codec names of our packs."""

_SETTING = tuple(field.name for field in fields(Setting))
COLUMNS = tuple(name for field in fields(Row) for name in (_SETTING if field.name == "setting" else (field.name,)))
_TYPES = {field.name: str(field.type).removesuffix(" | None") for field in (*fields(Setting), *fields(Row))}
_PARSE: dict[str, Callable[[str], Any]] = {
    "str": str, "int": int, "float": float, "bool": {"yes": True, "no": False}.__getitem__,
    "tuple[int, ...]": lambda text: tuple(map(int, text.split()))}
_NEVER_NONE = ("str", "tuple[int, ...]")


def to_line(row: Row) -> str:
    """Tab-separated cells of a row, with its line end."""
    return tsv_line(row.as_dict().values())


def header() -> str:
    """First line of a file of rows."""
    return tsv_line(COLUMNS)


def from_cells(cells: Mapping[str, str]) -> Row:
    """Row of a mapping from column names to text; raises KeyError, TypeError or ValueError on cells that do not fit."""
    return Row.from_dict({name: _PARSE[_TYPES[name]](text) if text != "" or _TYPES[name] in _NEVER_NONE else None
                          for name, text in cells.items()})


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
        return [from_cells(cells) for cells in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE,
                                                              restkey="a cell too many")]
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ClipError(f"{path} holds a damaged row ({error}).", "Delete that line and pass --resume.") from error


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write rows in the order given, replacing a file that is there; whole or not at all."""
    write_atomic(path, (header() + "".join(map(to_line, rows))).encode(), force=True)
