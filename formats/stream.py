"""Clips in from video containers, through PyAV (FFmpeg): every frame, its time, and what is not as promised."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av

from lrmcodec.formats.clip import Clip, is_plausible
from lrmcodec.formats.cropping import asked_part
from lrmcodec.formats.ending import CUT_OFF, is_cut_off
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.ffmpeg_log import FfmpegLog, ffmpeg_log, reason
from lrmcodec.formats.frames import FrameCollector, Progress
from lrmcodec.formats.kinds import CONVERT, HEAD_BYTES, is_video
from lrmcodec.formats.pixels import gray_levels
from lrmcodec.formats.stamps import times_from_stamps
from lrmcodec.formats.stream_write import SIZE_NOTE

DEMUXERS = ("avi,matroska,webm,mov,mp4,mpeg,mpegts,mpegvideo,h264,hevc,m4v,mjpeg,gif,apng,flv,asf,ogg,mxf,dv,ivf,nut,"
            "yuv4mpegpipe,png_pipe,jpeg_pipe,jpegls_pipe,j2k_pipe,bmp_pipe,pgm_pipe,ppm_pipe")
"""What is accepted as a video. FFmpeg alone would draw text files as terminal screens, and follow play lists
to other files and hosts."""

MARK_RATE = Fraction(7919, 1000)
"""Frames a second that FFmpeg is told to assume where a raw stream has no rate, so that we see that it has none."""

RAW = ("h264", "hevc", "m4v", "mpegvideo", "mjpeg")
"""Demuxers of bare streams; together with those of single pictures they assume a rate where there is none."""

STILL_CODECS = ("mjpeg", "png")
"""Codecs whose pictures stand alone and may say by Exif how they are held."""

HIDING_CODECS = ("vp8", "vp9", "av1", "mpeg4", "msmpeg4v3")
"""Codecs with packets that show no picture of their own, so that packets say nothing about frames."""

_SYSTEM_ERRORS = frozenset({errno.ENOENT, errno.EACCES, errno.EIO, errno.EISDIR, errno.ENOMEM, errno.EMFILE})
"""Failures of the machine rather than of the file."""

JPEG_SEARCH_BYTES = 1 << 24
"""Where the second of a row of JPEG pictures must begin."""

MICROSECOND = Fraction(1, 1_000_000)

Source = str | IO[bytes]
"""An address of FFmpeg's, or an open file."""


@dataclass
class Track:
    """A decoded video track: time stamps of the frames, what is known about them, height and width as coded."""

    tick: Fraction
    rates: tuple[Fraction, ...]
    stamps: list[int | None] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)


@dataclass
class _Tally:
    """Packets of a track: with a picture, failed, repeating the picture before, hidden by an edit list."""

    whole: int = 0
    failed: int = 0
    empty: int = 0
    hidden: int = 0


