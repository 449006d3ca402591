"""Knows a DICOM file by its first bytes, without pydicom."""

from __future__ import annotations

import struct

_FIRST_GROUPS = (0x0002, 0x0008)
_MAX_FIRST_ELEMENT = 0x0070
_MAX_FIRST_LENGTH = 1024


def is_dicom(head: bytes) -> bool:
    """Whether the first 132 or more bytes of a file are DICOM, with preamble or without one (PS3.10 section 7.1)."""
    return head[128:132] == b"DICM" or _is_bare(head)


def _is_bare(head: bytes) -> bool:
    """Whether a data set begins at once: a low element of its first group, then a representation or a length."""
    return len(head) >= 16 and any(_is_element(head, order) for order in "<>")


def _is_element(head: bytes, order: str) -> bool:
    group, element = struct.unpack_from(f"{order}HH", head)
    if group not in _FIRST_GROUPS or element > _MAX_FIRST_ELEMENT:
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    length = int(struct.unpack_from(f"{order}I", head, 4)[0])
    return length <= _MAX_FIRST_LENGTH and length % 2 == 0
