"""The visible pipeline: a clip to the bytes of a .lrm file and back, at any times.

encode:  Clip -> segments -> decoder.fit -> rate.Search over decoder.code -> container.pack_file
decode:  container.unpack_file -> decoder.restore -> timeline.coeffs_at -> decoder.render -> frames
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import metrics
from lrmcodec.cardiac.cavity import Cavity, find_cavity
from lrmcodec.cardiac.direction import find_direction, payload_bytes
from lrmcodec.decoders.base import Decoder, FittedSegment, Progress
from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack, make_decoder
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import (
    MAX_FILE_BYTES,
    MAX_FRAMES,
    CodedClip,
    CodedSegment,
    Component,
    pack_file,
    segment_bounds,
    segment_bytes,
)
from lrmcodec.formats.errors import ClipError, TargetError
from lrmcodec.formats.pack import Pack
from lrmcodec.rate import RANKS, Search, Setting, Target, Trial, share
from lrmcodec.reader import BLOCK_VALUES, LrmFile, check_size, read_bytes, to_uint8, unwrapped

__all__ = ["Encoded", "LrmFile", "Report", "decode", "encode", "open"]

SEGMENT_FRAMES = 1024
SEGMENT_VALUES = 1 << 28
MAX_SEARCH_RANK = 128
PROBE_FRAMES = 32
ALTERNATIVE_FROM = 0.8  # of the time, for the progress shown
FIT_SHARE = 0.1  # of the time, for the progress shown
USUAL_TRIES = 24
DEFAULT_QUALITY = 80.0


@dataclass(frozen=True)
class Report:
    """What encoding gave; qualities are measured on the frames decoded from the finished bytes."""

    size_bytes: int
    ratio: float
    psnr_db: float
    ssim3d: float
    rank: int
    q: float
    frames: int
    height: int
    width: int
    fps: float
    segments: int
    pack: str
    fit_seconds: float
    encode_seconds: float


@dataclass(frozen=True)
class Encoded:
    """A finished file in memory: `data`, its bytes, and `report`."""

    data: bytes
    report: Report

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write whole or not at all; raises OutputError, also when `path` exists and `force` is false."""
        write_atomic(Path(path), self.data, force=force)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self.report)


def encode(clip: Clip, *, rank: int | None = None, ratio: float | None = None, size_bytes: int | None = None,
           psnr_db: float | None = None, quality: float | None = None, pack: str | Pack = DEFAULT_PACK,
           device: str = "auto", metadata: Mapping[str, Any] | None = None, study: bytes = b"",
           seed: int = 0, phase: bool = True, progress: Progress | None = None) -> Encoded:
    """Encode a clip.

    Parameters
    ----------
    clip : Clip
        Frames of 16 to 2048 pixels a side.
    rank : int, optional
        Number of basis pictures or coefficients a frame; by default the best one for the target is found.
    ratio, size_bytes, psnr_db, quality : optional
        At most one target: compression ratio of the whole file (never less, within 3 %), file size in bytes (never
        more, within 3 %), mean PSNR in dB (at least), or quality 0 to 100 (default 80).
    pack : str or Pack
        Shipped pack's name, a pack's folder, or a pack.
    device : str
        'auto', 'cpu' or 'cuda'; only decoders with weights use it.
    metadata : mapping, optional
        Plain values to store in the file; nothing is stored unasked.
    study : bytes
        Patient and study of a DICOM clip to store in the file, as
        `lrmcodec.formats.dicom_study.StudyTags.to_bytes` gives them; counted in sizes and ratios.
    seed : int
        Of whatever the fit draws at random.
    phase : bool
        Store the direction of the cardiac phase, up to 11 bytes a segment, where a heart is seen to beat in the clip.
    progress : callable, optional
        Called with (fraction, label).

    Raises
    ------
    ClipError, TargetError, PackError
        On a clip out of the limits, a target that cannot be met, or a missing pack.
    """
    began = time.perf_counter()
    progress = progress or _silent
    _check_clip(clip)
    chosen = pack if isinstance(pack, Pack) else find_pack(pack)
    decoder = make_decoder(chosen, device)
    total = _byte_budget(clip, ratio, size_bytes, psnr_db, quality)
    spans = segment_bounds(len(clip.frames), _segment_count(clip.frames.shape))
    empty = CodedClip(chosen.pack_id, decoder.arch_id, clip.frames.shape[1:], clip.times_s,
                      [CodedSegment(0, 0, {})] * len(spans), metadata or {}, study, clip.warnings)
    used = len(pack_file(empty)) - sum(segment_bytes(segment) for segment in empty.segments)
    segments: list[CodedSegment] = []
    fit_seconds = 0.0
    for index, (start, stop) in enumerate(spans):
        step = _span_progress(progress, index, len(spans))
        frames = np.ascontiguousarray(clip.frames[start:stop])
        before = time.perf_counter()
        fitted = decoder.fit(frames, _max_rank(decoder, frames, rank), seed, _fit_progress(step))
        fit_seconds += time.perf_counter() - before
        budget = share(total, [b - a for a, b in spans], index, used) if total is not None else None
        target = _target(budget, psnr_db, quality)
        cavity = find_cavity(frames, clip.times_s[start:stop]) if phase else None
        trial = _code_segment(decoder, fitted, target, rank, step, cavity)
        segments.append(_with_phase(decoder, trial.coded, cavity, frames, clip.times_s[start:stop]))
        used += trial.size_bytes
    data = pack_file(replace(empty, segments=segments))
    return Encoded(data, _report(data, clip, chosen, decoder, segments, fit_seconds, began))


