r"""Multi-frame ultrasound DICOM in. Needs the optional package pydicom.

Reading keeps technical facts only (modality, pixel spacing, transfer syntax), never a patient's data.

References are to DICOM PS3.3 and PS3.5, 2024.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MPEGTransferSyntaxes

from lrmcodec.formats.clip import DEFAULT_FPS, Clip, uniform_times
from lrmcodec.formats.errors import ClipError, LrmError
from lrmcodec.formats.frames import Frame, FrameCollector, Progress
from lrmcodec.formats.images import decode_picture
from lrmcodec.formats.stamps import UNKNOWN_RATE, times_from_stamps
from lrmcodec.formats.stream import decode_track

FRAME_TIME_VECTOR = Tag(0x0018, 0x1065)

STILL_DECODERS = {
    "1.2.840.10008.1.2.4.50": "mjpeg",  # JPEG baseline
    "1.2.840.10008.1.2.4.51": "mjpeg",  # JPEG extended
    "1.2.840.10008.1.2.4.57": "mjpeg",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "mjpeg",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "jpegls",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": "jpegls",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": "jpeg2000",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": "jpeg2000",  # JPEG 2000
}
"""FFmpeg decoders for transfer syntaxes that pydicom cannot decode with the packages at hand."""

_MORE_DECODERS = "More decoders come with: pip install python-gdcm 'pylibjpeg[all]'"

CENTIMETER = 3
"""Code of centimeters in the regions of an ultrasound picture (PS3.3 section C.8.5.5.1.15)."""


def read_dicom(path: str | Path, *, gray: bool = False) -> Clip:
    """Read one DICOM file; see `collect_dicom`, and `lrmcodec.formats.video.read_clip` for the rest."""
    with FrameCollector(str(path), gray=gray) as collector:
        return collect_dicom(Path(path), collector)


def collect_dicom(path: Path, collector: FrameCollector, progress: Progress | None = None) -> Clip:
    """Read all frames of a DICOM file into `collector`.

    Pictures of up to 8 bits keep their stored levels (MONOCHROME1 inverted). Deeper ones are shown through
    their first VOI window, after the modality rescale. Times come from FrameTime or FrameTimeVector, as the
    FrameIncrementPointer says, else from CineRate, RecommendedDisplayFrameRate or the video stream.

    Returns
    -------
    Clip
        With `source`, `modality`, `transfer_syntax`, `photometric`, `pixel_spacing_mm` [row, column],
        `window` [center, width], `lossy_ratios` and `lossy_methods` in the metadata, where the file has them.

    Raises
    ------
    ClipError
        When the file is no DICOM, has no pixels, is damaged, needs a decoder that is missing, has more than 8
        bits and no window, or contains color.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's may quote a patient's data
        header = _header(path)
        try:
            times, notes = _collect(path, header, collector, progress)
            frames = collector.finish()
        except LrmError:
            raise
        except Exception as error:
            # pydicom and its plugins raise errors of every kind on damaged pixels.
            reason = f"{type(error).__name__}: {_first_line(error)}"
            what = f"{path} holds pixels that cannot be decoded ({reason})."
            hint = "Check that the file is complete and opens in a viewer."
            if header.file_meta.TransferSyntaxUID.is_compressed:
                hint += f" {_MORE_DECODERS}"
            raise ClipError(what, hint) from error
        facts = _facts(header, frames.shape)
    for note in notes:
        collector.warn(note)
    return Clip(frames, times, facts, collector.warnings)


def _header(path: Path) -> Dataset:
    """Everything but the pixels."""
    try:
        # Some devices leave out the preamble: force, and see whether there is a picture.
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        if "Rows" not in header or "Columns" not in header:
            what = f"{path} is no DICOM file with a picture."
            raise ClipError(what, "Choose a multi-frame ultrasound file.")
        if "TransferSyntaxUID" not in header.file_meta:
            implicit, _ = header.original_encoding
            syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            header.file_meta.TransferSyntaxUID = syntax
    except (LrmError, OSError):
        raise
    except Exception as error:
        # The message is left out: it may quote a patient's data.
        what = f"{path} is not a readable DICOM file ({type(error).__name__})."
        raise ClipError(what, "Check that it is complete.") from error
    return header


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _collect(path: Path, header: Dataset, collector: FrameCollector,
             progress: Progress | None) -> tuple[NDArray[np.float64], list[str]]:
    """Gather the frames; return their times in seconds and warnings."""
    if header.file_meta.TransferSyntaxUID in MPEGTransferSyntaxes:
        return _collect_video(path, header, collector, progress)
    expected = int(header.get("NumberOfFrames") or 1)
    for picture in _pictures(path, header, collector.name):
        _add(picture, header, collector)
        if progress and collector.count % 16 == 0:
            progress(min(1.0, collector.count / expected), "reading")
    times = _header_times(header, collector.count)
    if times is None:
        unknown = [UNKNOWN_RATE] if collector.count > 1 else []
        return uniform_times(collector.count, DEFAULT_FPS), unknown
    return times, []


