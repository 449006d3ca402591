"""A made set of echo studies: what lies on a hospital's disk, with made-up people and simulated pictures.

DICOM clips of several transfer syntaxes, videos, stills, reports, waveforms, color, broken files, and duplicates.
"""

from __future__ import annotations

import gc
import io
import shutil
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.fileset import FileSet
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import beating_heart

Frames = NDArray[np.uint8]

MULTIFRAME, STILL, REPORT, ECG, PDF = map(UID, (
    "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.104.1"))
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless,
            JPEGBaseline8Bit)
VIEWS = ("Apical four chamber", "Apical two chamber", "Parasternal long axis")
KINDS = ("heart", "lung", "video", "still", "report", "waveform", "color", "broken", "copy", "retagged", "other")
SHARES = (0.40, 0.12, 0.08, 0.10, 0.06, 0.03, 0.05, 0.05, 0.04, 0.05, 0.02)
SURNAME = "Mustermann"
"""Part of every patient's name, to look for where it must not be."""


@dataclass(frozen=True)
class Maker:
    """Size of the clips, and what the files are drawn from."""

    side: int
    frames: int
    rng: np.random.Generator
    hearts: tuple[Clip, ...]
    lungs: tuple[Clip, ...]


def make_set(folder: Path, count: int, *, side: int = 48, frames: int = 10, seed: int = 0, lungs: bool = True,
             bases: int = 8) -> dict[str, int]:
    """Make `count` files below a new folder; returns how many of each kind.

    `lungs` are simulated with torch; without them hearts stand in. Each clip is one of `bases` simulated ones with
    a gain and noise of its own.
    """
    hearts = tuple(beating_heart(frames, (side, side), 25.0, 60 + 8 * k, seed=seed + k) for k in range(bases))
    maker = Maker(side, frames, np.random.default_rng(seed), hearts,
                  _lungs(side, frames, seed, bases) if lungs else hearts)
    kinds = [kind for kind, share in zip(KINDS, SHARES, strict=True) for _ in range(max(1, round(share * count)))]
    kinds = ["heart"] * (count - len(kinds) + kinds.count("heart")) + [kind for kind in kinds if kind != "heart"]
    clips: list[Path] = []
    for index, kind in enumerate(kinds):
        study = folder / f"patient_{index % max(2, count // 12):03d}" / f"exam_{index % 2}"
        study.mkdir(parents=True, exist_ok=True)
        made = MAKERS[kind](maker, study, index, clips)
        if kind in ("heart", "lung"):
            clips.append(made)
    return {kind: kinds.count(kind) for kind in KINDS}


def add_zip(folder: Path, name: str) -> Path:
    """Put the first exam into a zip beside it."""
    exam = sorted(folder.glob("*/exam_0"))[0]
    target = folder / name
    with zipfile.ZipFile(target, "w") as opened:
        for file in sorted(exam.iterdir()):
            opened.write(file, f"exam/{file.name}")
    return target


def add_dicomdir(folder: Path, sources: list[Path]) -> Path:
    """Make a medium with a DICOMDIR from DICOM files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # pydicom leaves its temporary folder to the collector
        medium = FileSet()
        for source in sources:
            medium.add(source)
        medium.write(folder)
        del medium
        gc.collect()
    return folder / "DICOMDIR"


def person(path: Path, index: int) -> Dataset:
    """Header of a file of a made-up person's study: one person and study for each folder."""
    data, study = Dataset(), f"{path.parent.parent.name}/{path.parent.name}"
    number = zlib.crc32(study.encode()) % 1000
    data.PatientName, data.PatientID = f"{SURNAME}^Test{number}", f"ID-{SURNAME}-{number}"
    data.PatientBirthDate, data.PatientSex = "19500101", "O"
    data.StudyDate, data.StudyTime = f"2024{1 + number % 12:02d}15", "101500"
    data.StudyInstanceUID = generate_uid(entropy_srcs=[f"study {study}"])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[f"series {study} {index}"])
    data.SOPInstanceUID = generate_uid(entropy_srcs=[f"instance {study} {index}"])
    data.StudyID, data.AccessionNumber, data.ReferringPhysicianName = str(number), f"A{number}", "Doctor^Made"
    data.SeriesNumber, data.InstanceNumber = 1, index
    return data


def dicom_clip(path: Path, frames: Frames, index: int, *, syntax: Any = ExplicitVRLittleEndian, view: str = "",
               fps: float = 25.0) -> Path:
    """Write gray (T, H, W) or RGB (T, H, W, 3) frames as an ultrasound multi-frame image."""
    data = person(path, index)
    _put_pixels(data, frames)
    data.NumberOfFrames, data.FrameTime = len(frames), f"{1000 / fps:.6g}"
    data.FrameIncrementPointer = 0x00181063
    if view:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "G-A19C", "SRT", view
        data.ViewCodeSequence = [code]
    return _save(path, data, MULTIFRAME, syntax, frames)


def dicom_still(path: Path, frame: Frames, index: int) -> Path:
    """Write one gray frame (H, W) as an ultrasound image."""
    data = person(path, index)
    _put_pixels(data, frame[None])
    return _save(path, data, STILL, ExplicitVRLittleEndian, frame[None])


def _put_pixels(data: Dataset, frames: Frames) -> None:
    is_color = frames.ndim == 4
    data.Modality, data.ImageType = "US", ["ORIGINAL", "PRIMARY"]
    data.Rows, data.Columns = frames.shape[1:3]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if is_color else (1, "MONOCHROME2")
    if is_color:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0


