"""Whether a container asks to show a part of its pictures: clean aperture of ISO media, PixelCrop of Matroska.

FFmpeg decodes whole pictures; players cut them.
"""

from __future__ import annotations

import struct
from typing import IO

MAX_HEADER_BYTES = 1 << 24

_CLAP = b"\0\0\0\x28clap"
_MASTERS = {0x18538067, 0x1654AE6B, 0xAE, 0xE0}
"""Segment, Tracks, TrackEntry, Video (RFC 9559)."""

_CROPS = {0x54BB: "top", 0x54AA: "bottom", 0x54CC: "left", 0x54DD: "right"}


def asked_part(file: IO[bytes], shape: tuple[int, int]) -> str:
    """What part of pictures of `shape` (height, width) a file asks to show, in words; '' where it is all."""
    file.seek(0)
    head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return _clean_aperture(_moov(file), shape)
    if head[:4] == b"\x1aE\xdf\xa3":
        file.seek(0)
        crops = {name: value for name, value in _pixel_crops(file.read(1 << 20)) if value}
        return ", ".join(f"{value} pixels less at the {name}" for name, value in crops.items())
    return ""


def _moov(file: IO[bytes]) -> bytes:
    """The box that describes all tracks; empty where there is none."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b""
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:], "big") if length == 1 and len(head) == 16 else length
        if head[4:8] == b"moov":
            return file.read(min(length, MAX_HEADER_BYTES))
        if length < 8:
            return b""
        at += length


def _clean_aperture(moov: bytes, shape: tuple[int, int]) -> str:
    """ISO/IEC 14496-12 section 12.1.4: width and height as fractions. One as large as the pictures asks for nothing."""
    at = moov.find(_CLAP)
    if at < 0 or len(moov) < at + 24:
        return ""
    width, width_by, height, height_by = struct.unpack_from(">4I", moov, at + 8)
    if not width_by or not height_by:
        return ""
    wanted = round(height / height_by), round(width / width_by)
    if min(wanted) < 1 or wanted[0] > shape[0] or wanted[1] > shape[1] or wanted == shape:
        return ""
    return f"{wanted[0]} x {wanted[1]} of {shape[0]} x {shape[1]} pixels"


def _pixel_crops(data: bytes) -> list[tuple[str, int]]:
    found, at = [], 0
    while at < len(data):
        mark, at = _vint(data, at, keep_marker=True)
        length, at = _vint(data, at)
        if mark in _CROPS:
            found.append((_CROPS[mark], int.from_bytes(data[at:at + length], "big")))
        if mark not in _MASTERS:
            at += length
    return found


def _vint(data: bytes, at: int, keep_marker: bool = False) -> tuple[int, int]:
    """A number of variable length (RFC 8794) and where it ends."""
    width = 9 - data[at].bit_length() if at < len(data) and data[at] else 8
    value = int.from_bytes(data[at:at + width], "big")
    return value if keep_marker else value & (1 << 7 * width) - 1, at + width
