"""A pack of the wavelet architecture with small random networks, as good as any to test coding with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiny_packs import TinyPack

from lrmcodec.decoders import refine_net
from lrmcodec.decoders.wavelet_coder import needed_tensors
from lrmcodec.decoders.wavelet_model import LOGIT_LIMIT, LOGIT_UNIT

SHAPE = {"channels": 5, "hidden": 6}


def random_pack() -> TinyPack:
    """Random weights; chances as their logits say."""
    rng = np.random.default_rng(3)
    tensors: dict[str, NDArray[Any]] = {
        name: rng.integers(-900, 900, shape).astype(kind) if kind == "int16" else rng.uniform(-0.1, 0.2, shape)
        for name, (shape, kind) in needed_tensors(**SHAPE).items()}
    logits = np.arange(-LOGIT_LIMIT, LOGIT_LIMIT + 1) / LOGIT_UNIT
    tensors["chances"] = np.clip(np.round(65536 / (1 + np.exp(-logits))), 1, 65535).astype(np.int32)
    tensors["offsets"] = tensors["offsets"].astype(np.float32)
    return TinyPack({"architecture": {"id": 5, "name": "wavelet", **SHAPE}}, tensors)


REFINE = {"refine_width": 7, "refine_depth": 4}


def refined_pack() -> TinyPack:
    """The same with a network behind it that changes pictures by about a tenth of a step."""
    rng = np.random.default_rng(4)
    tensors = dict(random_pack().arrays)
    for name, (shape, kind) in refine_net.needed_tensors(REFINE["refine_width"], REFINE["refine_depth"]).items():
        if name.endswith("gates"):
            tensors[name] = np.round(256 / (1 + np.exp(-np.arange(-255, 256) / 32))).astype(kind)
        else:
            first, last = ".0." in name, f".{REFINE['refine_depth'] - 1}." in name
            limits = {"weights": 127, "scale": 600 if first else 200_000 if last else 30000, "bias": 1 << 24}
            limit = limits[name.rpartition(".")[2]]
            tensors[name] = rng.integers(0 if name.endswith("scale") else -limit, limit, shape).astype(kind)
    return TinyPack({"architecture": {"id": 7, "name": "refined-wavelet", **SHAPE, **REFINE}}, tensors)
