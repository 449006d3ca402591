"""Wavelet pictures with a network behind them: exact arithmetic, any size and number of threads, packs checked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from wavelet_pack import refined_pack

from lrmcodec import codec
from lrmcodec.decoders import refine_net
from lrmcodec.decoders.refine_net import (
    INPUTS,
    RefineNet,
    context_maps,
    logarithm,
    merge_planes,
    picture_planes,
    refined,
    side_inputs,
)
from lrmcodec.decoders.refined_wavelet import RefinedWaveletDecoder
from lrmcodec.decoders.wavelet import WaveletDecoder
from lrmcodec.decoders.wavelet_coder import decode_pictures, encode_pictures
from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import PackError
from lrmcodec.formats.pack import load_pack
from lrmcodec.simulate.heart.phantom import beating_heart

pytestmark = pytest.mark.usefixtures("quick_stills")

SIZE = (33, 42)
FRAMES = beating_heart(16, SIZE, seed=2).frames
DECODER = RefinedWaveletDecoder(refined_pack())
PICTURES = np.random.default_rng(1).normal(0, 3, (5, *SIZE)).cumsum(1)


def spelled_out(maps: NDArray[np.int64], tensors: dict[str, NDArray[Any]], depth: int) -> NDArray[np.float64]:
    """The network of SPEC.md in whole numbers of Python, place by place: what to add at (y, x), (h, w, 4)."""
    height, width, _ = maps.shape
    state = maps
    for index in range(depth):
        weights, scale, bias = (tensors[f"refine.{index}.{name}"].astype(object)
                                for name in ("weights", "scale", "bias"))
        outputs = np.zeros((height, width, len(scale)), object)
        padded = np.pad(state.astype(object), ((1, 1), (1, 1), (0, 0)))
        for y in range(height):
            for x in range(width):
                around = padded[y:y + 3, x:x + 3].transpose(2, 0, 1).ravel()
                outputs[y, x] = [(int(row @ around) * s + b + (1 << 23)) >> 24
                                 for row, s, b in zip(weights, scale, bias, strict=True)]
        if index == depth - 1:
            return outputs.astype(np.float64) / 256
        halves = np.clip(outputs, -255, 255)
        count = len(scale) // 2
        gates = tensors["refine.gates"].astype(object)[(halves[..., count:] + 255).astype(int)]
        gated = (halves[..., :count] * gates + 128) >> 8
        state = np.clip(state + gated, -255, 255) if index else gated
    raise AssertionError


def test_the_network_computes_what_its_whole_numbers_say() -> None:
    rng = np.random.default_rng(2)
    maps = rng.integers(-3000, 3000, (5, 6, INPUTS))
    pack = refined_pack()
    found = DECODER.net.residual(maps.astype(np.float64))
    np.testing.assert_array_equal(found, spelled_out(maps, pack.arrays, 4))
    assert 0.01 < np.abs(found).mean() < 2


def test_rows_at_a_time_give_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(2).integers(-3000, 3000, (23, 6, INPUTS)).astype(np.float64)
    whole = DECODER.net.residual(maps)
    for places in (1, 30, 42):
        monkeypatch.setattr(refine_net, "BAND_PLACES", places)
        np.testing.assert_array_equal(DECODER.net.residual(maps), whole)


def test_extreme_weights_stay_exact() -> None:
    pack = refined_pack()
    arrays = {name: np.full_like(value, 127) if name.endswith("weights") else value
              for name, value in pack.arrays.items()}
    net = RefineNet.from_tensors(arrays, 4)
    maps = np.full((3, 3, INPUTS), 8191)
    np.testing.assert_array_equal(net.residual(maps.astype(np.float64)), spelled_out(maps, arrays, 4))


def test_logarithm_is_close_to_the_true_one_and_odd() -> None:
    values = np.array([0, 1, -1, 31, 32, -500, 12345, 1 << 40])
    true = np.sign(values) * np.minimum(256 * np.log2(1 + np.abs(values) / 32), 8191)
    np.testing.assert_allclose(logarithm(values), true, atol=256 * 0.0861 + 1)
    np.testing.assert_array_equal(logarithm(-values), -logarithm(values))


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (17, 33)])
def test_planes_of_any_size_are_put_together_again(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).normal(0, 5, size)
    planes = picture_planes(picture)
    assert planes.shape == ((size[0] + 1) // 2, (size[1] + 1) // 2, 4)
    np.testing.assert_array_equal(merge_planes(planes.astype(np.float64), size),
                                  logarithm(np.floor(32 * picture + 0.5).astype(np.int64)))


def test_a_picture_is_refined_from_the_latent_and_two_before() -> None:
    whole = np.array(list(refined(iter(PICTURES), 80, DECODER.net)))
    assert whole.shape == PICTURES.shape
    for changed, same in ((1, (0,)), (0, ()), (4, (0, 1, 2, 3))):
        others = PICTURES.copy()
        others[changed] += 1
        again = np.array(list(refined(iter(others), 80, DECODER.net)))
        assert [index for index in range(5) if np.array_equal(again[index], whole[index])] >= list(same)
    others = PICTURES.copy()
    others[1] += 1
    again = np.array(list(refined(iter(others), 80, DECODER.net)))
    assert [np.array_equal(again[index], whole[index]) for index in range(5)] == [True, False, False, False, True]


def test_maps_name_step_and_number() -> None:
    assert side_inputs(130, 0) == (0, -512)
    assert side_inputs(66, 1) == (-256, 0)
    assert side_inputs(194, 8) == (256, 384)
    seen = [np.full((2, 2, 4), value) for value in (7, 5, 3)]
    maps = context_maps(seen, 130, 2)
    assert maps[0, 0].tolist() == [5] * 4 + [7] * 4 + [3] * 4 + [0] * 4 + [0, 128]
    assert context_maps(seen[:1], 130, 0)[0, 0].tolist() == [7] * 8 + [0] * 8 + [0, -512]


@pytest.mark.parametrize("q", [40, 120])
def test_the_choice_of_integers_allows_for_what_will_be_added(q: float) -> None:
    """Squared error plus weight times bits, of the whole and of every picture before the others change."""
    pictures, weight = PICTURES / 3, 0.1

    def cost(count: int, *, refined_too: bool) -> float:
        refiner = DECODER.refiner(q) if refined_too else None
        data, told = encode_pictures(pictures[:count], q, DECODER.model, weight, refiner)
        decoded = list(decode_pictures(data, SIZE, count - 1, q, DECODER.model))
        shown = np.array(list(refined(iter(decoded), q, DECODER.net)))
        assert np.array_equal(told, shown if refined_too else decoded)
        return float(np.sum((pictures[:count] - shown)**2)) + weight * 8 * len(data)

    assert cost(1, refined_too=True) <= cost(1, refined_too=False) + 8 * weight
    assert cost(5, refined_too=True) < cost(5, refined_too=False)


@pytest.mark.parametrize("rank", [0, 3])
def test_what_was_coded_is_restored_and_refined(rank: int) -> None:
    fitted = DECODER.fit(FRAMES, 6, 0, lambda fraction, label: None)
    components = DECODER.code(fitted, rank, 90)
    ours = DECODER.restore(components, len(FRAMES), SIZE, rank, 90)
    plain = WaveletDecoder(refined_pack()).restore(components, len(FRAMES), SIZE, rank, 90)
    assert not np.array_equal(ours.latent, plain.latent)
    assert np.abs(ours.latent - plain.latent).max() < 3 * 0.0096 * 4
    np.testing.assert_array_equal(ours.coeffs, plain.coeffs)
    assert set(components) <= {Component.WAVELETS, Component.COEFFS, Component.DARK}
    quick = DECODER.code(fitted, rank, 90, final=False)
    assert Component.PICTURES in quick
    assert DECODER.restore(quick, len(FRAMES), SIZE, rank, 90).basis is not None


def test_a_pack_of_it_goes_through_the_codec(tmp_path: Path) -> None:
    save_file(refined_pack().arrays, tmp_path / "weights.safetensors")
    (tmp_path / "card.json").write_text(json.dumps({"name": "random", **refined_pack().card}))
    clip = Clip(FRAMES, uniform_times(len(FRAMES), 50))
    encoded = codec.encode(clip, quality=70, rank=2, pack=load_pack(tmp_path))
    file = codec.open(encoded.data, pack=str(tmp_path))
    assert file.frames().shape == FRAMES.shape


def test_packs_that_lack_something_are_refused() -> None:
    pack = refined_pack()
    wrong: list[tuple[str, NDArray[Any]]] = [
        ("refine.1.weights", np.zeros((2, 2), np.int8)), ("refine.0.scale", np.full(14, -1, np.int32)),
        ("refine.2.scale", np.full(14, 1 << 24, np.int32)), ("refine.gates", np.zeros(511, np.int32))]
    for key, array in wrong:
        with pytest.raises(PackError, match="pack 'tiny'"):
            RefinedWaveletDecoder(replace(pack, arrays={**pack.arrays, key: array}))
    for change in ({"refine_width": 57}, {"refine_depth": 1}, {"refine_depth": "4"}, {"refine_width": None}):
        card = {"architecture": {**pack.card["architecture"], **change}}
        with pytest.raises(PackError, match="refine_width"):
            RefinedWaveletDecoder(replace(pack, card=card))


DIGEST = """
import hashlib, sys
import numpy as np
from safetensors.numpy import load_file
from lrmcodec.decoders.refine_net import RefineNet, refined
pictures = np.random.default_rng(1).normal(0, 3, (5, 33, 42)).cumsum(1)
read = refined(iter(pictures), 80, RefineNet.from_tensors(load_file({weights!r}), 4))
print(hashlib.sha256(b"".join(picture.tobytes() for picture in read)).hexdigest())
assert "torch" not in sys.modules
"""


def test_any_number_of_threads_gives_the_same(tmp_path: Path) -> None:
    save_file(refined_pack().arrays, tmp_path / "weights.safetensors")
    code = DIGEST.format(weights=str(tmp_path / "weights.safetensors"))
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=env, check=True, capture_output=True, text=True)
    whole = hashlib.sha256(b"".join(picture.tobytes() for picture in refined(iter(PICTURES), 80, DECODER.net)))
    assert done.stdout.strip() == whole.hexdigest()
