"""Mutated .lrm files with a right checksum, the same 20,000 each time; other kinds of files in passing."""

from __future__ import annotations

import random

import pytest
from fuzzing import mutate, run, sealed, small_lrm, usual_decoder, usual_pack

from lrmcodec.formats.container import PREFIX_BYTES


def test_mutated_lrm_files_are_read_or_refused() -> None:
    usual_pack.cache_clear()
    usual_decoder.cache_clear()
    outcome = run("lrm", range(20_000))
    assert outcome.faults == []
    assert outcome.counts.total() == 20_000
    assert outcome.counts["read"] > 500  # mutations that all fail at the door would show nothing


def test_mutated_dicom_files_are_read_or_refused() -> None:
    pytest.importorskip("pydicom")
    outcome = run("dcm", range(400))
    assert outcome.faults == []
    assert outcome.counts["read"] > 50


@pytest.mark.parametrize("kind", ["avi", "mp4", "mkv", "gif", "npz", "webp", "tif", "png"])
def test_mutated_clips_are_read_or_refused(kind: str) -> None:
    outcome = run(kind, range(40))
    assert outcome.faults == []


def test_mutations_depend_on_their_seed_alone() -> None:
    seed = small_lrm()[0]
    changed = [mutate(seed[PREFIX_BYTES:], random.Random(f"x {i}")) for i in range(50)]
    assert changed == [mutate(seed[PREFIX_BYTES:], random.Random(f"x {i}")) for i in range(50)]
    assert len(set(changed)) > 45
    assert sealed(seed[PREFIX_BYTES:]) == seed
