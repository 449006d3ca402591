r"""DICOM clips in. Needs the optional package pydicom.

Reading keeps technical facts only (modality, pixel spacing, transfer syntax), never a patient's data. The road of a
picture: `dicom_file` finds the pixels, `dicom_native` or `dicom_fragments` cuts them into frames, `dicom_pictures`
and `dicom_decode` decode them, `dicom_gray` makes gray levels of them. Times are the business of `dicom_times`.

References are to DICOM PS3.3 and PS3.5, 2024.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom.uid import MPEGTransferSyntaxes

from lrmcodec.formats.clip import DEFAULT_FPS, Clip, uniform_times
from lrmcodec.formats.dicom_file import DicomFile, open_dicom
from lrmcodec.formats.dicom_fragments import read_stream
from lrmcodec.formats.dicom_gray import GrayFrames
from lrmcodec.formats.dicom_header import Header
from lrmcodec.formats.dicom_image import ImageModule, read_image_module
from lrmcodec.formats.dicom_levels import read_window
from lrmcodec.formats.dicom_pictures import ANOTHER_COPY, decode_pictures
from lrmcodec.formats.dicom_remarks import remarks, without_quotes
from lrmcodec.formats.dicom_times import Timing, read_times
from lrmcodec.formats.errors import ClipError, LrmError
from lrmcodec.formats.frames import FrameCollector, Progress
from lrmcodec.formats.stamps import UNKNOWN_RATE, times_from_stamps
from lrmcodec.formats.stream import decode_track

CENTIMETER = 3
"""Code of centimeters in the regions of an ultrasound picture (PS3.3 section C.8.5.5.1.15)."""

VIDEO_STREAM = "video stream"
ASSUMED = "assumed"
"""Sources of frame times other than elements of the header."""


def collect_dicom(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read all frames of a DICOM file into `collector`.

    Pictures of up to 8 bits keep their stored levels (MONOCHROME1 inverted). Deeper ones are shown through their
    first VOI LUT or window, after the modality LUT or rescale. Times come from the elements that `dicom_times`
    lists, else from the video stream. docs/inputs.md says what happens to files that contradict themselves.

    Returns
    -------
    Clip
        With `source`, `modality`, `transfer_syntax`, `photometric`, `times_source`, `pixel_spacing_mm` [row, column],
        `pixel_aspect` (width over height of a pixel), `window` [center, width], `lossy_ratios` and `lossy_methods`
        in the metadata, where the file has them.

    Raises
    ------
    ClipError
        When the file is no DICOM, has no pixels, is damaged, needs a decoder that is missing, has more than 8
        bits and no window, or contains color.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with open_dicom(path, collector.name) as file:
                timing = _collect(file, collector, progress)
                frames = collector.finish()
                scales = [source / kept for source, kept in zip(collector.source_shape, frames.shape[1:], strict=True)]
                facts = _facts(file, scales)
        except (LrmError, OSError, MemoryError):
            raise
        except Exception as error:  # pydicom raises errors of every kind on damaged files
            reason = f"{type(error).__name__}: {without_quotes(str(error))}"
            what = f"{collector.name} holds pixels that cannot be decoded ({reason})."
            raise ClipError(what, ANOTHER_COPY) from error
    for text in remarks(caught):
        collector.warn(text)
    source = {"times_source": timing.source} if len(frames) > 1 else {}
    return Clip(frames, timing.times_s, {**facts, **source}, collector.warnings)


def _collect(file: DicomFile, collector: FrameCollector, progress: Progress | None) -> Timing:
    """Gather the frames; return their times."""
    image = read_image_module(file.headers.whole, file.name, file.pixels.keyword)
    if file.syntax in MPEGTransferSyntaxes:
        return _collect_video(file, image, collector, progress)
    shown = GrayFrames(file, image, collector)
    for picture in decode_pictures(file, image, collector.warn):
        shown.add(picture)
        if progress and collector.count % 16 == 0:
            progress(min(1.0, collector.count / image.frames) if image.frames else None, "reading")
    _compare_counts(file, image, collector)
    timing = read_times(file.headers, collector.count, collector.warn)
    if timing is not None:
        return timing
    if collector.count > 1:
        collector.warn(UNKNOWN_RATE)
    return Timing(ASSUMED, uniform_times(collector.count, DEFAULT_FPS))


def _collect_video(file: DicomFile, image: ImageModule, collector: FrameCollector,
                   progress: Progress | None) -> Timing:
    """Decode an MPEG transfer syntax."""
    track = decode_track(io.BytesIO(read_stream(file, collector.warn)), collector, progress)
    _compare_counts(file, image, collector)
    timing = read_times(file.headers, collector.count, collector.warn)
    if timing is not None:
        return timing
    times, warning = times_from_stamps(track.stamps, track.tick, track.rates)
    if warning:
        collector.warn(warning)
    return Timing(VIDEO_STREAM, times)


def _compare_counts(file: DicomFile, image: ImageModule, collector: FrameCollector) -> None:
    """Frames promised against frames found, both ways."""
    count = collector.count
    if image.frames is None and (count > 1 or file.headers.whole.has("NumberOfFrames")):
        collector.warn(f"NumberOfFrames is missing or makes no sense; {count} frames are stored")
    elif image.frames is not None and count != image.frames:
        what = "could be decoded" if count < image.frames else "are stored and were read"
        collector.warn(f"the file promises {image.frames} frames, {count} {what}")
    groups = len(file.headers.per_frame)
    if groups and groups != count:
        collector.warn(f"there are functional groups for {groups} frames, {count} were read")


def _facts(file: DicomFile, scales: Sequence[float]) -> dict[str, Any]:
    """Technical facts for the metadata; a list of what is taken, so that nothing about a patient can be.

    `scales` say by how much pixels were made larger, down and across, when frames were resized.
    """
    header = file.headers.frame(0)
    facts: dict[str, Any] = {
        "source": "dicom",
        "modality": header.code("Modality"),
        "transfer_syntax": str(file.syntax.name),
        "photometric": header.code("PhotometricInterpretation"),
    }
    spacing = _spacing_mm(header)
    if spacing is not None:
        facts["pixel_spacing_mm"] = [spacing[0] * scales[0], spacing[1] * scales[1]]
    aspect = header.numbers("PixelAspectRatio")
    if len(aspect) == 2 and min(aspect) > 0 and aspect[0] != aspect[1]:
        facts["pixel_aspect"] = aspect[1] / aspect[0]
    window = read_window(header)
    if window is not None:
        facts["window"] = [window.center, window.width]
    ratios = header.numbers("LossyImageCompressionRatio")
    if ratios:
        facts["lossy_ratios"] = ratios
    methods = header.codes("LossyImageCompressionMethod")
    if methods:
        facts["lossy_methods"] = methods
    return facts


def _spacing_mm(header: Header) -> tuple[float, float] | None:
    """Millimeters between rows and between columns, from the image or its first region in centimeters."""
    spacing = header.numbers("PixelSpacing")
    if len(spacing) == 2 and min(spacing) > 0:
        return spacing[0], spacing[1]
    for item in header.items("SequenceOfUltrasoundRegions"):
        region = Header([item])
        units = region.integer("PhysicalUnitsXDirection"), region.integer("PhysicalUnitsYDirection")
        across, down = region.number("PhysicalDeltaX"), region.number("PhysicalDeltaY")
        if units == (CENTIMETER, CENTIMETER) and across and down:
            return abs(down) * 10, abs(across) * 10
    return None
