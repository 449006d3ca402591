"""Golden files: every file of a released version decodes, coefficients exactly and pixels within one gray level.

Made by make_golden.py, read-only since, never deleted; a missing one fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.cardiac.direction import Direction, read_direction
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.codec import LrmFile
from lrmcodec.formats.container import Component
from lrmcodec.formats.entropy import decode_ints

GOLDEN = Path(__file__).parent / "golden"
SPATIAL = ["v1_spatial_even", "v1_spatial_uneven", "v1_spatial_still"]
PARTS = {"v1_spatial_parts": (2, 3), "v1_spatial_fine": (1, 3), "v1_spatial_fine_parts": (2, 3),
         "v1_grid_siren_parts": (2, 4), "v1_framewise_parts": (2, 6), "v1_autoencoder_parts": (2, 3)}
SECOND = {"v2_spatial_even": (1, 3), "v2_spatial_uneven": (2, 2), "v2_grid_siren_parts": (2, 4),
          "v2_wavelet": (1, 3), "v2_wavelet_parts": (2, 2), "v2_gated_siren": (1, 4), "v2_gated_siren_parts": (2, 4),
          "v2_refined": (1, 3), "v2_refined_parts": (2, 2)}
BEATS = {"v1_phase": (1, 8), "v1_ventricle": (1, 8), "v2_heart": (1, 8)}  # three beats
NAMES = [*SECOND, *SPATIAL, "v1_grid_siren", "v1_framewise", "v1_autoencoder", *PARTS, *BEATS]
NOTE = {"source": "phantom", "spacing_mm": [0.5, 0.25], "note": "größer"}
METADATA = {"v1_spatial_uneven": NOTE, "v2_spatial_uneven": NOTE}
SHAPES = {"v1_spatial_even": (1, 3), "v1_spatial_uneven": (2, 2), "v1_spatial_still": (1, 0),
          "v1_grid_siren": (1, 4), "v1_framewise": (1, 6), "v1_autoencoder": (1, 3), **PARTS, **SECOND, **BEATS}

every_file = pytest.mark.parametrize("name", NAMES)


def load(name: str) -> tuple[LrmFile, dict[str, NDArray[Any]]]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return codec.open(GOLDEN / f"{name}.lrm", device="cpu"), dict(arrays)


@every_file
def test_the_header_is_read(name: str) -> None:
    file, expected = load(name)
    assert (len(file.coded.segments), file.rank) == SHAPES[name]
    assert (file.size, file.metadata) == ((32, 32), METADATA.get(name, {}))
    np.testing.assert_allclose(file.times_s, expected["times_s"], rtol=0, atol=1e-9)


@every_file
def test_the_integers_are_exact(name: str) -> None:
    file, expected = load(name)
    for index, (segment, (start, stop)) in enumerate(
            zip(file.coded.segments, file.coded.segment_bounds, strict=True)):
        payload = segment.components.get(Component.COEFFS, b"")
        integers = decode_ints(payload, (segment.rank, stop - start))
        np.testing.assert_array_equal(integers, expected[f"integers_{index}"])


@every_file
def test_the_coefficients_are_exact_up_to_rounding(name: str) -> None:
    file, expected = load(name)
    for index, coeffs in enumerate(file.coeffs):
        np.testing.assert_allclose(coeffs, expected[f"coeffs_{index}"], rtol=1e-12, atol=1e-12)


@every_file
def test_the_frames_are_within_one_gray_level(name: str) -> None:
    file, expected = load(name)
    frames = file.frames()
    assert (frames.shape, frames.dtype) == (expected["frames"].shape, np.uint8)
    assert np.abs(frames.astype(int) - expected["frames"]).max() <= 1
    assert (frames != expected["frames"]).mean() < 0.01


@every_file
def test_golden_files_are_small(name: str) -> None:
    assert (GOLDEN / f"{name}.lrm").stat().st_size < 3000
    assert (GOLDEN / f"{name}.npz").stat().st_size < 30_000


def row_of(found: Direction | None) -> list[float]:
    """What a file says of the ventricle: confidence, share ejected (-1: unknown), shift of end systole, weights."""
    if found is None:
        return []
    ejected = -1.0 if found.ejected is None else found.ejected
    return [found.confidence, ejected, found.es_shift_s, *found.weights.tolist()]


@every_file
def test_the_direction_is_exact(name: str) -> None:
    file, expected = load(name)
    for index, segment in enumerate(file.coded.segments):
        found = read_direction(segment.components, segment.rank)
        np.testing.assert_allclose(row_of(found), expected.get(f"direction_{index}", np.array([])), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", BEATS)
def test_beats_are_read(name: str) -> None:
    file, expected = load(name)
    assert len(expected["direction_0"]) > 4
    found = read_phase(file)
    assert found.quality_word == "cardiac"
    assert found.ed_frames == pytest.approx(expected["ed_frames"].tolist(), abs=1)
    assert found.es_frames == pytest.approx(expected["es_frames"].tolist(), abs=1)
