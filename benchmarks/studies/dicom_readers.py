"""DICOM sample files through this reader and through a second, independent one: `python -m ...dicom_readers`.

Prints the table of docs/inputs.md. Files are those that ship with pydicom and pydicom-data. The second reader is
DCMTK's dcmj2pnm, which shows pictures as a viewer would; where it does not know the compression (JPEG 2000), GDCM
decodes, in a process of its own, and pydicom's functions do the rest.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import luma
from lrmcodec.formats.video import read_clip

DCMTK = "dcmj2pnm"
GDCM = "GDCM"

Gray = NDArray[np.uint8]
"""Frames (T, H, W); masked arrays where a second reader has no say."""

_GDCM_SCRIPT = """
import sys, gdcm
reader = gdcm.ImageReader()
reader.SetFileName(sys.argv[1])
if not reader.Read():
    sys.exit(1)
image = reader.GetImage()
sys.stderr.write(str(image.GetPhotometricInterpretation()) + " " + str(image.GetPlanarConfiguration()))
sys.stdout.buffer.write(image.GetBuffer().encode("utf-8", "surrogateescape"))
"""


@dataclass(frozen=True)
class Comparison:
    """What became of one file.

    Attributes
    ----------
    name, syntax, kind : str
        The file, its transfer syntax, its photometric interpretation and bits.
    ours : str
        Number and size of frames, or why the file is refused.
    warnings : tuple of str
        What was said.
    reader : str
        Second reader, or '' when none can read the file.
    difference : int or None
        Largest difference of a level; None when one of the readers gave no pictures.
    """

    name: str
    syntax: str
    kind: str
    ours: str
    warnings: tuple[str, ...]
    reader: str
    difference: int | None


def sample_files() -> list[Path]:
    """Files with pictures that ship with pydicom and, where it is installed, pydicom-data."""
    folders = [Path(pydicom.__file__).parent / "data" / "test_files"]
    data = find_spec("data_store")
    if data is not None and data.origin:
        folders.append(Path(data.origin).parent / "data")
    return sorted((path for folder in folders for path in folder.glob("*.dcm") if _has_pictures(path)),
                  key=lambda path: path.name.lower())


def _has_pictures(path: Path) -> bool:
    dataset = _header(path)
    return "Rows" in dataset and "BitsAllocated" in dataset


def _header(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True, stop_before_pixels=True)


def compare(path: Path) -> Comparison:
    """Read one file twice."""
    header = _header(path)
    syntax = getattr(header.file_meta.get("TransferSyntaxUID"), "name", "not given").split(",")[0].split(" Image")[0]
    kind = f"{header.get('PhotometricInterpretation')}, {header.get('BitsStored')} bits"
    try:
        clip = read_clip(path, gray=True)
    except ClipError as error:
        reason = str(error).replace(f"{path}", "").lstrip(" :").split(". ")[0]
        return Comparison(path.name, syntax, kind, f"refused: {reason}", (), "", None)
    size = " x ".join(map(str, clip.frames.shape))
    reader, frames = second(path, header)
    difference = None
    if frames is not None and frames.shape == clip.frames.shape:
        difference = int(np.ma.abs(frames.astype(int) - clip.frames).max() or 0)
    elif frames is not None:
        difference = 255
    return Comparison(path.name, syntax, kind, size, clip.warnings, reader, difference)


def second(path: Path, header: Dataset) -> tuple[str, Gray | None]:
    """Frames (T, H, W) by a second reader and its name; ('', None) when none reads the file."""
    for name, read in ((DCMTK, _by_dcmtk), (GDCM, _by_gdcm)):
        frames = read(path, header)
        if frames is not None:
            return name, frames
    return "", None


def _by_dcmtk(path: Path, header: Dataset) -> Gray | None:
    """Pictures as a viewer shows them; it takes no notice of functional groups, and shows 1 bit half as bright."""
    if shutil.which(DCMTK) is None or "SharedFunctionalGroupsSequence" in header or header.BitsStored == 1:
        return None
    options = ["--no-overlays"]
    if header.get("VOILUTSequence"):
        options += ["+Wl", "1"]
    elif (header.get("BitsStored") or 8) > 8 and "WindowWidth" in header:
        options += ["+Wi", "1"]
    with tempfile.TemporaryDirectory() as folder:
        command = [DCMTK, "--write-raw-pnm", "--all-frames", *options, str(path), f"{folder}/x"]
        done = subprocess.run(command, capture_output=True, check=False)
        files = sorted(Path(folder).iterdir(), key=lambda file: [int(n) for n in file.name.split(".") if n.isdigit()])
        if done.returncode or not files:
            return None
        from_luma = str(header.PhotometricInterpretation).startswith("YBR")
        return np.ma.stack([_pnm(file.read_bytes(), from_luma) for file in files])


def _pnm(data: bytes, from_luma: bool) -> Gray:
    """Gray levels of a binary PGM or PPM picture; `from_luma` masks colors that a way from YCbCr has clipped."""
    kind, width, height, _ = data.split(maxsplit=4)[:4]
    samples = 3 if kind == b"P6" else 1
    size = int(width) * int(height) * samples
    pixels = np.frombuffer(data[len(data) - size :], np.uint8)
    if samples == 1:
        return pixels.reshape(int(height), int(width))
    rgb = pixels.reshape(int(height), int(width), 3)
    low, high = rgb.min(axis=2), rgb.max(axis=2)
    return np.ma.masked_where(from_luma & (low < high) & ((low == 0) | (high == 255)), luma(rgb))


def _by_gdcm(path: Path, header: Dataset) -> Gray | None:
    """Decode by GDCM and show by pydicom; without functional groups."""
    if find_spec("gdcm") is None or "SharedFunctionalGroupsSequence" in header or header.BitsStored == 1:
        return None
    done = subprocess.run([sys.executable, "-P", "-c", _GDCM_SCRIPT, str(path)], capture_output=True, check=False)
    if done.returncode or not done.stdout:
        return None
    space, planar = done.stderr.decode().split()[-2:]
    allocated, signed = int(header.BitsAllocated), int(header.get("PixelRepresentation") or 0)
    samples, count = int(header.SamplesPerPixel), int(header.get("NumberOfFrames") or 1)
    dtype = f"<{'i' if signed else 'u'}{allocated // 8}"
    pixels = np.frombuffer(done.stdout, dtype)
    if pixels.size != count * header.Rows * header.Columns * samples:
        return None
    if samples == 3:
        shape = (count, 3, header.Rows, header.Columns) if planar == "1" else (count, header.Rows, header.Columns, 3)
        color = pixels.reshape(shape)
        color = np.moveaxis(color, 1, 3) if planar == "1" else color
        return np.stack([frame[..., 0] if space.startswith("YBR_FULL") else luma(frame) for frame in color])
    return _shown(pixels.reshape(count, header.Rows, header.Columns), header)


def _shown(values: NDArray[np.generic], header: Dataset) -> Gray:
    """Levels of stored values by pydicom's functions."""
    if header.PhotometricInterpretation == "PALETTE COLOR":
        colors = apply_color_lut(values, header)
        return np.stack([luma((frame >> 8 if colors.dtype == np.uint16 else frame).astype(np.uint8))
                         for frame in colors])
    bits, signed = int(header.BitsStored), int(header.get("PixelRepresentation") or 0)
    low = -(1 << bits >> 1) if signed else 0
    high = low + (1 << bits) - 1
    shown = np.asarray(apply_modality_lut(values, header), np.float64)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    if header.get("VOILUTSequence"):
        shown, low, high, slope, intercept = apply_voi(values, header), 0, (1 << bits) - 1, 1, 0
    elif bits > 8:
        shown = apply_windowing(shown, header)
    bright = (shown - (low * slope + intercept)) / ((high - low) * slope)
    if header.PhotometricInterpretation == "MONOCHROME1":
        bright = 1 - bright
    return np.rint(np.clip(bright, 0, 1) * 255).astype(np.uint8)


def rows(files: list[Path]) -> Iterator[str]:
    """Lines of a table."""
    yield "| file | transfer syntax | pixels | frames x height x width, or why not | second reader | levels apart |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for path in files:
        found = compare(path)
        apart = "-" if found.difference is None else str(found.difference)
        yield f"| {found.name} | {found.syntax} | {found.kind} | {found.ours} | {found.reader or '-'} | {apart} |"


if __name__ == "__main__":
    for line in rows(sample_files()):
        print(line, flush=True)
