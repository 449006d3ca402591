"""Whether a file ends before its own outermost structure does, as a copy that was cut off."""

from __future__ import annotations

from typing import IO

MAX_PARTS = 100_000
"""Parts looked at before the file is left alone."""

_ASF = bytes.fromhex("3026b2758e66cf11")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")

CUT_OFF = "the file is cut off: its end is missing"


def is_cut_off(file: IO[bytes], size: int) -> bool:
    """Whether a file of `size` bytes is shorter than its container says; false for kinds that say nothing.

    Looks at RIFF (AVI, WebP), ISO media (mp4, mov), EBML (Matroska, WebM), GIF, PNG, ASF (WMV), FLV, and kinds made of
    pieces of one length: MPEG transport streams, DV, YUV4MPEG2. Nobody sees whole pieces that are missing there.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF":
        return _riff_end(file, size) > size
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"):
        return _boxes_end(file, size) > size
    if head[:4] == b"\x1aE\xdf\xa3":
        return _segment_end(file) > size
    if head[:4] == b"GIF8":
        return not _gif_ends(file)
    if head[:4] == _ASF[:4]:
        return _asf_size(file) > size
    if head[:3] == b"FLV":
        return _flv_end(file) > size
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in _tail(file, size, 1 << 16)
    piece, begin = _pieces(file)
    return piece > 0 and (size - begin) % piece != 0


def _riff_end(file: IO[bytes], size: int) -> int:
    """Where the last RIFF chunk ends; large AVI files have several. A length of 0 was never filled in."""
    at = 0
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF" or head[4:] in (bytes(4), b"\xff" * 4):
            break
        at += 8 + int.from_bytes(head[4:], "little")
        if at > size:
            break
    return at


def _boxes_end(file: IO[bytes], size: int) -> int:
    """Where the last of the outermost boxes ends (ISO/IEC 14496-12)."""
    at = 0
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or not head[4:8].isalnum():
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file
            break
        at += length
        if at > size:
            break
    return at


def _segment_end(file: IO[bytes]) -> int:
    """Where the Segment of a Matroska file ends (RFC 8794); 0 where its length is unknown, as of live recordings."""
    file.seek(4)
    at = 4 + sum(_vint(file))
    file.seek(at)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    width, length = _vint(file)
    return 0 if length == (1 << 7 * width) - 1 else at + 4 + width + length


def _vint(file: IO[bytes]) -> tuple[int, int]:
    """Bytes and value of a number of variable length."""
    first = file.read(1) or b"\0"
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    return width, int.from_bytes(bytes([first[0] & (0x80 >> width - 1) - 1 if width <= 8 else 0]) + rest, "big")


def _gif_ends(file: IO[bytes]) -> bool:
    """Whether the blocks of a GIF end with its trailer (GIF89a), or with something that is no block."""
    file.seek(10)
    _skip_palette(file)
    file.seek(2, 1)
    for _ in range(MAX_PARTS):
        mark = file.read(1)
        if mark == b",":
            file.seek(8, 1)
            _skip_palette(file)
            file.seek(1, 1)
        elif mark == b"!":
            file.seek(1, 1)
        else:
            return mark != b""
        while length := (file.read(1) or b"\0")[0]:
            file.seek(length, 1)
    return True


def _asf_size(file: IO[bytes]) -> int:
    """Size that the File Properties Object tells (ASF specification 3.2); 0 for broadcasts, which tell none."""
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return 0
    size, flags = int.from_bytes(head[at + 40:at + 48], "little"), int.from_bytes(head[at + 88:at + 92], "little")
    return 0 if flags & 1 else size


def _flv_end(file: IO[bytes]) -> int:
    """Where the last tag of an FLV file ends, with the number behind it (FLV specification, annex E)."""
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    for _ in range(MAX_PARTS):
        file.seek(at)
        tag = file.read(4)
        if not tag or (len(tag) == 4 and tag[0] & 0x1F not in (8, 9, 18)):
            break
        at += 15 + int.from_bytes(tag[1:], "big")
    return at


def _pieces(file: IO[bytes]) -> tuple[int, int]:
    """Bytes of each piece of a stream and where the first begins; (0, 0) for kinds that are not made so."""
    file.seek(0)
    head = file.read(256)
    for piece, begin in ((188, 0), (192, 4), (204, 0)):
        if head[begin:begin + 1] == b"G" and head[begin + piece:begin + piece + 1] == b"G":
            return piece, 0
    if head[:3] == b"\x1f\x07\0":
        return (144_000 if head[3] & 0x80 else 120_000), 0
    line, mark, rest = head.partition(b"\n")
    if line.startswith(b"YUV4MPEG2 ") and mark and rest.startswith(b"FRAME\n"):
        return _y4m_piece(line.split()), len(line) + 1
    return 0, 0


def _y4m_piece(words: list[bytes]) -> int:
    """Bytes of a frame of 8 bits with its mark; 0 for deeper ones and where size or sampling are not understood."""
    facts = {word[:1]: word[1:] for word in words[1:]}
    width, height, sampling = facts.get(b"W", b""), facts.get(b"H", b""), facts.get(b"C", b"420")
    if not (width.isdigit() and height.isdigit()):
        return 0
    w, h = int(width), int(height)
    half = (w + 1) // 2
    chroma = {b"mono": 0, b"420": 2 * half * ((h + 1) // 2), b"420jpeg": 2 * half * ((h + 1) // 2),
              b"420mpeg2": 2 * half * ((h + 1) // 2), b"420paldv": 2 * half * ((h + 1) // 2), b"422": 2 * half * h,
              b"444": 2 * w * h}.get(sampling)
    return 0 if chroma is None else 6 + w * h + chroma


def _skip_palette(file: IO[bytes]) -> None:
    flags = (file.read(1) or b"\0")[0]
    if flags & 0x80:
        file.seek(3 << 1 + (flags & 7), 1)


def _tail(file: IO[bytes], size: int, count: int) -> bytes:
    file.seek(max(0, size - count))
    return file.read(count)