def _collect_video(path: Path, header: Dataset, collector: FrameCollector,
                   progress: Progress | None) -> tuple[NDArray[np.float64], list[str]]:
    """Decode an MPEG transfer syntax: all fragments together are one video stream (PS3.5 section 8.2.5)."""
    data = next(generate_frames(pydicom.dcmread(path, force=True).PixelData, number_of_frames=1))
    track = decode_track(io.BytesIO(data), collector, progress)
    times, warning = _header_times(header, collector.count), None
    if times is None:
        times, warning = times_from_stamps(track.stamps, track.tick, track.rates)
    expected = int(header.get("NumberOfFrames") or 0)
    if expected and expected != collector.count:
        collector.warn(f"the file promises {expected} frames, {collector.count} could be decoded")
    return times, [warning] if warning else []


def _pictures(path: Path, header: Dataset, name: str) -> Iterator[NDArray[Any]]:
    """Yield decoded pictures: (H, W) stored values, or (H, W, 3) RGB."""
    syntax = header.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if available:
        yield from _plain_pictures(path, header)
    elif syntax in STILL_DECODERS:
        yield from _still_pictures(path, header, name)
    else:
        what = f"{name} is compressed as {syntax.name}, which cannot be decoded here."
        raise ClipError(what, _MORE_DECODERS)


def _plain_pictures(path: Path, header: Dataset) -> Iterator[NDArray[Any]]:
    """Yield pictures that pydicom decodes, from the path so that it holds one frame at a time."""
    syntax = header.file_meta.TransferSyntaxUID
    if header.get("PhotometricInterpretation") != "YBR_FULL_422" or syntax.is_encapsulated:
        yield from iter_pixels(path, transfer_syntax_uid=syntax)
        return
    for i in range(int(header.get("NumberOfFrames") or 1)):
        # pydicom 3.0 forgets after the first frame that the stored chroma is halved: ask for each anew.
        yield from iter_pixels(path, transfer_syntax_uid=syntax, indices=[i])


def _still_pictures(path: Path, header: Dataset, name: str) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures that FFmpeg decodes: 8 bits, (H, W) or (H, W, 3) RGB."""
    codec = STILL_DECODERS[header.file_meta.TransferSyntaxUID]
    data = pydicom.dcmread(path, force=True).PixelData
    for i, still in enumerate(generate_frames(data, number_of_frames=int(header.get("NumberOfFrames") or 1))):
        picture = decode_picture(still, codec)
        if picture is None or not _is_trusted(picture, codec):
            what = f"{name}: frame {i} ({header.file_meta.TransferSyntaxUID.name}) cannot be decoded."
            raise ClipError(what, _MORE_DECODERS)
        if len(picture.format.components) == 1:
            yield np.asarray(picture.to_ndarray(format="gray"), np.uint8)
        elif header.PhotometricInterpretation == "RGB" and picture.format.name in ("yuv444p", "yuvj444p"):
            # JPEG does not say what its components are, and FFmpeg guesses wrong here.
            yield np.moveaxis(np.asarray(picture.to_ndarray(), np.uint8), 0, -1)
        else:
            yield np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)


def _is_trusted(picture: Any, codec: str) -> bool:
    """Whether FFmpeg's result is right: deep samples come out shifted, some color JPEG-LS comes out black."""
    parts = picture.format.components
    return all(part.bits <= 8 for part in parts) and (codec != "jpegls" or len(parts) == 1)


def _add(picture: NDArray[Any], header: Dataset, collector: FrameCollector) -> None:
    """Append one decoded picture as gray levels."""
    kind = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR":
        picture = apply_color_lut(picture, header)
        if picture.dtype == np.uint16:
            picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        levels = _levels(picture, header, collector.name)
        collector.add(255 - levels if kind == "MONOCHROME1" else levels)
    elif picture.dtype == np.uint8:
        collector.add_rgb(picture[..., :3])
    else:
        raise ClipError(f"{collector.name} holds color of {header.BitsStored} bits.", "Convert it to 8 bits.")


