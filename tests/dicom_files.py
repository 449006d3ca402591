"""DICOM clips as all kinds of devices write them, for several test modules."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
MPEG2 = "1.2.840.10008.1.2.4.100"
H264 = "1.2.840.10008.1.2.4.102"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)


def ramp(count: int = 5, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """A moving pattern of levels 0 to 255."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + k / 3) * np.cos(y / 11) for k in range(count)]
    return np.rint(127.5 + 127.5 * np.array(waves)).astype(np.uint8)


def in_color(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) with a colored box of 200, 30, 30 in the middle of gray ones."""
    rgb = np.repeat(gray[..., None], 3, axis=3)
    height, width = gray.shape[1:]
    rgb[:, height // 4 : height // 2, width // 4 : width // 2] = 200, 30, 30
    return rgb


def base_dataset(shape: tuple[int, ...], bits: int, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """The header of (T, H, W) or (T, H, W, 3) pixels, with a patient."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.SOPClassUID = ULTRASOUND_MULTIFRAME
    dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^Jane", "4711", "US"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = shape[:3]
    dataset.SamplesPerPixel = 3 if len(shape) == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if len(shape) == 4 else "MONOCHROME2"
    if len(shape) == 4:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    return dataset


def save(path: Path, dataset: Dataset, **elements: Any) -> Path:
    """Write a data set with elements set by keyword, or removed where they are `...`."""
    for keyword, value in elements.items():
        if value is ...:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def make(path: Path, pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **elements: Any) -> Path:
    """Write an uncompressed file: (T, H, W) or (T, H, W, 3) pixels, elements by keyword."""
    bits = pixels.dtype.itemsize * 8
    dataset = base_dataset(pixels.shape, bits, syntax)
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.astype(pixels.dtype.newbyteorder("<" if UID(syntax).is_little_endian else ">")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return save(path, dataset, **elements)


def make_compressed(path: Path, shape: tuple[int, ...], syntax: str, frames: list[bytes], *, bits: int = 8,
                    table: bool = True, **elements: Any) -> Path:
    """Write an encapsulated file, a fragment each of `frames`, with or without a basic offset table."""
    dataset = base_dataset(shape, bits, syntax)
    dataset.PixelData = encapsulate(frames, has_bot=table)
    dataset["PixelData"].VR = "OB"
    return save(path, dataset, **elements)


def stills(pictures: NDArray[np.uint8], codec: str, pixel_format: str, **options: str) -> list[bytes]:
    """Pictures encoded by one of FFmpeg's encoders for stills."""
    result = []
    for picture in pictures:
        context: Any = av.CodecContext.create(codec, "w")
        context.height, context.width = picture.shape[:2]
        context.pix_fmt = pixel_format
        context.time_base, context.framerate, context.options = Fraction(1, 25), Fraction(25), options
        kind = "gray" if picture.ndim == 2 else "rgb24"
        frame = av.VideoFrame.from_ndarray(picture, kind).reformat(format=pixel_format)
        result.append(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))
    return result


