"""Cells that stay black: found beside a fan, not found where they would cost more than they save."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from lrmcodec.decoders.dark import find_dark
from lrmcodec.decoders.registry import find_pack
from lrmcodec.decoders.spatial import SpatialDecoder, darkened
from lrmcodec.formats.container import Component
from lrmcodec.formats.dark import unpack_dark

ROWS, COLUMNS = np.mgrid[:112, :112]
FAN = np.abs(COLUMNS - 55.5) < ROWS + 2


def test_a_fan_is_found() -> None:
    black, decoded = np.where(FAN, 9.0, 0.0), np.full((112, 112), 0.5)
    lit = unpack_dark(find_dark(black, decoded, 2000), (112, 112))
    assert lit[FAN].all()
    assert lit[~FAN].mean() < 0.2


def test_nothing_is_named_where_it_does_not_pay() -> None:
    black = np.where(FAN, 9.0, 0.0)
    assert find_dark(black, np.where(FAN, 0.5, 0.0), 2000) == b""
    assert find_dark(np.full((112, 112), 9.0), np.full((112, 112), 0.5), 2000) == b""


def test_dark_cells_are_black_in_every_frame() -> None:
    rng = np.random.default_rng(2)
    tissue = 90 + 60 * gaussian_filter(rng.normal(0, 1, (12, 112, 112)), (1, 3, 3)) / 0.07
    frames = np.where(FAN, np.clip(tissue, 1, 255), 0).astype(np.uint8)
    decoder = SpatialDecoder(find_pack("spatial"))
    components = decoder.code(decoder.fit(frames, 4, 0, lambda done, label: None), 4, 190)
    dark = components[Component.DARK]
    lit = unpack_dark(dark, (112, 112))
    restored = decoder.restore(components, 12, (112, 112), 4, 190)
    shown = decoder.render(restored, restored.coeffs)
    assert not shown[:, ~lit].any()
    assert shown[:, lit].any()
    others = {key: data for key, data in components.items() if key != Component.DARK}
    without = decoder.restore(others, 12, (112, 112), 4, 190)
    assert decoder.render(without, without.coeffs)[:, ~lit].any()
    assert without.basis is not None
    np.testing.assert_array_equal(darkened(dark, without.latent, without.basis)[0], restored.latent)
