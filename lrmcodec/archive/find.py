"""Looking things up in the manifest: files by what is known of them, and the archive in numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from lrmcodec.archive.entry import CLIP, Blob, Coding, Entry
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.home import Archive, home_values, present
from lrmcodec.archive.manifest import listed

QUARTILES = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class Query:
    """Conditions that all must hold; '' and None ask for nothing.

    Attributes
    ----------
    modality, view, path, study : str
        Patterns as of shells, small and capital letters alike.
    kind : str
        'clip', 'kept', or why a file is kept.
    dates : (str, str)
        First and last day as YYYY-MM-DD, or beginnings of it.
    heart_rate : (float, float)
        Beats a minute, of clips in which a heart is seen to beat.
    """

    modality: str = ""
    view: str = ""
    path: str = ""
    study: str = ""
    kind: str = ""
    dates: tuple[str, str] | None = None
    heart_rate: tuple[float, float] | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is one of those asked for."""
        pairs = ((self.modality, entry.modality), (self.view, entry.view), (self.path, entry.path),
                 (self.study, entry.study))
        if not all(not pattern or fnmatchcase(value.casefold(), pattern.casefold()) for pattern, value in pairs):
            return False
        if self.kind and self.kind not in (entry.kind, entry.why):
            return False
        if self.dates is not None and not _in_days(entry.date, *self.dates):
            return False
        return self.heart_rate is None or _in_rates(entry, *self.heart_rate)


def _in_days(date: str, first: str, last: str) -> bool:
    return bool(date) and date >= first and date[:len(last)] <= last


def _in_rates(entry: Entry, low: float, high: float) -> bool:
    rate = entry.coding.readout.get("heart_rate_bpm") if entry.coding is not None else None
    return rate is not None and low <= rate <= high


def parse_days(text: str) -> tuple[str, str]:
    """First and last day of '2024-05-17', '2024-05', '2024' or two of them with '..' between.

    Raises
    ------
    ArchiveError
    """
    first, dots, last = text.partition("..")
    for part in (first, last) if dots else (first,):
        if part and not re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", part):
            raise ArchiveError(f"{part!r} is no date.", "Give 2024-05-17, 2024-05, 2024, or two with .. between.")
    return first, (last or "9999") if dots else first


def parse_rates(text: str) -> tuple[float, float]:
    """Lowest and highest heart rate of '60..100', '..100', '60..' or '72'.

    Raises
    ------
    ArchiveError
    """
    low, dots, high = text.partition("..")
    try:
        least = float(low) if low else 0.0
        return least, (float(high) if high else 1e9) if dots else least
    except ValueError as error:
        raise ArchiveError(f"{text!r} is no heart rate.", "Give beats a minute: 72, 60..100, ..60 or 100...") from error


def public(entry: Entry) -> dict[str, Any]:
    """What there is to say about an entry, as plain values."""
    values = {name: vars(value) if isinstance(value, Blob | Coding) else value
              for name, value in vars(entry).items() if name != "stat"}
    return {**values, "stored_bytes": entry.stored_bytes, "failed": entry.failed}


def statistics(archive: Archive) -> dict[str, Any]:
    """The archive in numbers, as plain values.

    `stored_bytes` counts every object once; `shared_bytes` is what storing equal content once saved; `other_bytes`
    are records, manifest, and decoder packs. `ratio` is that of the sources to all that is stored, `clips.pixel_ratio`
    that of the clips' pixels, at one byte each, to their objects.
    """
    tally = _Tally()
    for entry in listed(archive.store):
        tally.add(entry)
    objects = sum(tally.blobs.values())
    other = sum(size for key, size in present(archive.store) if key not in tally.blobs)
    other += sum(size for key, size in archive.store.list("manifest"))
    return {
        **home_values(archive), "files": tally.files, "source_bytes": tally.source_bytes, "stored_bytes": objects,
        "other_bytes": other, "ratio": _ratio(tally.source_bytes, objects + other),
        "shared_bytes": tally.referenced - objects, "kinds": dict(tally.kinds.most_common()),
        "modalities": dict(tally.modalities.most_common()), "studies": len(tally.studies),
        "failed": tally.failed, "clips": tally.clips(),
    }


class _Tally:
    """Sums over the manifest."""

    def __init__(self) -> None:
        self.files = self.source_bytes = self.referenced = self.failed = 0
        self.kinds: Counter[str] = Counter()
        self.modalities: Counter[str] = Counter()
        self.studies: set[str] = set()
        self.blobs: dict[str, int] = {}
        self._pixels = self._clip_bytes = 0
        self._qualities: list[tuple[float, float]] = []

    def add(self, entry: Entry) -> None:
        self.files += 1
        self.source_bytes += entry.size_bytes
        self.referenced += entry.stored_bytes
        self.failed += entry.failed
        self.kinds[entry.why or entry.kind] += 1
        self.modalities[entry.modality or "unknown"] += 1
        self.studies.add(entry.study)
        self.blobs |= {blob.key: blob.size_bytes for blob in entry.blobs}
        if entry.kind == CLIP and entry.coding is not None and entry.coded is not None:
            self._pixels += entry.coding.frames * entry.coding.height * entry.coding.width
            self._clip_bytes += entry.coded.size_bytes
            self._qualities.append((entry.coding.psnr_db, entry.coding.ssim3d))

    def clips(self) -> dict[str, Any]:
        if not self._qualities:
            return {"count": 0}
        psnr, ssim = (np.percentile(column, QUARTILES).round(4).tolist()
                      for column in zip(*self._qualities, strict=True))
        return {"count": len(self._qualities), "pixel_ratio": _ratio(self._pixels, self._clip_bytes),
                "psnr_db": dict(zip(map(str, QUARTILES), psnr, strict=True)),
                "ssim3d": dict(zip(map(str, QUARTILES), ssim, strict=True))}


def _ratio(before: int, after: int) -> float:
    return round(before / after, 3) if after else 0.0


def select(entries: Iterable[Entry], query: Query) -> Iterable[Entry]:
    """Those that fit."""
    return (entry for entry in entries if query.fits(entry))
