"""Archiving one source: a pure function of file and policy, so that it may be done again anywhere, at any time."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import __version__, codec
from lrmcodec.archive import objects
from lrmcodec.archive.entry import CLIP, COLOR, KEPT, POLICY, STILL, UNCODABLE, Blob, Coding, Entry, entry_id
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.headers import Facts, read_facts, without_identity
from lrmcodec.archive.home import Archive
from lrmcodec.archive.manifest import read_record
from lrmcodec.archive.policy import Policy, Target
from lrmcodec.archive.sources import Source, at_hand, file_digest, hidden_path
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.decoders.registry import find_pack
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import VERSION
from lrmcodec.formats.errors import ClipError, LrmError, OutputError, TargetError
from lrmcodec.formats.pack import Pack
from lrmcodec.formats.stamps import even_rate
from lrmcodec.formats.video import read_clip

if TYPE_CHECKING:
    from lrmcodec.sector import Box, Sector

MEANS = 16

HARMLESS = ("frame times", "small colored marks")
"""Beginnings of readers' warnings after which a clip is coded all the same; after others its file is kept as it is."""


@dataclass(frozen=True)
class Failure:
    """A source of which nothing could be archived, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Done:
    """A source that is in the archive; `is_new` says whether this run put it there."""

    source: Source
    entry: Entry
    is_new: bool


@dataclass(frozen=True)
class Kept:
    """That a file is kept as it is, and why."""

    why: str
    reason: str = ""


@dataclass(frozen=True)
class CodedClip:
    """The objects of a coded clip, how it was coded, and what its reader warned of."""

    coded: Blob
    coding: Coding
    warnings: list[str]
    header: Blob | None = None


def archive_source(archive: Archive, source: Source, known: Mapping[str, str] | None = None) -> Done | Failure:
    """Put a source's objects and its record into the archive, unless they are there.

    `known` are ids of entries by the digest of their pixels: equal pixels need not be coded again.

    Raises
    ------
    OutputError
        When the archive cannot be written.
    """
    if source.problem:
        return Failure(source.path, source.problem)
    try:
        with at_hand(source) as file:
            return _archive_file(archive, source, file, known or {})
    except OutputError:
        raise  # the archive cannot be written: no file can
    except LrmError as error:
        return Failure(source.path, _clean(f"{error.what} {error.hint}", source))
    except OSError as error:
        return Failure(source.path, error.strerror or type(error).__name__)
    except MemoryError:
        return Failure(source.path, "there is not enough memory for it")


def entry_path(policy: Policy, salt: str, path: str) -> str:
    """Name of a source in the archive."""
    return hidden_path(path, salt) if policy.hash_paths else path


def _archive_file(archive: Archive, source: Source, file: Path, known: Mapping[str, str]) -> Done:
    began = time.perf_counter()
    sha256 = file_digest(file)
    path = entry_path(archive.policy, archive.id, source.path)
    there = _find(archive, entry_id(path, sha256))
    if there is not None:
        return Done(source, there, False)
    facts = read_facts(file, source.path)
    result = _coded(archive, source, file, facts, known)
    original = None
    if isinstance(result, Kept) or archive.policy.lossless_originals:
        original = objects.put_file(archive.store, file, sha256)
    elif file_digest(file) != sha256:
        raise ArchiveError("the file changed while it was read.", "Run the command again.")
    entry = Entry(
        id=entry_id(path, sha256), path=os.fsencode(path).decode("utf-8", "backslashreplace"),
        size_bytes=source.size_bytes, modified=source.modified, sha256=sha256, stat=source.stat, original=original,
        tool=__version__, archived=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 3), **_shown(archive, facts, path), **_outcome(result))
    archive.store.write(entry.record_key, entry.to_line())
    return Done(source, entry, True)


def _shown(archive: Archive, facts: Facts, path: str) -> dict[str, Any]:
    """What an entry says of study, series and instance."""
    if not facts.is_dicom:
        folder = path.rpartition("/")[0]
        return {"study": folder, "series": folder, "instance": path}
    if not archive.policy.keep_study:
        facts = without_identity(facts, archive.id)
    return {name: getattr(facts, name) for name in ("study", "series", "instance", "modality", "date", "view")}


def _outcome(result: Kept | CodedClip) -> dict[str, Any]:
    if isinstance(result, Kept):
        return {"kind": KEPT, "why": result.why, "reason": result.reason}
    return {"kind": CLIP, "coded": result.coded, "coding": result.coding, "warnings": result.warnings,
            "header": result.header}


def _find(archive: Archive, name: str) -> Entry | None:
    """The entry of an id, if its record and everything that it needs are there."""
    try:
        entry = read_record(archive.store, f"objects/{name[:2]}/{name}.json")
    except (FileNotFoundError, ArchiveError):
        return None
    return entry if all(archive.store.size(blob.key) == blob.size_bytes for blob in entry.blobs) else None


def _header(archive: Archive, file: Path, has_mask: bool) -> Blob:
    """What a DICOM clip that comes back needs of its header: all, or only what identifies nobody."""
    from lrmcodec.formats.dicom_study import StudyTags

    tags = StudyTags.read(file)
    if not archive.policy.keep_study:
        tags = tags.without_identity()
    if has_mask:
        tags = tags.masked()
    return objects.put_packed(archive.store, tags.to_bytes())


def _coded(archive: Archive, source: Source, file: Path, facts: Facts,
           known: Mapping[str, str]) -> Kept | CodedClip:
    """Code a clip and store its object; or the reason why its file is kept."""
    target = archive.policy.target(facts.modality, facts.view, source.path)
    if facts.why:
        return Kept(facts.why)
    if target.keep:
        return Kept(POLICY, "the policy keeps it")
    try:
        clip = read_clip(file)
    except ClipError as error:
        if "not installed" in error.what:
            raise  # not archived, so that it is coded once the package is there
        why = COLOR if "contains color" in error.what else UNCODABLE
        return Kept(why, _clean(error.what, source, file))
    damage = [text for text in clip.warnings if not text.startswith(HARMLESS)]
    if damage:
        return Kept(UNCODABLE, "; ".join(damage))
    if len(clip.frames) == 1:
        return Kept(STILL)
    try:
        return _coded_clip(archive, clip, file, facts, target, source.size_bytes, known)
    except ClipError as error:
        return Kept(UNCODABLE, _clean(error.what, source, file))
    except TargetError as error:
        return Kept(POLICY, error.what)


def _coded_clip(archive: Archive, clip: Clip, file: Path, facts: Facts, target: Target, source_bytes: int,
                known: Mapping[str, str]) -> Kept | CodedClip:
    """Mask and code a clip, unless equal pixels are there."""
    sector = ""
    if archive.policy.mask:
        found = choose_mask(clip, file)
        clip, sector = found.apply(clip), found.source
    pixels = pixels_digest(clip)
    twin = _find(archive, known[pixels]) if pixels in known else None
    if twin is not None and twin.coded is not None and twin.coding is not None and _is_same(twin, target):
        coded: CodedClip | Kept = CodedClip(twin.coded, twin.coding, list(clip.warnings))
    else:
        coded = _encode(archive, clip, target, pixels, source_bytes, sector)
    if isinstance(coded, CodedClip) and facts.is_dicom:
        from lrmcodec.formats.dicom_regions import Regions
        from lrmcodec.sector import text_warnings

        warnings = [*coded.warnings, *text_warnings(clip, Regions.read(file))]
        return replace(coded, header=_header(archive, file, bool(sector)), warnings=warnings)
    return coded


def choose_mask(clip: Clip, file: Path) -> Sector:
    """The part of a clip that shows ultrasound.

    Raises
    ------
    ClipError
        When it cannot be told.
    """
    from lrmcodec.sector import choose_sector

    boxes: Sequence[Box] = ()
    if clip.metadata.get("source") == "dicom":
        from lrmcodec.formats.dicom_regions import Regions

        boxes = Regions.read(file).boxes((clip.frames.shape[1], clip.frames.shape[2]))
    return choose_sector(clip, boxes)


def _is_same(twin: Entry, target: Target) -> bool:
    """Whether a clip of equal pixels was coded as this one would be."""
    assert twin.coding is not None
    return twin.coding.settings.get("asked") == target.as_dict() and twin.tool == __version__


def _encode(archive: Archive, clip: Clip, target: Target, pixels: str, source_bytes: int,
            sector: str) -> Kept | CodedClip:
    pack = find_pack(archive.policy.pack)
    encoded, settings = _meet(clip, target, pack)
    if encoded is None:
        return Kept(POLICY, f"no setting gives the SSIM3D of {target.min_ssim:g} that the policy asks for")
    if len(encoded.data) >= source_bytes:
        return Kept(POLICY, "coded it would be larger than it is")
    asked = {"asked": target.as_dict(), **settings, **({"mask": sector} if sector else {})}
    coding = _coding(clip, encoded, pixels, pack, asked)
    return CodedClip(objects.put_plain(archive.store, encoded.data), coding, list(clip.warnings))


def _meet(clip: Clip, target: Target, pack: Pack) -> tuple[codec.Encoded | None, dict[str, float]]:
    """The first attempt that is as like the source as asked, and its settings; None when none is."""
    for settings in target.attempts():
        try:
            encoded = codec.encode(clip, pack=pack, device="cpu", threads=1, **settings)  # type: ignore[arg-type]
        except TargetError:
            if target.min_ssim is None:
                raise
            continue
        if target.min_ssim is None or encoded.report.ssim3d >= target.min_ssim:
            return encoded, {key: round(value, 4) for key, value in settings.items()}
    return None, {}


def _coding(clip: Clip, encoded: codec.Encoded, pixels: str, pack: Pack, settings: Mapping[str, Any]) -> Coding:
    file, report = codec.open(encoded.data), encoded.report
    decoded, means = decoded_facts(file)
    return Coding(
        pixels_sha256=pixels, decoded_sha256=decoded, frame_means=means, frames=report.frames, height=report.height,
        width=report.width, fps=report.fps, is_even=even_rate(clip.times_s) is not None,
        duration_s=round(clip.duration_s, 6), settings=settings,
        pack=pack.digest, lrm_version=VERSION, ratio=round(report.ratio, 3), psnr_db=round(report.psnr_db, 3),
        ssim3d=round(report.ssim3d, 5), rank=report.rank, readout=_readout(file), technical=dict(clip.metadata))


def _readout(file: codec.LrmFile) -> dict[str, Any]:
    phase = read_phase(file).as_dict()
    return {"quality_word": phase["quality_word"], "quality": phase["quality"],
            "heart_rate_bpm": phase["heart_rate_bpm"], "ed_frames": phase["ed_frames"],
            "es_frames": phase["es_frames"], "polarity_confidence": phase["polarity_confidence"]}


def pixels_digest(clip: Clip) -> str:
    """SHA-256 of a clip's shape, frame times to a microsecond, and frames."""
    digest = hashlib.sha256(f"{clip.frames.shape}".encode())
    digest.update(np.rint(clip.times_s * 1e6).astype("<i8").tobytes())
    for frame in clip.frames:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def decoded_facts(file: codec.LrmFile) -> tuple[str, list[float]]:
    """SHA-256 of all frames that a file decodes to, and the mean levels of up to 16 of them."""
    digest, means = hashlib.sha256(), []
    count = file.coded.frame_count
    wanted = set(np.unique(np.linspace(0, count - 1, min(count, MEANS)).round().astype(int)).tolist())
    index = 0
    for block in file.blocks():
        frame: NDArray[np.uint8]
        for frame in block:
            digest.update(np.ascontiguousarray(frame).data)
            if index in wanted:
                means.append(round(float(frame.mean()), 3))
            index += 1
    return digest.hexdigest(), means


def _clean(text: str, source: Source, file: Path | None = None) -> str:
    """A reason without the names of files, nor what a decoder quotes, which may be a patient's data."""
    for name in (str(file or ""), source.location, source.path):
        text = text.replace(name, "the file") if name else text
    return re.sub(r"\((\w+(?:Error|Exception|Warning)): .*\)", r"(\1)", text).strip()