def open(source: str | Path | bytes, *, pack: str | None = None, device: str = "auto") -> LrmFile:
    """Open a .lrm file by path or bytes for reading at any times; `pack` is a folder to look in for its decoder.

    A .lrm file inside a DICOM file, as 'lrmcodec wrap' makes it, is opened as well.

    Raises
    ------
    ClipError
        When the file cannot be read.
    FormatError, PackError
        When it is damaged or its decoder pack is missing.
    """
    data = source if isinstance(source, bytes) else read_bytes(Path(source))
    return LrmFile(unwrapped(data), pack=pack, device=device)


def decode(source: str | Path | bytes | LrmFile, *, fps: float | None = None,
           times_s: Sequence[float] | NDArray[np.float64] | None = None, size: tuple[int, int] | None = None,
           start_s: float | None = None, duration_s: float | None = None, pack: str | None = None,
           device: str = "auto") -> Clip:
    """Decode a .lrm file to a clip, at its own frame times, at `fps`, or at `times_s` (seconds, increasing).

    `size` (H, W) renders at another size; `start_s` and `duration_s` choose a span. Times of the clip returned
    begin at 0; its metadata and warnings are the file's, and its ratio as `lossy_ratio`. Errors as in `open`;
    TargetError when the times lie outside the clip.
    """
    file = source if isinstance(source, LrmFile) else open(source, pack=pack, device=device)
    wanted = file.select_times(fps=fps, times_s=times_s, start_s=start_s, duration_s=duration_s)
    metadata = {**file.metadata, "lossy_ratio": file.ratio}
    return Clip(file.frames(wanted, size), wanted - wanted[0], metadata, file.warnings)


def _silent(fraction: float, label: str) -> None:
    """Progress that nobody watches."""


def _check_clip(clip: Clip) -> None:
    count = len(clip.frames)
    check_size(clip.frames.shape[1:])
    if count > MAX_FRAMES:
        raise ClipError(f"the clip has {count} frames, at most {MAX_FRAMES} fit a file.", "Encode it in parts.")