def read_video(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Decode a video file.

    Damage in the middle does not lose the rest: frames that decode are kept, and warnings say what FFmpeg noticed (it
    does not notice damage to pictures without checksums whose headers are whole).

    Raises
    ------
    ClipError
        When the file is no video, holds no frame that can be decoded, changes its size, has color, or samples of more
        than 8 bits that nothing says how to show.
    """
    with path.open("rb") as file:
        if is_cut_off(file, path.stat().st_size):
            collector.warn(CUT_OFF)
        # "file:" keeps FFmpeg from taking a name with a colon for the address of a stream.
        track = decode_track(f"file:{path.resolve()}" if _is_text(path) else file, collector, progress)
        frames = collector.finish()
        if part := asked_part(file, track.size):
            collector.warn(f"the file asks to show a part of the picture ({part}): it was read whole")
    times, warning = times_from_stamps(track.stamps, track.tick, track.rates)
    if warning:
        collector.warn(warning)
    return Clip(frames, times, {"source": "video", **track.facts}, collector.warnings)


def _is_text(path: Path) -> bool:
    """Whether FFmpeg can be told the name; bytes that are no UTF-8 it does not take."""
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_track(source: Source, collector: FrameCollector, progress: Progress | None = None) -> Track:
    """Decode the longest video track of `source` into `collector`.

    Raises
    ------
    ClipError
        As `read_video`.
    """
    with ffmpeg_log() as log:
        index = _longest(source, collector)
        with closing(_open(source, collector.name)) as container:
            track = _decode(container, container.streams.video[index], collector, progress, log)
    for sentence in log.sentences:
        collector.warn(sentence)
    return track


def _open(source: Source, name: str) -> Any:
    options = {"format_whitelist": DEMUXERS, "framerate": str(MARK_RATE), "min_delay": "0", "default_delay": "0"}
    try:
        container = av.open(source, format=_demuxer(source), options=options)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None and error.errno in _SYSTEM_ERRORS:
            raise
        raise _unreadable(source, name, reason(error)) from error
    if not container.streams.video:
        container.close()
        raise ClipError(f"{name} holds no video track.", "Choose a file with pictures.")
    return container


def _begin(source: Source, count: int) -> bytes:
    """First `count` bytes; an open file is put back to its beginning."""
    if isinstance(source, str):
        with Path(source.removeprefix("file:")).open("rb") as file:
            return file.read(count)
    source.seek(0)
    head = source.read(count)
    source.seek(0)
    return head


def _demuxer(source: Source) -> str | None:
    """Name of the demuxer where FFmpeg would choose wrongly: it reads the first JPEG of a row of them alone."""
    if _begin(source, 3) != b"\xff\xd8\xff":
        return None
    return "mjpeg" if b"\xff\xd9\xff\xd8\xff" in _begin(source, JPEG_SEARCH_BYTES) else None


def _unreadable(source: Source, name: str, why: str) -> ClipError:
    """Tell a damaged file from one of another kind."""
    if is_video(_begin(source, HEAD_BYTES)):
        return ClipError(f"{name} is damaged ({why}).", "Check that the file is complete and plays elsewhere.")
    return ClipError(f"{name} is of no kind that is read.", CONVERT)


def _longest(source: Source, collector: FrameCollector) -> int:
    """Which of the video tracks has the most packets; the others are named in warnings."""
    with closing(_open(source, collector.name)) as container:
        tracks = container.streams.video
        if len(tracks) == 1:
            return 0
        counts = [0] * len(tracks)
        place = {track.index: i for i, track in enumerate(tracks)}
        for packet in _packets(container, tracks, None):
            counts[place[packet.stream.index]] += 1
        longest = counts.index(max(counts))
        for i, (track, count) in enumerate(zip(tracks, counts, strict=True)):
            if i != longest:
                collector.warn(f"picture stream {i + 1} of {len(tracks)} was not read: {_words(track)}, "
                               f"{count} packets")
    return longest


def _words(track: Any) -> str:
    context = track.codec_context
    return f"{context.name}, {context.height} x {context.width} pixels" if context else "of unknown coding"


def _packets(container: Any, tracks: Any, log: FfmpegLog | None) -> Iterator[Any]:
    """Packets up to the end of the file, or to damage behind which nothing can be read; FFmpeg's log tells of that."""
    packets = container.demux(tracks)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            if isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS:
                raise
            return
        if log is not None:
            log.drain()
        if packet.size or packet.pts is not None or packet.dts is not None:  # others only mark the end
            yield packet


def _decode(container: Any, stream: Any, collector: FrameCollector, progress: Progress | None,
            log: FfmpegLog) -> Track:
    if stream.codec_context is None:
        raise ClipError(f"{collector.name} holds pictures in a coding that FFmpeg does not know.", CONVERT)
    # Unknown rates are None in PyAV 18 and other falsy objects in 19.
    rates = [Fraction(r) for r in (stream.average_rate, stream.guessed_rate) if r]
    track = Track(Fraction(stream.time_base or MICROSECOND), tuple(r for r in rates if not _is_mark(r, container)))
    crop = _noted_size(container.metadata.get("comment", ""))
    promised = _promised(container, stream)
    # Threads that decode frames side by side lose those that are under way when one is damaged.
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    tally, corrupt = _Tally(), 0
    for frame, packet in _frames(container, stream, tally, log):
        if not track.stamps:
            track.facts, track.size = _facts(container, stream, frame), (frame.height, frame.width)
        _collect(frame, packet, collector, crop)
        track.stamps.append(frame.pts)
        corrupt += frame.is_corrupt
        if progress and collector.count % 16 == 0:
            progress(min(1.0, collector.count / promised) if promised else None, "reading")
    if _is_invented(container, stream, track):
        track.rates, track.stamps = (), [None] * len(track.stamps)
    if container.format.name == "avi" and track.stamps and track.stamps[-1] is not None:
        # Empty chunks show the picture before once more: FFmpeg counts them in time stamps and gives no packet.
        tally.empty += max(0, track.stamps[-1] + 1 - tally.whole - tally.failed)
    _warn_of_counts(collector, tally, promised, corrupt, stream.codec_context.name)
    _warn_of_duration(container, stream, track, collector)
    return track


def _frames(container: Any, stream: Any, tally: _Tally, log: FfmpegLog) -> Iterator[tuple[Any, Any]]:
    """All frames by decoding from the start, each with the packet that brought it out; packets are counted."""
    for packet in _packets(container, stream, log):
        if not packet.size:
            tally.empty += 1  # AVI: show the picture before once more; FFmpeg would take it for the end
            continue
        if packet.is_discard:
            tally.hidden += 1
        try:
            frames = packet.decode()
            tally.whole += 1
        except av.FFmpegError:
            tally.failed += 1
            continue
        yield from ((frame, packet) for frame in frames)
    try:
        yield from ((frame, None) for frame in stream.codec_context.decode(None))
    except av.EOFError:
        pass
    except av.FFmpegError:
        tally.failed += 1


def _promised(container: Any, stream: Any) -> int:
    """Pictures that the file says it holds; 0 where it does not say.

    In mp4 and mov an edit list may leave pictures out or show them twice: what it leaves counts.
    """
    if "mov" in container.format.name and len(stream.index_entries):
        return len(stream.index_entries)
    told = next((text for key, text in stream.metadata.items() if key.startswith("NUMBER_OF_FRAMES")), "")
    return int(stream.frames) or (int(told) if told.isdecimal() else 0)


def _warn_of_counts(collector: FrameCollector, tally: _Tally, promised: int, corrupt: int, codec: str) -> None:
    found = collector.count + tally.empty + tally.hidden
    packets = tally.whole + tally.failed
    if corrupt:
        collector.warn(f"frames damaged in part: {corrupt}")
    if tally.failed:
        collector.warn(f"damaged packets left out: {tally.failed}")
    if found < promised:
        collector.warn(f"the file promises {promised} frames, {found} could be decoded")
    elif found > promised > 0:
        collector.warn(f"the file promises {promised} frames, {found} were found and read")
    elif not promised and collector.count + tally.hidden < tally.whole and codec not in HIDING_CODECS:
        collector.warn(f"the file holds {packets} coded pictures, {collector.count + tally.hidden} could be decoded")


def _warn_of_duration(container: Any, stream: Any, track: Track, collector: FrameCollector) -> None:
    """Compare the end that Matroska notes for a track, which has no count, with the last picture's."""
    promised = _seconds(next((text for key, text in stream.metadata.items() if key.startswith("DURATION")), ""))
    stamps = [stamp for stamp in track.stamps if stamp is not None]
    if promised and len(stamps) > 1 and "matroska" in container.format.name:
        interval = (max(stamps) - min(stamps)) / (len(stamps) - 1)
        end = float((max(stamps) + interval) * track.tick)
        if promised - end > 1.5 * interval * track.tick:
            collector.warn(f"the file promises {promised:.3f} s, its pictures end at {end:.3f} s")


def _seconds(text: str) -> float:
    """Seconds of a duration in the form 00:00:01.600000000; 0 for other texts."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3]) if match else 0.0


def _is_mark(rate: Fraction, container: Any) -> bool:
    return _assumes_rates(container) and abs(rate / MARK_RATE - 1) < Fraction(1, 500)


def _assumes_rates(container: Any) -> bool:
    return container.format.name in RAW or container.format.name.endswith("_pipe")


def _is_invented(container: Any, stream: Any, track: Track) -> bool:
    """Whether FFmpeg made the times up: no rate in a raw stream, no delays in a GIF."""
    if container.format.name == "gif":
        return not stream.average_rate
    return _assumes_rates(container) and not any(map(is_plausible, track.rates))


def _collect(frame: Any, packet: Any, collector: FrameCollector, crop: tuple[int, int] | None) -> None:
    """Append one frame."""
    alone = packet is not None and packet.stream.codec_context.name in STILL_CODECS
    gray = gray_levels(frame, collector, bytes(packet) if alone else b"")
    if crop is not None and _pads(crop, gray.shape):
        gray = gray[: crop[0], : crop[1]]
    collector.add(gray)


def _noted_size(comment: str) -> tuple[int, int] | None:
    pattern = SIZE_NOTE.format(height=r"(\d{1,5})", width=r"(\d{1,5})")
    match = re.fullmatch(pattern, comment)
    return (int(match[1]), int(match[2])) if match else None


def _pads(size: tuple[int, int], shape: tuple[int, ...]) -> bool:
    """Whether a picture of `shape` is one of `size` padded to even numbers."""
    return shape == (size[0] + size[0] % 2, size[1] + size[1] % 2)


def _facts(container: Any, stream: Any, frame: Any) -> dict[str, Any]:
    facts = {
        "container": container.format.name.split(",")[0],
        "codec": stream.codec_context.name,
        "pixel_format": frame.format.name,
    }
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        facts["pixel_aspect"] = float(aspect)
    return facts
