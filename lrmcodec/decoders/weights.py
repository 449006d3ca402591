"""From a decoder pack to a network: hyper-parameters, tensors of the right shapes, device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lrmcodec.formats.errors import PackError

AGAIN = "Install the pack again."

Shape = TypeVar("Shape")


class PackLike(Protocol):
    """What a decoder needs of a pack (`formats.pack.Pack`)."""

    @property
    def card(self) -> Mapping[str, Any]:
        """Content of card.json."""

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Weights by name."""


def read_shape(pack: PackLike, kind: type[Shape]) -> Shape:
    """Hyper-parameters of a pack's card as the dataclass `kind`; PackError where one is missing."""
    card = pack.card["architecture"]
    try:
        return kind(**{key: card[key] for key in kind.__dataclass_fields__})  # type: ignore[attr-defined]
    except (KeyError, TypeError) as error:
        raise PackError(f"the card of pack '{pack.card.get('name')}' lacks the hyper-parameter {error}.",
                        AGAIN) from error


def read_tensors(pack: PackLike, needed: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Tensors of a pack as float32; PackError where one is missing or has another shape."""
    tensors = pack.tensors()
    for key, expected in needed.items():
        if key not in tensors or tensors[key].shape != expected:
            found = tensors[key].shape if key in tensors else "none"
            raise PackError(f"tensor '{key}' of pack '{pack.card.get('name')}' should have shape {expected}, found "
                            f"{found}.", AGAIN)
    return {key: tensors[key].astype(np.float32) for key in needed}


def pick_device(device: str) -> torch.device:
    """Device by name; 'auto' is the best there is."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
