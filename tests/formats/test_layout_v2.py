"""The layout of format version 2: few bytes, every form of the header, and FormatError on what is forged."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.cardiac.direction import payload_bytes
from lrmcodec.decoders.registry import shipped_packs
from lrmcodec.formats.container import (
    MAGIC,
    MAX_BASIS_VALUES,
    MAX_COEFFS,
    MAX_RANK,
    CodedClip,
    CodedSegment,
    Component,
    byte_counts,
    pack_file,
    unpack_file,
)
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.layout_v2 import HEADER, IF_CLEAR, IF_SET, KINDS, MORE, Flag, heart_bytes
from lrmcodec.formats.pack_numbers import NUMBERED
from lrmcodec.formats.varint import write_varint

PACK_ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
VALUES = {"pack_number": 1, "pack_id": PACK_ID, "arch_id": 2, "height": 64, "width": 80, "frame_count": 4,
          "rate_num": 25, "rate_den": 3, "segment_count": 2, "component_count": 0, "extension_bytes": 3}
LONG = Flag(0)
SHORT = Flag.KNOWN_PACK | Flag.SQUARE | Flag.WHOLE_RATE | Flag.ONE_SEGMENT


def sealed(body: bytes) -> bytes:
    return MAGIC + b"\x02" + zlib.crc32(body).to_bytes(4, "little") + body


def header(flags: int = SHORT, **changes: Any) -> bytes:
    """Header with these flags, fields by name, without a check of their limits."""
    names = [field.name for field in HEADER
             if (flags & IF_SET[field.name] if field.name in IF_SET else not flags & IF_CLEAR.get(field.name, 0))]
    values = [{**VALUES, **changes}[name] for name in names]
    written = b"".join(value if isinstance(value, bytes) else write_varint(value) for value in values)
    return bytes([flags]) + written + (b"new" if flags & Flag.EXTENSION else b"")


def segment(rank: int = 1, q_16: int = 0, kinds: int = 0) -> bytes:
    return write_varint(rank) + write_varint(q_16) + bytes([kinds])


def kinds_of(*components: Component) -> int:
    return sum(1 << KINDS.index(component) for component in components)


def file_of(components: dict[int, bytes], *, rank: int = 6, pack: bytes = NUMBERED[1].pack_id, size: int = 112,
            frames: int = 176) -> bytes:
    return pack_file(CodedClip(pack, 2, (size, size), np.arange(frames) / 50,
                               [CodedSegment(rank, 150, components)], {}))


def test_a_usual_file_spends_twenty_bytes_besides_its_payloads() -> None:
    data = file_of({Component.PICTURES: bytes(700), Component.COEFFS: bytes(300), Component.HEART: bytes(8)})
    assert byte_counts(data)["header"] == 20
    assert byte_counts(file_of({Component.WAVELETS: bytes(5)}, pack=PACK_ID))["header"] <= 26


@pytest.mark.parametrize("flags", [LONG, SHORT, LONG | Flag.EXTENSION, SHORT | Flag.EXTENSION | Flag.ENTRIES,
                                   *Flag])
def test_every_form_of_the_header_is_read(flags: Flag) -> None:
    clip = unpack_file(sealed(header(flags) + segment() * (1 if flags & Flag.ONE_SEGMENT else 2)))
    assert clip.size == (64, 64 if flags & Flag.SQUARE else 80)
    assert clip.pack_id == (NUMBERED[1].pack_id if flags & Flag.KNOWN_PACK else PACK_ID)
    assert clip.times_s[1] == pytest.approx((1 if flags & Flag.WHOLE_RATE else 3) / 25)
    assert len(clip.segments) == (1 if flags & Flag.ONE_SEGMENT else 2)


@pytest.mark.parametrize("flags", [64, 128, 64 | SHORT])
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(FormatError, match="flags"):
        unpack_file(sealed(header(flags) + segment()))


def test_an_extension_beyond_the_file_is_refused() -> None:
    with pytest.raises(FormatError, match="extension"):
        unpack_file(sealed(header(SHORT | Flag.EXTENSION, extension_bytes=60) + segment()))


def test_an_unknown_pack_number_asks_for_a_newer_program() -> None:
    with pytest.raises(FormatError, match="pack number 250") as caught:
        unpack_file(sealed(header(pack_number=250) + segment()))
    assert "newer" in caught.value.hint


@pytest.mark.parametrize(("field", "value"), [
    ("frame_count", 10**9), ("frame_count", 1_000_001), ("frame_count", 0), ("height", 15), ("height", 2049),
    ("width", 0), ("width", 1 << 40), ("rate_num", 1_000_001), ("rate_den", 0), ("rate_den", 1_000_001),
    ("segment_count", 0), ("segment_count", 65_537), ("component_count", 65), ("arch_id", 256),
])
def test_header_fields_out_of_their_limits_are_refused(field: str, value: int) -> None:
    with pytest.raises(FormatError):
        unpack_file(sealed(header(Flag.ENTRIES, **{field: value}) + segment() * 2))


@pytest.mark.parametrize(("field", "value"), [("rank", 513), ("q_16", 4081)])
def test_segment_fields_out_of_their_limits_are_refused(field: str, value: int) -> None:
    with pytest.raises(FormatError):
        unpack_file(sealed(header() + segment(**{field: value})))


def test_more_segments_than_frames_are_refused() -> None:
    with pytest.raises(FormatError, match="more segments than frames"):
        unpack_file(sealed(header(LONG, segment_count=5) + 5 * segment()))


def test_too_many_values_are_refused() -> None:
    rank = MAX_BASIS_VALUES // 2048**2 - 1
    assert unpack_file(sealed(header(height=2048) + segment(rank))).segments[0].rank == rank
    with pytest.raises(FormatError, match="basis values"):
        unpack_file(sealed(header(height=2048) + segment(rank + 1)))
    frames = MAX_COEFFS // 512
    assert unpack_file(sealed(header(frame_count=frames) + segment(512))).frame_count == frames
    with pytest.raises(FormatError, match="coefficients"):
        unpack_file(sealed(header(frame_count=frames + 1) + segment(512)))


def test_the_last_entry_takes_what_remains_and_others_their_length() -> None:
    kinds = kinds_of(Component.HEART, Component.COEFFS, Component.PICTURES)
    data = sealed(header() + segment(1, 0, kinds) + b"\x02" + b"vent" + b"cc" + b"pictures")
    assert unpack_file(data).segments[0].components == {
        Component.HEART: b"vent", Component.COEFFS: b"cc", Component.PICTURES: b"pictures"}


def test_entries_of_other_kinds_are_kept_with_their_ids() -> None:
    more = bytes([2, 99, 1, 101])
    data = sealed(header() + segment(1, 0, MORE | kinds_of(Component.COEFFS)) + b"\x02" + more + b"cc" + b"x" + b"yz")
    assert unpack_file(data).segments[0].components == {Component.COEFFS: b"cc", 99: b"x", 101: b"yz"}


@pytest.mark.parametrize(("kinds", "more"), [
    (MORE, bytes([1, 31])), (MORE, bytes([1, Component.TIMES])), (MORE, bytes([0])), (MORE, bytes([65])),
    (MORE, bytes([2, 40, 0, 40])), (MORE | kinds_of(Component.COEFFS), bytes([0, 1, Component.COEFFS])),
])
def test_entries_without_a_place_are_refused(kinds: int, more: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_file(sealed(header() + segment(1, 0, kinds) + more))


@pytest.mark.parametrize(("kinds", "rest"), [
    (0, b"x"), (kinds_of(Component.HEART), b"ven"), (kinds_of(Component.HEART), b"ventr"),
    (kinds_of(Component.COEFFS, Component.PICTURES), b"\x05abcd"),
    (kinds_of(Component.COEFFS, Component.PICTURES), b"\xff\xff\xff\xff\x0fabcd"),
])
def test_payloads_that_do_not_fill_the_file_are_refused(kinds: int, rest: bytes) -> None:
    with pytest.raises(FormatError, match="directory promises"):
        unpack_file(sealed(header() + segment(1, 0, kinds) + rest))


@given(components=st.dictionaries(st.sampled_from([*KINDS, 77, 255]), st.binary(max_size=40)), rank=st.integers(0, 12))
def test_any_components_come_back(components: dict[int, bytes], rank: int) -> None:
    assert unpack_file(file_of(components, rank=rank)).segments[0].components == components


def test_the_length_of_a_heart_component_is_its_writers() -> None:
    for rank in range(MAX_RANK + 1):
        assert heart_bytes(rank) == payload_bytes(rank)


def test_numbered_packs_are_shipped_with_that_digest() -> None:
    ids = {pack.digest[:16]: pack.arch_id for pack in shipped_packs()}
    for number, pack in NUMBERED.items():
        assert ids.get(pack.pack_id.hex()) == pack.arch_id, number
