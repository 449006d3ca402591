"""Versions of a clip: the original, and what a pack and a setting make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrmcodec.benchmarks.setting import Setting
from lrmcodec.decoders.registry import find_pack
from lrmcodec.formats.errors import TargetError
from lrmcodec.tools import PICTURED

NOTHING_ASKED = Setting()
QUALITY = 80.0
"""At which packs with networks are looked at: quantization then costs them next to nothing."""


@dataclass(frozen=True)
class Version:
    """A pack, empty for the original, and what is asked of it: a ratio at the best rank, or a quality at a rank."""

    pack: str = ""
    setting: Setting = NOTHING_ASKED

    @property
    def words(self) -> str:
        """As people read it: 'original', 'spatial ratio 300', 'lrm-ortho-gated rank 2 quality 80'."""
        return f"{self.pack} {self.setting.words}" if self.pack else "original"


ORIGINAL = Version()


def versions(packs: Sequence[str], ranks: Sequence[int], ratios: Sequence[float],
             qualities: Sequence[float] = (QUALITY,)) -> list[Version]:
    """The original, and for every pack ratios at the best rank and ranks at every quality.

    Packs with networks meet no ratio, so only their ranks are asked for.

    Raises
    ------
    PackError, TargetError
        When a pack is not there, or nothing is asked of it.
    """
    found = [ORIGINAL]
    for name in packs:
        pack = find_pack(name)
        asked = [Setting("quality", quality, rank) for rank in ranks for quality in qualities]
        if pack.arch_id in PICTURED:
            asked = [*(Setting("ratio", ratio) for ratio in ratios), *asked]
        if not asked:
            raise TargetError(f"nothing is asked of the pack '{name}'.", "Give --ranks.")
        found += [Version(name, setting) for setting in asked]
    return found