def _levels(stored: NDArray[Any], header: Dataset, name: str) -> Frame:
    """Gray levels of stored values: all of them up to 8 bits, through the window beyond; never wrapped."""
    bits, signed = int(header.BitsStored), int(header.get("PixelRepresentation") or 0)
    if bits <= 8 and "ModalityLUTSequence" not in header:
        low, high = (-(1 << bits >> 1), (1 << bits >> 1) - 1) if signed else (0, (1 << bits) - 1)
        rising = (stored.astype(np.float64) - low) / max(1, high - low)
        falls = float(header.get("RescaleSlope") or 1) < 0
        return _to_bytes(1 - rising if falls else rising)
    window = _window(header)
    if window is None:
        raise ClipError(f"{name} has {bits} bits a pixel and no window that says which levels to show.",
                        "Convert it to 8 bits, or store WindowCenter and WindowWidth.")
    function = str(header.get("VOILUTFunction") or "LINEAR")
    return _to_bytes(_windowed(np.asarray(apply_modality_lut(stored, header), np.float64), *window, function))


def _windowed(
    values: NDArray[np.float64], center: float, width: float, function: str
) -> NDArray[np.float64]:
    """Brightness of values through a window, 0 black to 1 white before clipping (PS3.3 C.11.2.1)."""
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def _to_bytes(brightness: NDArray[np.float64]) -> Frame:
    return np.rint(np.clip(brightness, 0, 1) * 255).astype(np.uint8)


def _window(header: Dataset) -> tuple[float, float] | None:
    """First VOI window (center, width), or None."""
    center, width = _first_number(header, "WindowCenter"), _first_number(header, "WindowWidth")
    return (center, width) if center is not None and width is not None and width > 0 else None


def _first_number(header: Dataset, keyword: str) -> float | None:
    values = _numbers(header, keyword)
    return values[0] if values else None


def _numbers(header: Dataset, keyword: str) -> list[float]:
    """All numbers of an element; empty when it is missing or no number."""
    value = header.get(keyword)
    if value is None or value == "":
        return []
    try:
        values = [float(v) for v in ([value] if isinstance(value, (str, float, int)) else value)]
    except (TypeError, ValueError):
        return []
    return values if np.isfinite(values).all() else []


def _header_times(header: Dataset, count: int) -> NDArray[np.float64] | None:
    """Frame times in seconds as the header gives them, or None (PS3.3 C.7.6.5 and C.7.6.6)."""
    steps = np.array(_numbers(header, "FrameTimeVector")[1:]) / 1000
    pointer = header.get("FrameIncrementPointer")
    frame_time = _first_number(header, "FrameTime") or 0.0
    points_elsewhere = frame_time > 0 and pointer and FRAME_TIME_VECTOR not in np.atleast_1d(pointer)
    if 1 < count == len(steps) + 1 and (steps > 0).all() and not points_elsewhere:
        return np.concatenate([[0.0], np.cumsum(steps)])
    if frame_time > 0:
        return uniform_times(count, 1000 / frame_time)
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = _first_number(header, keyword)
        if rate is not None and rate > 0:
            return uniform_times(count, rate)
    return None


def _facts(header: Dataset, shape: tuple[int, ...]) -> dict[str, Any]:
    """Technical facts for the metadata; a list of what is taken, so that nothing about a patient can be."""
    facts: dict[str, Any] = {
        "source": "dicom",
        "modality": str(header.get("Modality", "")),
        "transfer_syntax": str(header.file_meta.TransferSyntaxUID.name),
        "photometric": str(header.get("PhotometricInterpretation", "")),
    }
    spacing = _spacing_mm(header)
    if spacing is not None:
        scales = int(header.Rows) / shape[1], int(header.Columns) / shape[2]  # not 1 when resized
        facts["pixel_spacing_mm"] = [spacing[0] * scales[0], spacing[1] * scales[1]]
    window = _window(header)
    if window is not None:
        facts["window"] = list(window)
    ratios = _numbers(header, "LossyImageCompressionRatio")
    if ratios:
        facts["lossy_ratios"] = ratios
    methods = header.get("LossyImageCompressionMethod")
    if methods:
        facts["lossy_methods"] = [methods] if isinstance(methods, str) else [str(m) for m in methods]
    return facts


def _spacing_mm(header: Dataset) -> tuple[float, float] | None:
    """Millimeters between rows and between columns, from the image or its first region in centimeters."""
    spacing = _numbers(header, "PixelSpacing")
    if len(spacing) == 2:
        return spacing[0], spacing[1]
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        across, down = _first_number(region, "PhysicalDeltaX"), _first_number(region, "PhysicalDeltaY")
        if units == (CENTIMETER, CENTIMETER) and across and down:
            return abs(down) * 10, abs(across) * 10
    return None
