"""Bits of single pictures add up to their payload; where none is coded by itself there are none."""

from __future__ import annotations

import pytest
from digest_table import GOLDEN

from lrmcodec import codec
from lrmcodec.budget import picture_bits
from lrmcodec.formats.container import Component


@pytest.mark.parametrize("name", ["v2_wavelet", "v2_refined_parts"])
def test_bits_of_pictures_add_up(name: str) -> None:
    file = codec.open(GOLDEN / f"{name}.lrm")
    found = picture_bits(file)
    assert len(found) == len(file.coded.segments)
    for bits, coded in zip(found, file.coded.segments, strict=True):
        assert len(bits) == coded.rank + 1
        assert all(each > 0 for each in bits)
        assert sum(bits) / 8 == pytest.approx(len(coded.components[Component.WAVELETS]), abs=4)


@pytest.mark.parametrize("name", ["v2_spatial_even", "v2_gated_siren"])
def test_other_pictures_do_not_come_one_by_one(name: str) -> None:
    assert picture_bits(codec.open(GOLDEN / f"{name}.lrm", device="cpu")) == [[]]
