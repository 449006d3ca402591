"""Make the golden files of the current format version: `python tests/codec/make_golden.py `.

Released golden files are read-only and live forever; this refuses to overwrite any. While a version is not yet
released, delete its files by hand and run this again, then `python tests/digest_table.py` for their digests.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.cardiac.direction import Direction, read_direction
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import VERSION, CodedClip, CodedSegment, Component, pack_file, unpack_file
from lrmcodec.formats.entropy import decode_ints
from lrmcodec.simulate.heart.phantom import Phantom, beating_heart, phantom

FOLDER = Path(__file__).parent / "golden"
FRAMES, SIZE = 12, (32, 32)
BEATS_FRAMES, BEATS_FPS = 44, 20
BEATS = {"rank": 8, "quality": 60}
METADATA = {"source": "phantom", "spacing_mm": [0.5, 0.25], "note": "größer"}
UNEVEN = np.array([0, 0.02, 0.041, 0.06, 0.0815, 0.1, 0.2, 0.22, 0.24, 0.260001, 0.28, 0.3])


@dataclass(frozen=True)
class Case:
    """One golden file: how to encode it."""

    times_s: NDArray[np.float64]
    settings: dict[str, Any]
    segment_frames: int = 1024
    metadata: dict[str, Any] = field(default_factory=dict)


EVEN = np.arange(FRAMES) / 50
FINE = {"rank": 3, "quality": 90}  # stills of 10 bits
ORTHO = {"rank": 4, "quality": 95, "pack": "lrm-ortho", "device": "cpu"}
FRAMEWISE = {"rank": 6, "quality": 95, "pack": "medfuncta", "device": "cpu"}
GATED = {"rank": 4, "quality": 60, "pack": "lrm-ortho-gated", "device": "cpu"}
MOTION = {"rank": 3, "quality": 95, "pack": "autoencoder", "device": "cpu"}
CASES = {
    "spatial_even": Case(np.arange(FRAMES) * 1001 / 30000, {"rank": 3, "quality": 70}),
    "spatial_uneven": Case(UNEVEN, {"rank": 2, "quality": 45}, 6, METADATA),
    "spatial_still": Case(np.zeros(1), {"rank": 0, "quality": 60}),
    "grid_siren": Case(np.arange(FRAMES) / 50, {"rank": 4, "quality": 60, "pack": "lrm-ortho", "device": "cpu"}),
    "framewise": Case(np.arange(FRAMES) / 50, {"rank": 6, "quality": 90, "pack": "medfuncta", "device": "cpu"}),
    "autoencoder": Case(np.arange(FRAMES) / 50, {"rank": 3, "quality": 60, "pack": "autoencoder", "device": "cpu"}),
    "spatial_fine": Case(EVEN, FINE),
    "spatial_fine_parts": Case(EVEN, FINE, 6),
    "spatial_parts": Case(EVEN, {"rank": 3, "quality": 70}, 6),
    "grid_siren_parts": Case(EVEN, ORTHO, 6),
    "framewise_parts": Case(EVEN, FRAMEWISE, 6),
    "autoencoder_parts": Case(EVEN, MOTION, 6),
    "gated_siren": Case(EVEN, GATED),
    "gated_siren_parts": Case(EVEN, GATED, 6),
    "wavelet": Case(EVEN, {"rank": 3, "quality": 70, "pack": "wavelet"}),
    "wavelet_parts": Case(EVEN, {"rank": 2, "quality": 45, "pack": "wavelet"}, 6),
    "refined": Case(EVEN, {"rank": 3, "quality": 70, "pack": "refined"}),
    "refined_parts": Case(EVEN, {"rank": 2, "quality": 45, "pack": "refined"}, 6),
}


def beats() -> Phantom:
    """A heart of three beats, whose ventricle the encoder sees."""
    return phantom(BEATS_FRAMES, SIZE, BEATS_FPS, heart_rate_bpm=80, ejection_fraction=0.6, seed=3)


def encode_beats(component: Component) -> bytes:
    """A file with a direction stored as one of the components that may hold it."""
    data = codec.encode(beats().clip, **BEATS).data
    clip = unpack_file(data)
    segment = clip.segments[0]
    direction = read_direction(segment.components, segment.rank)
    assert direction is not None
    others = {key: value for key, value in segment.components.items() if key not in DIRECTIONS}
    payload = DIRECTIONS[component](direction)
    segments = [CodedSegment(segment.rank, segment.q, others | {component: payload})]
    return pack_file(CodedClip(clip.pack_id, clip.arch_id, clip.size, clip.times_s, segments, clip.metadata))


def _phase_payload(direction: Direction) -> bytes:
    """Payload of the component of version 0.1: a byte for each of four weights."""
    return bytes([direction.confidence]) + (4 * direction.weights[:4]).astype(np.int8).tobytes()


def _ventricle_payload(direction: Direction) -> bytes:
    """Payload of the second component: areas at end diastole and end systole before the weights."""
    return bytes([direction.confidence, 155, 90]) + direction.pack()[3:]


DIRECTIONS = {Component.PHASE: _phase_payload, Component.VENTRICLE: _ventricle_payload, Component.HEART: Direction.pack}
BEATS_CASES = {"phase": Component.PHASE, "ventricle": Component.VENTRICLE, "heart": Component.HEART}


def direction_of(components: Mapping[int, bytes], rank: int) -> NDArray[np.float64]:
    """What a segment says of the ventricle in one row; empty if nothing: see `test_golden.row_of`."""
    found = read_direction(components, rank)
    if found is None:
        return np.array([])
    ejected = -1.0 if found.ejected is None else found.ejected
    return np.array([found.confidence, ejected, found.es_shift_s, *found.weights.tolist()])


def encode_case(case: Case) -> bytes:
    """Bytes of a case's file."""
    source = beating_heart(len(case.times_s), SIZE, seed=5)
    codec.SEGMENT_FRAMES = case.segment_frames
    return codec.encode(Clip(source.frames, case.times_s), metadata=case.metadata, **case.settings).data


def expected_of(data: bytes) -> dict[str, NDArray[Any]]:
    """What a reader must find in a file: times, frames, and each segment's coded integers and coefficients."""
    file = codec.open(data, device="cpu")
    arrays: dict[str, NDArray[Any]] = {"times_s": file.times_s, "frames": file.frames()}
    bounds = file.coded.segment_bounds
    for index, (segment, (start, stop)) in enumerate(zip(file.coded.segments, bounds, strict=True)):
        payload = segment.components.get(Component.COEFFS, b"")
        arrays[f"integers_{index}"] = decode_ints(payload, (segment.rank, stop - start))
        arrays[f"coeffs_{index}"] = file.coeffs[index]
        arrays[f"direction_{index}"] = direction_of(segment.components, segment.rank)
    return arrays


def main(names: list[str]) -> None:
    """Write the files of all cases, or of those named."""
    for name in names or [*CASES, *BEATS_CASES]:
        path = FOLDER / f"v{VERSION}_{name}.lrm"
        expected = path.with_suffix(".npz")
        for target in (path, expected):
            if target.exists():
                sys.exit(f"{target} exists; golden files are not overwritten.")
        data = encode_case(CASES[name]) if name in CASES else encode_beats(BEATS_CASES[name])
        events = {} if name in CASES else {"ed_frames": beats().ed_frames, "es_frames": beats().es_frames}
        FOLDER.mkdir(exist_ok=True)
        path.write_bytes(data)
        np.savez_compressed(expected, **expected_of(data), **events)
        print(f"{path.name}: {len(data)} bytes, expected {expected.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
