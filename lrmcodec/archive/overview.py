"""What a person should look at: studies of an archive, their clips with a strip of frames, the unusual ones first."""

from __future__ import annotations

import hashlib
import io
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lrmcodec.archive.entry import CLIP, Entry, parse_line
from lrmcodec.archive.home import Archive, Packs, open_archive
from lrmcodec.archive.restore import open_clip
from lrmcodec.formats.errors import LrmError
from lrmcodec.reader import LrmFile

STRIP_FRAMES = 6
STRIP_HEIGHT = 120
STRIP_GAP = 3
WEBP_QUALITY = 80
SPREAD = 1.4826
"""Makes the median absolute deviation a standard deviation for normal values (Rousseeuw and Croux 1993)."""

UNUSUAL = 3.5
"""Deviations from the median from which on a figure is unusual (Iglewicz and Hoaglin 1993)."""

LEAST_SPREADS = {"ssim3d": 0.005, "psnr_db": 0.3, "heart_rate_bpm": 4.0}
"""Spreads below these are taken for these, so that archives of very equal clips have no false alarms."""


@dataclass(frozen=True)
class Judged:
    """An entry, how far it is from the usual (0: it is usual), and why in words."""

    entry: Entry
    score: float
    reasons: tuple[str, ...]


@dataclass
class Study:
    """Entries of one study or folder; `name` for its page, clips the unusual ones first."""

    uid: str
    name: str
    clips: list[Judged] = field(default_factory=list)
    kept: list[Entry] = field(default_factory=list)

    @property
    def entries(self) -> list[Entry]:
        """All of them."""
        return [judged.entry for judged in self.clips] + self.kept

    @property
    def folder(self) -> str:
        """Folder that all of its files lie in."""
        return posixpath.commonpath([posixpath.dirname(entry.path) for entry in self.entries]) or "archive"

    @property
    def score(self) -> float:
        """That of its most unusual clip."""
        return max((judged.score for judged in self.clips), default=0.0)


def studies_of(entries: Iterable[Entry]) -> list[Study]:
    """Studies, the most unusual ones first."""
    everything = list(entries)
    usual = {name: _usual([value for entry in everything if (value := _figure(entry, name)) is not None], least)
             for name, least in LEAST_SPREADS.items()}
    found: dict[str, Study] = {}
    for entry in everything:
        name = hashlib.sha256(entry.study.encode("utf-8", "replace")).hexdigest()[:16]
        study = found.setdefault(entry.study, Study(entry.study, name))
        if entry.kind == CLIP:
            study.clips.append(judge(entry, usual))
        else:
            study.kept.append(entry)
    for study in found.values():
        study.clips.sort(key=lambda judged: -judged.score)
    return sorted(found.values(),
                  key=lambda study: (-study.score, -sum(entry.failed for entry in study.kept), study.uid))


def judge(entry: Entry, usual: dict[str, tuple[float, float]]) -> Judged:
    """How unusual a clip is: its quality too low, its heart rate far off, or its reader's warnings."""
    reasons, score = list(entry.warnings), 0.5 * bool(entry.warnings)  # after all that is unusual by a figure
    for name, words, form in (("ssim3d", "SSIM3D", ".3f"), ("psnr_db", "PSNR", ".1f"),
                              ("heart_rate_bpm", "heart rate", ".0f")):
        value = _figure(entry, name)
        if value is None:
            continue
        middle, spread = usual[name]
        away = (middle - value) / spread
        away = abs(away) if name == "heart_rate_bpm" else away
        if away > UNUSUAL:
            reasons.append(f"{words} {value:{form}}, usual is {middle:{form}}")
            score = max(score, away)
    return Judged(entry, score, tuple(reasons))


def _figure(entry: Entry, name: str) -> float | None:
    if entry.coding is None:
        return None
    value = entry.coding.readout.get(name) if name == "heart_rate_bpm" else getattr(entry.coding, name)
    return None if value is None else float(value)


def _usual(values: Sequence[float], least: float) -> tuple[float, float]:
    """Median, and standard deviation by the median absolute deviation."""
    if not values:
        return 0.0, least
    middle = float(np.median(values))
    return middle, max(SPREAD * float(np.median(np.abs(np.asarray(values) - middle))), least)


def strip_name(entry: Entry) -> str:
    """File name of an entry's strip; equal for equal objects."""
    assert entry.coded is not None
    return f"{entry.coded.sha256[:24]}.webp"


def make_strip(place: str, line: bytes) -> bytes | None:
    """Strip of an entry's clip as a WebP picture, of one beat where a heart is seen; None when it cannot be decoded."""
    archive, packs = _opened(place)
    entry = parse_line(line)
    try:
        file = open_clip(archive.store, packs, entry)
        return _webp(strip(file, entry))
    except (LrmError, OSError):
        return None


def strip(file: LrmFile, entry: Entry) -> NDArray[np.uint8]:
    """Frames side by side, (STRIP_HEIGHT, W): from end diastole on for one beat, or evenly over the clip."""
    times = file.times_s
    first, last = 0, len(times) - 1
    beats = entry.coding.readout.get("ed_frames", []) if entry.coding is not None else []
    if len(beats) > 1:
        first, last = int(beats[0]), int(beats[1])
    count = min(STRIP_FRAMES, last - first + 1)
    wanted = np.unique(np.linspace(first, last, count).round().astype(int))
    height, width = file.size
    size = (STRIP_HEIGHT, max(1, round(width * STRIP_HEIGHT / height)))
    frames = [_resized(frame, size) for frame in file.frames(times[wanted])]
    gap = np.full((size[0], STRIP_GAP), 255, np.uint8)
    return np.concatenate([piece for frame in frames for piece in (frame, gap)][:-1], axis=1)


def _resized(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _webp(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=WEBP_QUALITY)
    return buffer.getvalue()


@lru_cache(maxsize=2)
def _opened(place: str) -> tuple[Archive, Packs]:
    archive = open_archive(place)
    return archive, Packs(archive.store)
