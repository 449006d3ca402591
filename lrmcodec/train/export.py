"""From trained tensors to a decoder pack, in memory or on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from lrmcodec.decoders.ids import Architecture
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.pack import CARD, WEIGHTS

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PackInMemory:
    """A pack that is not on disk, for `decoders.registry.make_decoder`."""

    card: Mapping[str, Any]
    arrays: Arrays

    @property
    def name(self) -> str:
        """As in the card."""
        return str(self.card["name"])

    @property
    def arch_id(self) -> int:
        """Id of the architecture."""
        return int(self.card["architecture"]["id"])

    def tensors(self) -> Arrays:
        """Weights by name."""
        return dict(self.arrays)


def card_architecture(kind: Architecture, shape: Mapping[str, Any]) -> dict[str, Any]:
    """The card's `architecture` object, which the pack's digest covers."""
    return {"id": int(kind), "name": kind.label, **shape}


def to_half(tensor: Tensor) -> NDArray[np.float16]:
    """Array as float16, in C order: half the bytes, and far finer than training fixes a weight."""
    return np.array(tensor.detach().cpu().numpy(), np.float16, order="C")


def write_pack(folder: Path, card: dict[str, Any], tensors: Arrays) -> None:
    """Write a pack folder: weights first, then the card that makes it a pack, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / WEIGHTS, save(tensors), force=True)
    write_atomic(folder / CARD, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode(), force=True)
