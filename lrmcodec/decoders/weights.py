"""From a decoder pack to a network: hyper-parameters, tensors of the right shapes, device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lrmcodec.decoders.base import PackLike
from lrmcodec.formats.errors import DeviceError, PackError

AGAIN = "Install the pack again."

Shape = TypeVar("Shape")
Net = TypeVar("Net", bound=nn.Module)


def read_shape(pack: PackLike, kind: type[Shape]) -> Shape:
    """Hyper-parameters of a pack's card as the dataclass `kind`; PackError where one is missing."""
    card = pack.card["architecture"]
    try:
        return kind(**{key: card[key] for key in kind.__dataclass_fields__})  # type: ignore[attr-defined]
    except (KeyError, TypeError) as error:
        raise PackError(f"the card of pack '{pack.name}' lacks the hyper-parameter {error}.",
                        AGAIN) from error


def read_tensors(pack: PackLike, needed: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Tensors of a pack as float32; PackError where one is missing or has another shape."""
    tensors = pack.tensors()
    for key, expected in needed.items():
        if key not in tensors or tensors[key].shape != expected:
            found = tensors[key].shape if key in tensors else "none"
            raise PackError(f"tensor '{key}' of pack '{pack.name}' should have shape {expected}, found "
                            f"{found}.", AGAIN)
    return {key: tensors[key].astype(np.float32) for key in needed}


def load_weights(net: Net, tensors: Mapping[str, NDArray[np.float32]], prefix: str, device: torch.device) -> Net:
    """The network with a pack's tensors, named `prefix` and its own name for each; frozen, on the device."""
    net.load_state_dict({key: torch.from_numpy(tensors[f"{prefix}{key}"].copy()) for key in net.state_dict()})
    return net.requires_grad_(False).to(device)


def pick_device(device: str) -> torch.device:
    """Device of the name 'cpu' or 'cuda'; 'auto' is the best there is.

    Raises
    ------
    DeviceError
        When it is 'cuda' and no GPU can be used.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        build = "" if torch.version.cuda else f"; torch {torch.__version__} is a build without CUDA"
        raise DeviceError(f"the device 'cuda' was asked for, and no GPU can be used here{build}.",
                          "Choose 'cpu' or 'auto'.")
    return torch.device("cuda" if device == "auto" and has_gpu else "cpu" if device == "auto" else device)
