"""What a compressed picture says about itself: headers of JPEG, JPEG-LS and JPEG 2000 (ITU-T T.81, T.87, T.800)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
J2K_START = b"\xff\x4f\xff\x51"
JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"

_SCAN_END = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""A marker that ends entropy-coded data: neither a stuffed byte nor a restart."""

_FRAME_MARKERS = {0xC0: "JPEG", 0xC1: "JPEG", 0xC2: "JPEG", 0xC3: "lossless JPEG", 0xF7: "JPEG-LS"}
_OTHER_FRAME_MARKERS = {0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_STANDALONE = {0x01, *range(0xD0, 0xD8)}


@dataclass(frozen=True)
class Codestream:
    """One compressed picture.

    Attributes
    ----------
    kind : str
        'JPEG', 'lossless JPEG', 'JPEG-LS', 'JPEG 2000', or 'other JPEG' for those that no decoder here reads.
    height, width, samples, bits : int
        Size, samples a pixel, bits a sample.
    signed : bool
        Whether samples are signed (JPEG 2000 only).
    space : str
        What the samples are once decoded without any color conversion, as the codestream itself says:
        'RGB', 'YBR' (YCbCr of full range), or '' where it does not say.
    guess : str
        'RGB' or 'YBR': what libjpeg takes the samples for (jdapimin.c, default_decompress_parms).
    end : int
        Bytes up to its end marker, which is where the next picture might begin.
    complete : bool
        Whether there is an end marker.
    """

    kind: str
    height: int
    width: int
    samples: int
    bits: int
    signed: bool
    space: str
    guess: str
    end: int
    complete: bool


def starts_picture(data: bytes) -> bool:
    """Whether bytes begin a JPEG, JPEG-LS or JPEG 2000 picture."""
    return data.startswith((JPEG_START, J2K_START, JP2_START))


def read_codestream(data: bytes) -> Codestream | None:
    """Read the header of a picture and look for its end; None when it is none or its header is damaged."""
    try:
        if data.startswith(JPEG_START):
            return _read_jpeg(data)
        if data.startswith((J2K_START, JP2_START)):
            return _read_j2k(data)
    except (struct.error, IndexError):
        return None
    return None


def _read_jpeg(data: bytes) -> Codestream | None:
    """Walk over the markers of a JPEG or JPEG-LS picture."""
    kind, frame, jfif, adobe = "", b"", False, -1
    position, complete = 2, False
    while position < len(data) - 1:
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            position, complete = position + 2, True
            break
        if marker == 0xD8 or position + 4 > len(data):
            break
        segment = data[position + 4 : position + 2 + struct.unpack_from(">H", data, position + 2)[0]]
        position += 4 + len(segment)
        if not frame and (marker in _FRAME_MARKERS or marker in _OTHER_FRAME_MARKERS):
            kind, frame = _FRAME_MARKERS.get(marker, "other JPEG"), segment
        elif marker == 0xE0 and segment.startswith(b"JFIF"):
            jfif = True
        elif marker == 0xEE and segment.startswith(b"Adobe") and len(segment) >= 12:
            adobe = segment[11]
        elif marker == 0xDA:
            found = _SCAN_END.search(data, position)
            position = found.start() if found else len(data)
    if not frame:
        return None
    bits, height, width, samples = struct.unpack_from(">BHHB", frame)
    space = _jpeg_space(frame[6::3][:samples], jfif, adobe)
    return Codestream(kind, height, width, samples, bits, False, space, space or "YBR", position, complete)


def _jpeg_space(ids: bytes, jfif: bool, adobe: int) -> str:
    """What the samples are by the markers, in the order in which libjpeg believes them; '' when they do not say."""
    if jfif:
        return "YBR"
    if adobe in (0, 1):
        return ("RGB", "YBR")[adobe]
    return "RGB" if ids in (b"RGB", b"rgb") else ""


def _read_j2k(data: bytes) -> Codestream | None:
    """Read the SIZ and COD segments of a JPEG 2000 picture, bare or in a JP2 file."""
    start = data.find(J2K_START)
    if start < 0:
        return None
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, start + 8)
    samples, depth = struct.unpack_from(">HB", data, start + 40)
    steps = [data[start + 43 + 3 * i : start + 45 + 3 * i] for i in range(min(samples, 4))]
    stripped = data.rstrip(b"\0")
    complete = stripped.endswith(JPEG_END)
    # An inverse component transform leaves RGB, whatever came in before (T.800 annex G).
    space = "RGB" if samples == 3 and _has_component_transform(data, start + 2) else ""
    kind = "other JPEG" if any(step != b"\1\1" for step in steps) else "JPEG 2000"
    return Codestream(kind, y1 - y0, x1 - x0, samples, (depth & 127) + 1, bool(depth & 128), space, "RGB",
                      len(stripped) if complete else len(data), complete)


def _has_component_transform(data: bytes, position: int) -> bool:
    """Walk over the main header's segments to COD."""
    while data[position] == 0xFF and data[position + 1] not in (0x90, 0xD9):
        if data[position + 1] == 0x52:
            return data[position + 8] == 1
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return False
