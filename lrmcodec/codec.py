"""The visible pipeline: a clip to the bytes of a .lrm file and back, at any times.

encode:  Clip -> segments -> segment.SegmentCoder -> container.pack_file -> bytes, measured as a reader decodes them
decode:  bytes -> reader.LrmFile (container.inspect_file, decoder.restore, timeline.coeffs_at, decoder.render) -> Clip
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lrmcodec import metrics
from lrmcodec.beside import usable_threads
from lrmcodec.decoders.base import Progress
from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack, make_decoder
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import (
    MAX_FRAMES,
    CodedClip,
    CodedSegment,
    PixelDigest,
    check_size,
    pack_file,
    segment_bytes,
)
from lrmcodec.formats.errors import ClipError, LrmError
from lrmcodec.formats.pack import Pack
from lrmcodec.rate import Likeness, Target, read_target
from lrmcodec.reader import LrmFile, open
from lrmcodec.segment import SegmentCoder, part_progress
from lrmcodec.tools import PICTURED, Tools

__all__ = ["Encoded", "LrmFile", "Report", "decode", "encode", "open"]

SEGMENT_FRAMES = 1024
SEGMENT_VALUES = 1 << 28
RAISES = 4
"""How often a file is made whose segments keep their floors and the whole does not, by windows that cross segments."""


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
    tool: str
    fit_seconds: float
    encode_seconds: float


@dataclass(frozen=True)
class Encoded:
    """A finished file in memory: `data`, its bytes, and `report`."""

    data: bytes
    report: Report

    def save(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Write whole or not at all; raises OutputError, also when `path` exists and `force` is false."""
        write_atomic(Path(path), self.data, force=force)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self.report)


def encode(clip: Clip, *, rank: int | None = None, ratio: float | None = None, size_bytes: int | None = None,
           psnr_db: float | None = None, quality: float | str | None = None, min_ssim: float | None = None,
           pack: str | PathLike[str] | Pack = DEFAULT_PACK, device: str = "auto",
           metadata: Mapping[str, Any] | None = None, study: bytes = b"", seed: int = 0, phase: bool = True,
           tool: str = "auto", max_error: int | None = None, threads: int | None = None,
           progress: Progress | None = None) -> Encoded:
    """Encode a clip.

    Parameters
    ----------
    clip : Clip
        Frames of 16 to 2048 pixels a side. They may be a memory map larger than memory; a segment of at most 2^28
        pixels is looked at at a time.
    rank : int, optional
        Number of basis pictures or coefficients a frame; by default the best one for the target is found.
    ratio, size_bytes, psnr_db, quality : optional
        At most one target: compression ratio of the whole file (never less), file size in bytes (never more; both
        mostly within 0.3 %, else within 3 %), mean PSNR in dB (at least), or quality 0 to 100 or one of `rate.LEVELS`
        (default 'review'), the smallest file that keeps the quality's floors of PSNR and SSIM3D (`rate.floors`). At a
        given rank a size may be missed from below by more, and a quality says only how finely pictures are quantized,
        as it does for packs with networks.
    min_ssim : float, optional
        Least SSIM3D, above 0 and below 1, alone or beside `psnr_db`: the smallest file that keeps it.
    pack : str, path or Pack
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
    tool : str
        'low-rank', 'video' (AV1 video, with coefficients beside it), or 'auto', whichever serves the target better.
    max_error : int, optional
        Instead of a target: no pixel is off by more than so many gray levels, 0 to 42; 0 is lossless. A digest of the
        frames goes into the file. Times are kept to half a microsecond, as always.
    threads : int, optional
        How many may be busy at a time; by default one a processor core. The file does not depend on it.
    progress : callable, optional
        Called with (fraction, label).

    Raises
    ------
    ClipError, TargetError, PackError, DeviceError
        On a clip out of the limits, a target that cannot be met, or a missing pack or device.
    """
    began = time.perf_counter()
    count = _segment_count(clip)
    chosen = pack if isinstance(pack, Pack) else find_pack(pack)
    decoder = make_decoder(chosen, device)
    tools = Tools(tool, max_error, usable_threads(threads))
    target = read_target(clip.frames.size, ratio, size_bytes, psnr_db, quality, min_ssim,
                         promised=rank is None and decoder.arch_id in PICTURED)
    tools.check(rank, decoder.arch_id, (ratio, size_bytes, psnr_db, quality, min_ssim))
    coder = SegmentCoder(decoder, rank, seed, phase, tools)
    shell = CodedClip(chosen.pack_id, decoder.arch_id, clip.frames.shape[1:], clip.times_s,
                      [CodedSegment(0, 0, {})] * count, metadata or {}, study, clip.warnings)
    for _ in range(RAISES):
        segments, fit_seconds = _code_segments(coder, clip, shell, target, progress or _silent)
        done = replace(shell, segments=segments)
        if max_error is not None:
            done = replace(done, digest=_digest(LrmFile(pack_file(done), decoder=decoder), clip, max_error))
        data = pack_file(done)
        report = _report(LrmFile(data, decoder=decoder), clip, chosen.name, fit_seconds, began)
        missing_db = target.missing_db(Likeness(report.psnr_db, report.ssim3d))
        if missing_db == 0:
            break
        target = target.raised(missing_db)
    return Encoded(data, report)