def _save(path: Path, data: Dataset, sop_class: UID, syntax: Any, frames: Frames | None = None) -> Path:
    data.SOPClassUID = sop_class
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = sop_class, data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    if frames is not None and syntax == JPEGBaseline8Bit:
        data.PixelData = encapsulate([_jpeg(frame) for frame in frames])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.LossyImageCompression = "01"
    elif frames is not None:
        pixels = frames.tobytes()
        data.PixelData = pixels + b"\0" * (len(pixels) % 2)
        data["PixelData"].VR = "OW" if syntax == ImplicitVRLittleEndian else "OB"
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def _jpeg(frame: Frames) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "jpeg", quality=95)
    return buffer.getvalue() + b"\0" * (buffer.tell() % 2)


def _lungs(side: int, frames: int, seed: int, count: int) -> tuple[Clip, ...]:
    from lrmcodec.simulate.simulator import simulate

    return tuple(simulate("lus_like", seed + k, frame_count=frames, size=(side, side)).clip for k in range(count))


def _varied(maker: Maker, clip: Clip) -> Frames:
    """A clip with a gain and a little noise of its own."""
    gain, noise = maker.rng.uniform(0.8, 1.1), maker.rng.normal(0, 1.5, clip.frames.shape)
    return (clip.frames * gain + noise).clip(0, 255).astype(np.uint8)


def _heart(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    frames = _varied(maker, maker.hearts[index % len(maker.hearts)])
    name = f"IM{index:05d}" if index % 3 else f"IM{index:05d}.dcm"
    return dicom_clip(study / name, frames, index, syntax=SYNTAXES[index % len(SYNTAXES)],
                      view=VIEWS[index % len(VIEWS)])


def _lung(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    frames = _varied(maker, maker.lungs[index % len(maker.lungs)])
    return dicom_clip(study / f"LUS{index:05d}.dcm", frames, index, syntax=SYNTAXES[index % len(SYNTAXES)])


def _video(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    path = study / f"clip_{index:05d}{('.avi', '.mkv', '.npz')[index % 3]}"
    write_clip(Clip.from_fps(_varied(maker, maker.hearts[index % len(maker.hearts)]), 25.0), path)
    return path


def _still(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    frame = _varied(maker, maker.hearts[index % len(maker.hearts)])[0]
    if index % 2:
        path = study / f"still_{index:05d}.png"
        Image.fromarray(frame).save(path)
        return path
    return dicom_still(study / f"ST{index:05d}.dcm", frame, index)


def _report(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    data = person(study / "report", index)
    if index % 3 == 0:
        path = study / f"report_{index:05d}.txt"
        path.write_text(f"Ejection fraction {50 + index % 20} %. Test{index} {SURNAME}.\n", encoding="utf-8")
        return path
    data.Modality = "SR" if index % 3 == 1 else "DOC"
    if data.Modality == "SR":
        item = Dataset()
        item.ValueType, item.TextValue = "TEXT", f"Ejection fraction {50 + index % 20} %"
        data.ContentSequence = [item]
        return _save(study / f"SR{index:05d}.dcm", data, REPORT, ExplicitVRLittleEndian)
    data.EncapsulatedDocument, data.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4 made up ", "application/pdf"
    return _save(study / f"PDF{index:05d}.dcm", data, PDF, ExplicitVRLittleEndian)


def _waveform(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    data, wave = person(study / "waveform", index), Dataset()
    data.Modality = "ECG"
    wave.NumberOfWaveformChannels, wave.NumberOfWaveformSamples, wave.SamplingFrequency = 1, 100, "250"
    wave.WaveformBitsAllocated, wave.WaveformSampleInterpretation = 16, "SS"
    wave.WaveformData = (1000 * np.sin(np.arange(100) / 5)).astype("<i2").tobytes()
    wave["WaveformData"].VR = "OW"
    data.WaveformSequence = [wave]
    return _save(study / f"ECG{index:05d}.dcm", data, ECG, ExplicitVRLittleEndian)


def _color(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    gray = _varied(maker, maker.hearts[index % len(maker.hearts)])
    frames = np.repeat(gray[..., None], 3, axis=3)
    half = maker.side // 2
    frames[:, half // 2:half, half // 2:half] = (200, 30, 20)
    return dicom_clip(study / f"DOP{index:05d}.dcm", frames, index)


def _broken(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    """Cut off in the pixels, in the header, garbage, or empty."""
    whole = _heart(maker, study, 3 * len(SYNTAXES) * index, clips)
    data = whole.read_bytes()
    whole.unlink()
    kind = index % 4
    path = study / f"broken_{index:05d}{'.avi' if kind == 2 else '.dcm'}"
    path.write_bytes((data[:len(data) * 2 // 3], data[:300], maker.rng.bytes(2000), b"")[kind])
    return path


def _copy(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    """The same file under another name."""
    path = study / f"copy_{index:05d}.dcm"
    shutil.copyfile(clips[index % len(clips)], path)
    return path


def _retagged(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    """The same pixels under another person's tags."""
    data = pydicom.dcmread(clips[index % len(clips)])
    path = study / f"again_{index:05d}.dcm"
    data.update(person(path, index))
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def _other(maker: Maker, study: Path, index: int, clips: list[Path]) -> Path:
    path = study / f"settings_{index:05d}.bin"
    path.write_bytes(maker.rng.bytes(500) * 4)
    return path


MAKERS: dict[str, Callable[[Maker, Path, int, list[Path]], Path]] = {
    "heart": _heart, "lung": _lung, "video": _video, "still": _still, "report": _report, "waveform": _waveform,
    "color": _color, "broken": _broken, "copy": _copy, "retagged": _retagged, "other": _other,
}


def files_below(folder: Path) -> Iterator[Path]:
    """All files, in order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
