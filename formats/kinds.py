"""What a file is, by its first bytes: kinds that are read, and kinds that are known and not read."""

from __future__ import annotations

import re

HEAD_BYTES = 512

PILLOW = re.compile(rb"GIF8|II\*\0|MM\0\*|II\+\0|MM\0\+|RIFF....WEBP", re.DOTALL)
"""GIF, TIFF, BigTIFF and WebP: of these FFmpeg may show the first picture alone, or none."""

ARRAY = re.compile(rb"\x93NUMPY|PK\x03\x04")

_VIDEO = re.compile(
    rb"RIFF....AVI |\x1aE\xdf\xa3|....(ftyp|moov|mdat|free|skip|wide|pnot)|GIF8|\0\0\0?\x01"
    rb"|\x47.{187}\x47|.{4}\x47.{191}\x47|FLV|OggS|\x30\x26\xb2\x75|\x06\x0e\x2b\x34|DKIF|nut/multimedia|YUV4MPEG2"
    rb"|\x1f\x07\0|\x89PNG|\xff\xd8\xff|BM|P[2356]\s|\xff\x4f\xff\x51|\0\0\0\x0cjP  ",
    re.DOTALL)

_NOT_READ = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in (
    (rb"LRM", "a .lrm file: 'lrmcodec decode' turns it into a clip"),
    (rb"%PDF", "a PDF document"),
    (rb"\x1f\x8b", "compressed by gzip"),
    (rb"BZh", "compressed by bzip2"),
    (rb"\xfd7zXZ", "compressed by xz"),
    (rb"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (rb"7z\xbc\xaf", "a 7z archive"),
    (rb"Rar!", "a RAR archive"),
    (rb".{257}ustar", "a tar archive"),
    (rb"\x89HDF\r\n\x1a\n|MATLAB ", "an HDF5 or MATLAB file"),
    (rb".{344}(n\+1|ni1)\0|n\+2\0\r\n\x1a\n", "a NIfTI volume"),
    (rb"NRRD", "an NRRD volume"),
    (rb"(ObjectType|NDims) *=", "a MetaImage volume"),
    (rb"SIMPLE  =", "a FITS file"),
    (rb"....ftyp(heic|heix|mif1|msf1|hevc)", "a HEIF picture"),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "a JPEG XL picture"),
    (rb"RIFF....WAVE|fLaC|ID3|\xff[\xfb\xf3\xf2]|FORM....AIF|MThd", "a sound file"),
    (rb"8BPS", "a Photoshop picture"),
    (rb"\0\0\x01\0[^\0]", "an icon"),
    (rb"gimp xcf", "a GIMP picture"),
    (rb"\.RMF", "a RealMedia video"),
    (rb"[FCZ]WS", "a Flash movie"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript drawing"),
    (rb"#EXTM3U|\[playlist\]", "a play list"),
    (rb"\s*<", "a text of marks (XML, HTML, SVG)"),
    (rb"SQLite format 3", "a database"),
    (rb"MZ|\x7fELF|#!", "a program"),
))

CLIP_SUFFIXES = frozenset({
    ".avi", ".mkv", ".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mpg", ".mpeg", ".m2v", ".ts", ".m2ts", ".mts", ".vob",
    ".wmv", ".asf", ".flv", ".ogv", ".mxf", ".dv", ".ivf", ".nut", ".y4m", ".h264", ".264", ".hevc", ".h265", ".265",
    ".mjpeg", ".mjpg", ".gif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".jp2", ".j2k",
    ".pgm", ".npy", ".npz", ".dcm", ".dicom", ".ima", ".lrm"})
"""Ends of names that say what a file is; other ends, as of a UID, are part of the name."""

CONVERT = "Convert it first, for example with ffmpeg or a viewer, to .mkv or a folder of PNG pictures."


def not_read(head: bytes) -> str | None:
    """What a file is that is sound but of no kind that is read; None for all others.

    Parameters
    ----------
    head : bytes
        The first HEAD_BYTES bytes of the file, or all if it is shorter.
    """
    return next((name for pattern, name in _NOT_READ if pattern.match(head)), None)


def is_known(head: bytes) -> bool:
    """Whether the first bytes tell what a file is, so that its name does not matter; of DICOM `is_dicom` does."""
    return bool(_VIDEO.match(head) or PILLOW.match(head) or ARRAY.match(head) or not_read(head))


def is_video(head: bytes) -> bool:
    """Whether a file begins like a video or a picture that FFmpeg reads, so that it is damaged if it does not open."""
    return bool(_VIDEO.match(head))