def decode(source: str | PathLike[str] | bytes | LrmFile, *, fps: float | None = None,
           times_s: ArrayLike | None = None, size: tuple[int, int] | None = None,
           start_s: float | None = None, duration_s: float | None = None, pack: str | PathLike[str] | None = None,
           device: str = "auto", rank: int | None = None, partial: bool = False) -> Clip:
    """Decode a .lrm file to a clip, at its own frame times, at `fps`, or at `times_s` (seconds, increasing).

    `size` (H, W) renders at another size; `start_s` and `duration_s` choose a span. Times of the clip returned
    begin at 0; its metadata and warnings are the file's, with `LrmFile.compression` and `LrmFile.missing`. `rank` and
    `partial`, for a source that is not open yet, and errors as in `open`; TargetError when times lie outside the clip.
    """
    file = source if isinstance(source, LrmFile) else open(source, pack=pack, device=device, rank=rank, partial=partial)
    wanted = file.select_times(fps=fps, times_s=times_s, start_s=start_s, duration_s=duration_s)
    metadata = {**file.metadata, **file.compression(wanted, size)}
    return Clip(file.frames(wanted, size), wanted - wanted[0], metadata, (*file.missing, *file.warnings))


def _code_segments(coder: SegmentCoder, clip: Clip, shell: CodedClip, target: Target,
                   progress: Progress) -> tuple[list[CodedSegment], float]:
    """Segments of a clip for the file `shell`, whose own are empty, and the seconds that fitting took.

    A size is shared out by length, and what a segment leaves goes to the next.
    """
    count = len(shell.segments)
    lengths = [stop - start for start, stop in shell.segment_bounds]
    used = len(pack_file(shell)) - sum(segment_bytes(segment) for segment in shell.segments)
    segments: list[CodedSegment] = []
    fit_seconds = 0.0
    for index, (start, stop) in enumerate(shell.segment_bounds):
        frames = np.ascontiguousarray(clip.frames[start:stop])
        segment, seconds = coder.code(frames, clip.times_s[start:stop], target.of_part(lengths, index, used),
                                      part_progress(progress, index / count, (index + 1) / count))
        segments.append(segment)
        used += segment_bytes(segment)
        fit_seconds += seconds
    return segments, fit_seconds


def _digest(file: LrmFile, clip: Clip, max_error: int) -> bytes:
    """Digest of the frames of a finished file, which must keep their bound.

    Raises
    ------
    LrmError
        When a pixel is off by more, which would be an encoder's fault.
    """
    digest, done = PixelDigest(), 0
    for block in file.blocks():
        original = clip.frames[done:done + len(block)].astype(np.int16)
        if np.abs(original - block).max() > max_error:
            raise LrmError(f"the video encoder did not keep a bound of {max_error} gray levels.",
                           "Install the versions of the constraints file.")
        digest.update(block)
        done += len(block)
    return digest.value()


def _segment_count(clip: Clip) -> int:
    """Segments of a clip, which must be within the format's limits."""
    count, height, width = clip.frames.shape
    check_size((height, width))
    if count > MAX_FRAMES:
        raise ClipError(f"the clip has {count} frames, at most {MAX_FRAMES} fit a file.", "Encode it in parts.")
    longest = max(1, min(SEGMENT_FRAMES, SEGMENT_VALUES // (height * width)))
    return int(-(-count // longest))


def _silent(fraction: float, label: str) -> None:
    """Progress that nobody watches."""


def _report(file: LrmFile, clip: Clip, pack: str, fit_seconds: float, began: float) -> Report:
    """Measure a finished file against its clip, block by block."""
    quality = metrics.compare(clip.frames, file.blocks())
    segments = file.coded.segments
    return Report(
        size_bytes=file.size_bytes, ratio=file.ratio, psnr_db=quality.psnr_db, ssim3d=quality.ssim3d,
        rank=file.rank, q=max(segment.q for segment in segments), frames=len(clip.frames), height=file.size[0],
        width=file.size[1], fps=clip.fps, segments=len(segments), pack=pack, tool=file.tool, fit_seconds=fit_seconds,
        encode_seconds=time.perf_counter() - began,
    )
