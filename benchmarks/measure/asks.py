"""What is asked of a run: packs, peers, and of our codec sizes at the best rank and a grid of qualities at every rank.

A rank alone fixes no size. At each rank the clip is coded at fixed qualities, from nearly unquantized to coarse: the
finest shows what the rank can hold at all, the others what it is worth in bytes. Searching the best rank at given
ratios shows what a user gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lrmcodec.benchmarks.peers import KNOWN, PEERS, WHOLE_RANGE_PEERS
from lrmcodec.benchmarks.setting import LOSSLESS, Setting
from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack
from lrmcodec.formats.errors import TargetError

RANKS = (1, 2, 4, 8, 16, 32, 64)
RATIOS = (30.0, 60.0, 100.0, 180.0, 300.0, 600.0, 1000.0, 2000.0, 3000.0)
WHOLE_RANGE = (10.0, 20.0, 40.0, 70.0, 100.0, 150.0, 300.0, 600.0, 1000.0, 2000.0, 3000.0)
"""Ratios from what readers accept to what a search through an archive needs."""

QUALITIES = (95.0, 80.0, 55.0, 30.0)
"""Quantizer indices 13, 51, 115 and 178: about crf 3, 13, 29 and 45 of the AV1 stills of the spatial decoder."""


def asks(ranks: Sequence[int] = RANKS, ratios: Sequence[float] = RATIOS) -> list[Setting]:
    """All encodings of one pack."""
    return [*(Setting("ratio", ratio) for ratio in ratios),
            *(Setting("quality", quality, rank) for rank in ranks for quality in QUALITIES)]


@dataclass(frozen=True)
class Plan:
    """What to measure on every clip.

    Attributes
    ----------
    packs, peers : tuple of str
    ranks, ratios : tuple
        Axes of the settings asked of our codec; see `asks`.
    settings : tuple of Setting, optional
        Other settings in place of those of the axes.
    one_fit : bool
        Fit each clip once a pack, at the highest rank asked for, and code all settings from that fit; for decoders
        whose fit takes long. All settings must then be qualities at ranks.
    device : str
    jobs : int
        Clips at a time.
    """

    packs: tuple[str, ...] = (DEFAULT_PACK,)
    peers: tuple[str, ...] = tuple(PEERS)
    ranks: tuple[int, ...] = RANKS
    ratios: tuple[float, ...] = RATIOS
    settings: tuple[Setting, ...] | None = None
    one_fit: bool = False
    device: str = "auto"
    jobs: int = 1

    @property
    def asked(self) -> list[Setting]:
        """What is asked of every pack."""
        return asks(self.ranks, self.ratios) if self.settings is None else list(self.settings)

    @staticmethod
    def whole_range(**chosen: Any) -> Plan:
        """From no loss to 3000:1, without the rank axis, beside AV1 in all its settings and what codes without loss.

        `chosen` replaces fields of the plan; ratios too.
        """
        ratios = chosen.pop("ratios", WHOLE_RANGE)
        asked = (LOSSLESS, *(Setting("ratio", ratio) for ratio in ratios))
        return Plan(**{"peers": WHOLE_RANGE_PEERS, "settings": asked, **chosen})

    def check(self) -> None:
        """Refuse what cannot be measured before anything is.

        Raises
        ------
        TargetError, PackError
            On unknown peers, packs, ranks below 0 or ratios that are not positive.
        """
        unknown = [name for name in self.peers if name not in KNOWN]
        if unknown:
            raise TargetError(f"there is no peer '{unknown[0]}'.", f"Known are {', '.join(KNOWN)}.")
        if min(self.ranks, default=0) < 0 or min(self.ratios, default=1) <= 0:
            raise TargetError("ranks must be 0 or more and ratios above 0.", "Correct --ranks or --ratios.")
        if self.one_fit and not all(setting.is_quality_at_rank for setting in self.asked):
            raise TargetError("one fit serves only qualities at given ranks.")
        for pack in self.packs:
            find_pack(pack)

    def used_device(self) -> str:
        """'cpu' or 'cuda': networks run on a GPU where there is one, decoders without weights never do."""
        if self.device == "cpu" or not any(find_pack(pack).weight_bytes for pack in self.packs):
            return "cpu"
        import torch

        return "cuda" if self.device == "cuda" or torch.cuda.is_available() else "cpu"
