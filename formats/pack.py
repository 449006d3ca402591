"""Decoder packs: a folder with `card.json` and, if the decoder has weights, `weights.safetensors`.

A pack is known by its digest, SHA-256 over the card's `architecture` object (canonical JSON) and the tensors
(name, dtype, shape, bytes, sorted by name). Descriptive text of the card may be corrected without a new digest;
nothing that changes a decoded pixel may. Loading executes no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lrmcodec.formats.container import PACK_ID_BYTES
from lrmcodec.formats.errors import PackError

CARD, WEIGHTS = "card.json", "weights.safetensors"


@dataclass(frozen=True)
class Pack:
    """A decoder pack on disk.

    Attributes
    ----------
    path : Path
        Its folder.
    card : mapping
        Content of card.json: `name`, `architecture` (`id`, `name` and hyper-parameters), `training`, `licence`,
        `quality`, `limits`.
    """

    path: Path
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name to give to `--pack`."""
        return str(self.card["name"])

    @property
    def arch_id(self) -> int:
        """Frozen id of the decoder architecture."""
        return int(self.card["architecture"]["id"])

    @property
    def weight_bytes(self) -> int:
        """Size of the weights on disk; they are shared by all files and not counted in their ratio."""
        weights = self.path / WEIGHTS
        return weights.stat().st_size if weights.exists() else 0

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Weights by name; empty for a decoder without any."""
        return dict(self._tensors)

    @cached_property
    def _tensors(self) -> dict[str, NDArray[Any]]:
        if not (self.path / WEIGHTS).exists():
            return {}
        try:
            return load_file(self.path / WEIGHTS)
        except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:  # also types numpy lacks
            raise PackError(f"the weights in {self.path} cannot be read ({error}).",
                            "Install the pack again.") from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        sha = hashlib.sha256(json.dumps(self.card["architecture"], sort_keys=True, separators=(",", ":")).encode())
        for name, tensor in sorted(self._tensors.items()):
            sha.update(f"{name}:{tensor.dtype.str}:{tensor.shape}".encode())
            sha.update(np.ascontiguousarray(tensor).tobytes())
        return sha.hexdigest()

    @property
    def pack_id(self) -> bytes:
        """What a file stores: the digest's first eight bytes."""
        return bytes.fromhex(self.digest)[:PACK_ID_BYTES]


def load_pack(path: Path) -> Pack:
    """Open a pack folder.

    Raises
    ------
    PackError
        When the folder, its card or a needed entry is missing or unreadable.
    """
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackError(f"{path} is not a decoder pack: it has no {CARD}.",
                        "'lrmcodec packs' lists the shipped ones.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise PackError(f"{path / CARD} cannot be read ({error}).", "Install the pack again.") from error
    architecture = card.get("architecture") if isinstance(card, dict) else None
    if not isinstance(architecture, dict) or not isinstance(architecture.get("id"), int) or "name" not in card:
        raise PackError(f"{path / CARD} names no architecture id.", "Install the pack again.")
    return Pack(path, card)