def _byte_budget(clip: Clip, ratio: float | None, size_bytes: int | None, psnr_db: float | None,
                 quality: float | None) -> int | None:
    """Bytes that the whole file may take, or None for a quality target."""
    if sum(value is not None for value in (ratio, size_bytes, psnr_db, quality)) > 1:
        raise TargetError("more than one target is given.", "Give one of ratio, size, PSNR and quality.")
    for name, value in (("ratio", ratio), ("size", size_bytes), ("PSNR", psnr_db)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise TargetError(f"a {name} of {value} is not a positive number.")
    if quality is not None and not 0 <= quality <= 100:
        raise TargetError(f"quality {quality:g} is outside 0 to 100.")
    if ratio is not None:
        return int(min(clip.frames.size / ratio, MAX_FILE_BYTES))
    return size_bytes


def _target(budget: int | None, psnr_db: float | None, quality: float | None) -> Target:
    if budget is not None:
        return Target(size_bytes=max(budget, 1))
    if psnr_db is not None:
        return Target(psnr_db=psnr_db)
    return Target(q=quality_to_q(DEFAULT_QUALITY if quality is None else quality))


def quality_to_q(quality: float) -> int:
    """Quantizer index of a quality from 0 (index 255) to 100 (index 0), linear."""
    return round(255 * (1 - quality / 100))


def _segment_count(shape: tuple[int, ...]) -> int:
    count, height, width = shape
    longest = max(1, min(SEGMENT_FRAMES, SEGMENT_VALUES // (height * width)))
    return -(-count // longest)


def _max_rank(decoder: Decoder, frames: NDArray[np.uint8], rank: int | None) -> int:
    limit = decoder.rank_limit(len(frames), (frames.shape[1], frames.shape[2]))
    if rank is None:
        return min(limit, MAX_SEARCH_RANK)
    if not 0 <= rank <= limit:
        raise TargetError(f"rank {rank} cannot be used for {len(frames)} frames of "
                          f"{frames.shape[1]}x{frames.shape[2]} pixels.", f"Give --rank 0 to {limit}.")
    return rank


def _code_segment(decoder: Decoder, fitted: FittedSegment, target: Target, rank: int | None,
                  progress: Progress, cavity: Cavity | None) -> Trial:
    """Best trial for the target, by the decoder or by its alternative at the same rank."""
    alternative = decoder.alternative
    if alternative is None:
        return _search(decoder, fitted, target, rank, progress, cavity)
    try:
        first = _search(decoder, fitted, target, rank, _part(progress, 0, ALTERNATIVE_FROM), cavity)
    except TargetError:
        return _search(alternative, fitted, target, rank, _part(progress, ALTERNATIVE_FROM, 1), cavity)
    try:
        other = _search(alternative, fitted, target, first.setting.rank, _part(progress, ALTERNATIVE_FROM, 1), cavity)
    except TargetError:
        return first
    return max(first, other, key=lambda trial: trial.worth(target))


def _search(decoder: Decoder, fitted: FittedSegment, target: Target, rank: int | None,
            progress: Progress, cavity: Cavity | None) -> Trial:
    size = (fitted.frames.shape[1], fitted.frames.shape[2])
    tries = 0

    def run(setting: Setting) -> Trial:
        nonlocal tries
        tries += 1
        progress(FIT_SHARE + (1 - FIT_SHARE) * min(tries / USUAL_TRIES, 0.97), f"coding at rank {setting.rank}")
        components = dict(decoder.code(fitted, setting.rank, setting.q, final=setting.final))
        if cavity is not None and setting.rank:
            components[Component.VENTRICLE] = bytes(payload_bytes(setting.rank))  # its room; `_with_phase` fills it
        return Trial(setting, components, lambda: _measure(decoder, fitted.frames, size, setting, components))

    useful = fitted.extra.get("useful_rank", fitted.coeffs.shape[1])
    limit = min(useful if rank is None else rank, max(RANKS))
    return Search(run, limit, decoder.min_q).best(target, rank)


def _with_phase(decoder: Decoder, coded: CodedSegment, cavity: Cavity | None, frames: NDArray[np.uint8],
                times_s: NDArray[np.float64]) -> CodedSegment:
    """The segment with its phase component filled in, of the length that was kept free for it."""
    if cavity is None or Component.VENTRICLE not in coded.components:
        return coded
    size = (frames.shape[1], frames.shape[2])
    coeffs = decoder.restore(coded.components, len(frames), size, coded.rank, coded.q).coeffs
    direction = find_direction(cavity, coeffs, times_s)
    components = {key: value for key, value in coded.components.items() if key != Component.VENTRICLE}
    return replace(coded, components=components | ({Component.VENTRICLE: direction.pack()} if direction else {}))


def _measure(decoder: Decoder, frames: NDArray[np.uint8], size: tuple[int, int], setting: Setting,
             components: Mapping[int, bytes]) -> float:
    """Mean PSNR of a coded segment in dB, on a few frames while searching, on all of them at the end."""
    restored = decoder.restore(components, len(frames), size, setting.rank, setting.q)
    every = 1 if setting.final else max(1, len(frames) // PROBE_FRAMES)
    picked = frames[::every]
    step = max(1, BLOCK_VALUES // (size[0] * size[1]))
    rows = restored.coeffs[::every]
    values = [metrics.psnr_db(picked[a:a + step], to_uint8(decoder.render(restored, rows[a:a + step])))
              for a in range(0, len(picked), step)]
    return float(np.average(values, weights=[len(picked[a:a + step]) for a in range(0, len(picked), step)]))


def _part(progress: Progress, start: float, stop: float) -> Progress:
    return lambda fraction, label: progress(start + (stop - start) * fraction, label)


def _fit_progress(progress: Progress) -> Progress:
    return lambda fraction, label: progress(FIT_SHARE * fraction, label)


def _span_progress(progress: Progress, index: int, count: int) -> Progress:
    return lambda fraction, label: progress((index + fraction) / count, label)


def _report(data: bytes, clip: Clip, pack: Pack, decoder: Decoder, segments: Sequence[CodedSegment],
            fit_seconds: float, began: float) -> Report:
    decoded = LrmFile(data, decoder=decoder).frames()
    return Report(
        size_bytes=len(data), ratio=metrics.ratio(clip.frames.size, len(data)),
        psnr_db=metrics.psnr_db(clip.frames, decoded), ssim3d=metrics.ssim3d(clip.frames, decoded),
        rank=max(segment.rank for segment in segments), q=max(segment.q for segment in segments),
        frames=len(clip.frames), height=clip.frames.shape[1], width=clip.frames.shape[2], fps=clip.fps,
        segments=len(segments), pack=pack.name, fit_seconds=fit_seconds,
        encode_seconds=time.perf_counter() - began,
    )
