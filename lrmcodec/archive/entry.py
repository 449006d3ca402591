"""What an archive knows of one source file: the line of the manifest, which is also an object of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from lrmcodec.archive.errors import ArchiveError

FORMAT = 1
"""Version of the archive's layout."""

CLIP, KEPT = "clip", "kept"

STILL, REPORT, WAVEFORM, COLOR, INDEX, OTHER, POLICY, UNCODABLE = (
    "still", "report", "waveform", "color", "index", "other", "policy", "uncodable")
"""Why a file is kept byte for byte. `index` is a DICOMDIR; `policy` a clip that the policy keeps; `uncodable` one that
is damaged or that the codec does not take, which is a failure to be looked at."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Blob:
    """An object: SHA-256 of its content, bytes as they are stored, and the suffix that says how.

    `.lrm` is stored as it is, `.zst` compressed by zstandard.
    """

    sha256: str
    size_bytes: int
    suffix: str

    @property
    def key(self) -> str:
        """Its name in the store."""
        return f"objects/{self.sha256[:2]}/{self.sha256}{self.suffix}"


@dataclass(frozen=True)
class Coding:
    """How a clip was coded and what came of it.

    Attributes
    ----------
    pixels_sha256 : str
        Of the frames that went into the codec with their times; equal for equal pixels under other tags.
    decoded_sha256 : str
        Of the frames (T, H, W) that the object decodes to on the machine that made it.
    frame_means : list of float
        Mean levels (0 to 255) of up to 16 decoded frames, for machines whose rounding differs.
    is_even : bool
        Whether the frames are evenly spaced in time.
    settings : mapping
        The target that was asked for, under the names of `codec.encode`.
    pack : str
        SHA-256 of the decoder pack; the pack itself lies in the archive.
    readout : mapping
        Summary of the cardiac readout.
    technical : mapping
        What the reader found besides pixels; nothing about a patient.
    """

    pixels_sha256: str
    decoded_sha256: str
    frame_means: list[float]
    frames: int
    height: int
    width: int
    fps: float
    is_even: bool
    duration_s: float
    settings: Values
    pack: str
    lrm_version: int
    ratio: float
    psnr_db: float
    ssim3d: float
    rank: int
    readout: Values
    technical: Values


@dataclass(frozen=True)
class Entry:
    """One source file.

    Attributes
    ----------
    id : str
        16 hexadecimal digits, of path and content.
    path : str
        Name in the archive: below the source that was given, '/' between folders.
    size_bytes, modified, sha256 : int, str, str
        The source's size, time of its last change, and digest.
    stat : str
        Digest of where the source lay and of its size, times and number there; tells an unchanged file without reading.
    kind, why, reason : str
        'clip' or 'kept', for which of the reasons above, and in words.
    coded, original, header : Blob or None
        The .lrm object; the file itself; what is kept of a coded DICOM clip's header, as `StudyTags.to_bytes` gives it.
    study, series, instance : str
        Unique ids, the sources' own only where the archive keeps them, else made from them; folders where there are
        none.
    """

    id: str
    path: str
    size_bytes: int
    modified: str
    sha256: str
    stat: str
    kind: str
    why: str = ""
    reason: str = ""
    coded: Blob | None = None
    original: Blob | None = None
    header: Blob | None = None
    study: str = ""
    series: str = ""
    instance: str = ""
    modality: str = ""
    date: str = ""
    view: str = ""
    coding: Coding | None = None
    warnings: list[str] = field(default_factory=list)
    tool: str = ""
    archived: str = ""
    seconds: float = 0.0

    @property
    def blobs(self) -> list[Blob]:
        """All objects that it needs."""
        return [blob for blob in (self.coded, self.original, self.header) if blob is not None]

    @property
    def failed(self) -> bool:
        """Whether it should have been coded and could not be."""
        return self.why == UNCODABLE

    @property
    def stored_bytes(self) -> int:
        """Bytes of its objects, which others may share."""
        return sum(blob.size_bytes for blob in self.blobs)

    @property
    def record_key(self) -> str:
        """Name of the object that holds this entry."""
        return f"objects/{self.id[:2]}/{self.id}.json"

    def to_line(self) -> bytes:
        """One line of JSON with a check digest."""
        values = {key: value for key, value in asdict(self).items() if key in REQUIRED or value not in (None, "", [])}
        return _signed({"format": FORMAT, **values})


ENTRY_FIELDS, CODING_FIELDS = (frozenset(each.name for each in fields(kind)) for kind in (Entry, Coding))
REQUIRED = {each.name for each in fields(Entry) if each.default is MISSING and each.default_factory is MISSING}


def entry_id(path: str, sha256: str) -> str:
    """Id of a source by its name in the archive and its content."""
    return hashlib.sha256(f"{path}\0{sha256}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def parse_line(line: bytes) -> Entry:
    """Undo `Entry.to_line`.

    Raises
    ------
    ArchiveError
        On a line that is cut off, damaged, or of a newer version.
    """
    values = read_signed(line)
    try:
        for name in ("coded", "original", "header"):
            if name in values:
                values[name] = _blob(values[name])
        if "coding" in values:
            values["coding"] = Coding(**_known(CODING_FIELDS, values["coding"]))
        return Entry(**_known(ENTRY_FIELDS, values))
    except (TypeError, KeyError, AttributeError) as error:
        raise ArchiveError("a manifest line has other fields than it should.", "Use a newer lrmcodec.") from error


def read_signed(line: bytes) -> dict[str, Any]:
    """Values of a line of JSON whose check digest fits; ArchiveError otherwise."""
    text, mark, check = line.strip().rpartition(b',"check":"')
    if not mark or hashlib.sha256(text).hexdigest()[:16].encode() + b'"}' != check:
        raise ArchiveError("a manifest line is cut off or damaged.", "Run 'lrmcodec archive repair'.")
    values = json.loads(text + b"}")
    if values.get("format") != FORMAT:
        raise ArchiveError(f"the archive has format {values.get('format')}, this lrmcodec reads {FORMAT}.",
                           "Use a newer lrmcodec.")
    return dict(values)


def signed(values: Values) -> bytes:
    """A line of JSON with the format's version and a check digest."""
    return _signed({"format": FORMAT, **values})


def _signed(values: Values) -> bytes:
    text = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return text + f',"check":"{hashlib.sha256(text).hexdigest()[:16]}"}}\n'.encode()


def _known(names: frozenset[str], values: Values) -> dict[str, Any]:
    """The values that this version knows; what a later one added is left out."""
    return {key: value for key, value in values.items() if key in names}


def _blob(values: Values) -> Blob:
    blob = Blob(str(values["sha256"]), int(values["size_bytes"]), str(values["suffix"]))
    if len(blob.sha256) != 64 or set(blob.sha256) - set("0123456789abcdef") or blob.suffix not in (".lrm", ".zst"):
        raise ArchiveError("a manifest line names an object that cannot be one.", "Run 'lrmcodec archive repair'.")
    return blob
