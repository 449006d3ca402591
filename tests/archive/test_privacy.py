"""What an archive keeps and says about people: nobody is named unasked, and writing in the pixels is warned of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_source import PATIENT, write_source  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from lrmcodec.archive.entry import Entry  # noqa: E402
from lrmcodec.archive.home import open_archive  # noqa: E402
from lrmcodec.archive.manifest import Manifest  # noqa: E402
from lrmcodec.archive.policy import Policy, Target  # noqa: E402
from lrmcodec.archive.restore import restore  # noqa: E402
from lrmcodec.archive.workers import Workers  # noqa: E402

Make = Callable[..., Any]


@pytest.fixture
def source(tmp_path: Path) -> Any:
    """The header of a clip of a patient, with a name written above a flickering box."""
    rng = np.random.default_rng(0)
    picture = Image.new("L", (160, 120))
    ImageDraw.Draw(picture).text((2, 2), "MUELLER^HANS 4711", 220, ImageFont.load_default(12))
    frames = np.repeat(np.array(picture)[None], 8, axis=0)
    frames[:, 30:110, 30:130] = rng.normal(90, 25, (8, 80, 100)).clip(1, 255)
    return write_source(tmp_path / "in.dcm", frames, SequenceOfUltrasoundRegions=None)


def only_entry(place: Path) -> Entry:
    return next(iter(Manifest(open_archive(str(place)).store).entries()))


def restored(place: Path, folder: Path) -> bytes:
    """The restored DICOM object."""
    archive = open_archive(str(place))
    restore(archive, Manifest(archive.store).entries(), str(folder), "dicom", Workers())
    return next(folder.rglob("*.dcm")).read_bytes()


def named(data: bytes) -> list[str]:
    return [value for value in PATIENT.values() if len(value) > 2 and value.encode() in data]  # "S1" may be two pixels


def test_nobody_is_named_unasked(source: Any, tmp_path: Path, make: Make) -> None:
    make(tmp_path / "a", tmp_path / "in.dcm", policy=Policy(Target(quality=40)))
    for path in (tmp_path / "a").rglob("*"):
        assert path.is_dir() or not named(path.read_bytes()), path
    data = restored(tmp_path / "a", tmp_path / "out")
    assert not named(data)
    assert str(source.StudyInstanceUID).encode() not in data


def test_a_kept_study_comes_back(source: Any, tmp_path: Path, make: Make) -> None:
    make(tmp_path / "a", tmp_path / "in.dcm", policy=Policy(Target(quality=40), keep_study=True))
    restored(tmp_path / "a", tmp_path / "out")
    found = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert found.PatientName == PATIENT["PatientName"]
    assert found.StudyInstanceUID == source.StudyInstanceUID
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert found.LossyImageCompressionMethod == "LRMCODEC"


@pytest.mark.usefixtures("source")
def test_writing_is_warned_of(tmp_path: Path, make: Make) -> None:
    make(tmp_path / "a", tmp_path / "in.dcm", policy=Policy(Target(quality=40)))
    assert any("looks like text" in text for text in only_entry(tmp_path / "a").warnings)


@pytest.mark.usefixtures("source")
def test_masked_writing_is_gone(tmp_path: Path, make: Make) -> None:
    make(tmp_path / "a", tmp_path / "in.dcm", policy=Policy(Target(quality=40), mask="sector"))
    assert not any("looks like text" in text for text in only_entry(tmp_path / "a").warnings)
    restored(tmp_path / "a", tmp_path / "out")
    found = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert found.pixel_array[:, :18].max() < 20
    assert "set to 0" in found.DerivationDescription
