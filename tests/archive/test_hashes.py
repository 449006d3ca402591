"""Compact sets of names."""

from __future__ import annotations

from lrmcodec.archive.hashes import Hashes


def test_tells_what_is_among_many() -> None:
    found = Hashes(each for number in range(5000) for each in (f"objects/{number}", (f"objects/{number}", number)))
    assert all(f"objects/{number}" in found and (f"objects/{number}", number) in found for number in range(5000))
    assert not any(f"objects/{number}" in found or ("objects/1", number) in found for number in range(5000, 9000))


def test_nothing_is_among_none() -> None:
    assert "x" not in Hashes(())
