"""The study of budgets: parts add up to files, for wavelets and for stills."""

from __future__ import annotations

import pytest

from lrmcodec.benchmarks.studies import budget
from lrmcodec.simulate.heart.phantom import beating_heart

pytestmark = pytest.mark.usefixtures("quick_stills")

CLIP = beating_heart(12, (32, 40), fps=25, seed=3)


def test_parts_add_up_and_are_shown() -> None:
    found = [budget.measure(CLIP, 25, pack) for pack in ("spatial", "refined")]
    for each in found:
        assert sum(count for part, count in each.parts.items() if part != "total") == pytest.approx(each.parts["total"])
        assert each.parts["total"] == each.report.size_bytes
        assert 0 < each.parts["latent"] < each.parts["total"]
        assert each.bits_a_picture("latent") == pytest.approx(8 * each.parts["latent"])
    assert found[0].stills
    text = budget.page({"heart": found})
    assert "| bytes (share) | 25:1, spatial | 25:1, refined" in text
    assert f"| whole file | {found[0].report.size_bytes:,} | {found[1].report.size_bytes:,} |" in text
