"""Short numbers of decoder packs, for headers. Frozen: a number is never reused, and its pack stays readable."""

from __future__ import annotations

from typing import NamedTuple


class NumberedPack(NamedTuple):
    """A pack: the first bytes of its digest, and its decoder architecture."""

    pack_id: bytes
    arch_id: int


NUMBERED = {
    1: NumberedPack(bytes.fromhex("db67ebd11c384868"), 2),  # spatial
    2: NumberedPack(bytes.fromhex("c8b8058d1111654e"), 5),  # wavelet
    3: NumberedPack(bytes.fromhex("3fc8a0ad55616c9b"), 7),  # refined
}
NUMBERS = {pack: number for number, pack in NUMBERED.items()}