def stream(pictures: NDArray[np.uint8], codec: str, container: str, pixel_format: str = "yuv420p") -> bytes:
    """Pictures as a video of 25 frames a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        track: Any = file.add_stream(codec, rate=25)
        track.height, track.width = pictures.shape[1:3]
        track.pix_fmt, track.bit_rate = pixel_format, 8_000_000
        for picture in pictures:
            kind = "gray" if picture.ndim == 2 else "rgb24"
            file.mux(track.encode(av.VideoFrame.from_ndarray(picture, kind).reformat(format=pixel_format)))
        file.mux(track.encode(None))
    return buffer.getvalue()


def jpegs(pictures: NDArray[np.uint8], *, jfif: bool = True, subsampling: int = 0, **options: Any) -> list[bytes]:
    """Pictures as JPEG of quality 95, color as YCbCr; without JFIF nothing says which color space it is."""
    found = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=95, subsampling=subsampling, **options)
        data = buffer.getvalue()
        found.append(data if jfif else data[:2] + data[4 + struct.unpack(">H", data[4:6])[0] :])
    return found


def lossless_jpeg(samples: NDArray[Any], bits: int = 8) -> bytes:
    """A picture (H, W) or (H, W, n) as lossless JPEG of first-order prediction, all codes 5 bits long."""
    planes = samples.reshape(*samples.shape[:2], -1).astype(np.int64)
    height, width, count = planes.shape
    predicted = np.roll(planes, 1, axis=1)
    predicted[1:, 0], predicted[0, 0] = planes[:-1, 0], 1 << (bits - 1)
    words = []
    for difference in (planes - predicted).ravel().tolist():
        size = abs(difference).bit_length()
        words.append(f"{size:05b}")
        if size:
            words.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    code = "".join(words)
    code += "1" * (-len(code) % 8)
    scan = int(code, 2).to_bytes(len(code) // 8, "big").replace(b"\xff", b"\xff\0")
    ids = range(1, count + 1)
    table = b"\xff\xc4" + struct.pack(">HB", 36, 0) + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    frame = b"\xff\xc3" + struct.pack(">HBHHB", 8 + 3 * count, bits, height, width, count)
    frame += b"".join(bytes([i, 0x11, 0]) for i in ids)
    head = b"\xff\xda" + struct.pack(">HB", 6 + 2 * count, count) + b"".join(bytes([i, 0]) for i in ids) + b"\1\0\0"
    return b"\xff\xd8" + table + frame + head + scan + b"\xff\xd9"


def rle(planes: list[NDArray[Any]]) -> bytes:
    """Byte planes as an RLE frame, all of it in literal runs (PS3.5 annex G)."""
    segments = []
    for plane in planes:
        data = plane.astype(np.uint8).tobytes()
        runs = [data[i : i + 128] for i in range(0, len(data), 128)]
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [64 + sum(map(len, segments[:i])) for i in range(len(segments))]
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def item(**elements: Any) -> Dataset:
    """A data set of elements by keyword, for sequences."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def small_files(folder: Path) -> list[Path]:
    """Small files of many syntaxes and kinds of pixels, written into a folder."""
    gray = ramp(4, 24, 32)
    color = np.repeat(gray[..., None], 3, axis=3)
    deep: dict[str, Any] = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "2048", "WindowWidth": "4096"}
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        palette[f"{name}PaletteColorLookupTableData"] = bytes(range(256))
    groups = [item(FrameContentSequence=[item(FrameAcquisitionDateTime=f"2024010112000{i}")]) for i in range(4)]
    j2k = stills(gray, "jpeg2000", "gray", pred="dwt53", format="j2k")
    return [
        make(folder / "a", gray, FrameTime="20"),
        make(folder / "b", gray.astype(np.uint16) * 16, BIG_ENDIAN, CineRate="30", **deep),
        make(folder / "c", gray.astype(np.uint16) * 16, PerFrameFunctionalGroupsSequence=groups, **deep),
        make(folder / "d", gray, DEFLATED, FrameTimeVector=[0, 20, 20, 20]),
        make(folder / "e", gray, **palette),
        make_compressed(folder / "f", color.shape, JPEG_BASELINE, jpegs(color),
                        PhotometricInterpretation="YBR_FULL_422"),
        make_compressed(folder / "g", gray.shape, JPEG_LOSSLESS_SV1, list(map(lossless_jpeg, gray))),
        make_compressed(folder / "h", gray.shape, JPEG_LS, stills(gray, "jpegls", "gray")),
        make_compressed(folder / "i", gray.shape, JPEG_2000, j2k, table=False),
        make_compressed(folder / "j", gray.shape, RLE, [rle([frame]) for frame in gray]),
        make_compressed(folder / "k", color.shape, H264, [stream(gray, "libx264", "h264")]),
    ]
