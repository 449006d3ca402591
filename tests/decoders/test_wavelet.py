"""The wavelet decoder: what was coded is restored, in any number of threads; damaged payloads are refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from wavelet_pack import random_pack

from lrmcodec import codec
from lrmcodec.decoders.base import FittedSegment
from lrmcodec.decoders.spatial import SpatialDecoder
from lrmcodec.decoders.wavelet import WaveletDecoder
from lrmcodec.decoders.wavelet_coder import decode_norms, decode_pictures, encode_pictures
from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import FormatError, PackError
from lrmcodec.formats.pack import load_pack
from lrmcodec.simulate.heart.phantom import beating_heart

pytestmark = pytest.mark.usefixtures("quick_stills")

SIZE = (25, 34)
FRAMES = beating_heart(12, SIZE, seed=2).frames
DECODER = WaveletDecoder(random_pack())
PAYLOADS = {Component.PICTURES, Component.WAVELETS}


@pytest.fixture(scope="module")
def fitted() -> FittedSegment:
    return DECODER.fit(FRAMES, 6, 0, lambda fraction, label: None)


def test_pictures_are_read_as_they_were_written() -> None:
    pictures = np.random.default_rng(1).normal(0, 4, (4, *SIZE)).cumsum(1)
    data, coded = encode_pictures(pictures, 80, DECODER.model, 0.1)
    read = list(decode_pictures(data, SIZE, 3, 80, DECODER.model))
    np.testing.assert_array_equal(read, coded)
    assert np.sqrt(((coded - pictures)**2).mean()) < 0.6


def test_norms_are_read_before_the_pictures() -> None:
    pictures = np.random.default_rng(1).normal(0, 4, (5, *SIZE)) * np.array([9, 5, 0, 3, 0.5])[:, None, None]
    data, coded = encode_pictures(pictures, 80, DECODER.model, 0.1)
    norms = np.sqrt((coded[1:]**2).sum((1, 2)))
    found = decode_norms(data, 4)
    assert (found == 0).tolist() == (norms < 1).tolist()
    np.testing.assert_allclose(found[norms >= 1], norms[norms >= 1], rtol=0.19)
    np.testing.assert_array_equal(decode_norms(data[:24], 4), found)


def test_coefficients_need_no_pictures(fitted: FittedSegment) -> None:
    components = DECODER.code(fitted, 3, 90)
    whole = DECODER.restore(components, len(FRAMES), SIZE, 3, 90).coeffs
    cut = {**components, Component.WAVELETS: components[Component.WAVELETS][:8]}
    np.testing.assert_array_equal(DECODER.restore_coeffs(cut, len(FRAMES), SIZE, 3, 90), whole)


def test_a_prefix_of_the_pictures_needs_no_later_ones() -> None:
    pictures = np.random.default_rng(1).normal(0, 4, (3, *SIZE))
    one, several = (encode_pictures(pictures[:count], 80, DECODER.model, 0.1)[1] for count in (1, 3))
    np.testing.assert_array_equal(several[:1], one)


@pytest.mark.parametrize("rank", [0, 1, 6])
@pytest.mark.parametrize("q", [10, 90.5, 200])
def test_what_was_coded_is_restored(fitted: FittedSegment, rank: int, q: float) -> None:
    components = DECODER.code(fitted, rank, q)
    restored = DECODER.restore(components, len(FRAMES), SIZE, rank, q)
    assert set(components) <= {Component.WAVELETS, Component.COEFFS, Component.DARK}
    assert restored.basis is not None
    assert restored.basis.shape == (rank, *SIZE)
    error = DECODER.render(restored, restored.coeffs) - FRAMES / 255
    best = fitted.latent + np.tensordot(fitted.coeffs[:, :rank], fitted.basis[:rank], 1)  # type: ignore[index]
    step = 0.0096 * 2 ** (q / 45)
    assert (error**2).mean() < ((best - FRAMES / 255)**2).mean() + 1.2 * step**2 + 1e-5


def test_finer_steps_take_more_bytes_and_err_less(fitted: FittedSegment) -> None:
    coded = [DECODER.code(fitted, 4, q) for q in (40, 90, 140)]
    sizes = [len(item[Component.WAVELETS]) for item in coded]
    restored = [DECODER.restore(item, len(FRAMES), SIZE, 4, q) for item, q in zip(coded, (40, 90, 140), strict=True)]
    errors = [float(((DECODER.render(item, item.coeffs) - FRAMES / 255)**2).mean()) for item in restored]
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


def test_below_index_0_the_steps_of_0_take_more_bytes_and_err_less(fitted: FittedSegment) -> None:
    indices = (0, -8, DECODER.min_q)
    coded = [DECODER.code(fitted, 6, q) for q in indices]
    sizes = [len(item[Component.WAVELETS]) for item in coded]
    restored = [DECODER.restore(item, len(FRAMES), SIZE, 6, 0) for item in coded]
    errors = [float(((DECODER.render(item, item.coeffs) - FRAMES / 255)**2).mean()) for item in restored]
    assert sizes == sorted(sizes)
    assert sizes[0] * 1.01 < sizes[-1]
    assert errors == sorted(errors, reverse=True)


def test_stills_are_read_as_well(fitted: FittedSegment) -> None:
    quick = DECODER.code(fitted, 3, 90, final=False)
    other = DECODER.alternative(0).code(fitted, 3, 90)
    for components in (quick, other):
        assert Component.PICTURES in components
        ours = DECODER.restore(components, len(FRAMES), SIZE, 3, 90)
        theirs = SpatialDecoder(random_pack()).restore(components, len(FRAMES), SIZE, 3, 90)
        np.testing.assert_array_equal(ours.latent, theirs.latent)
        np.testing.assert_array_equal(ours.coeffs, theirs.coeffs)


@pytest.fixture(scope="module")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack on disk; its networks know nothing, so that stills take fewer bytes."""
    folder = tmp_path_factory.mktemp("pack")
    save_file(random_pack().arrays, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps({"name": "random", **random_pack().card}))
    return folder


def test_stills_are_chosen_where_they_are_better(random_folder: Path) -> None:
    clip = Clip(FRAMES, uniform_times(len(FRAMES), 50))
    encoded = codec.encode(clip, size_bytes=900, rank=3, pack=load_pack(random_folder))
    file = codec.open(encoded.data, pack=str(random_folder))
    assert [set(segment.components) & PAYLOADS for segment in file.coded.segments] == [{Component.PICTURES}]
    assert 0.97 * 900 <= len(encoded.data) <= 900
    assert codec.decode(encoded.data, pack=str(random_folder)).frames.shape == FRAMES.shape


@pytest.mark.parametrize("target", [{"ratio": 30}, {"psnr_db": 30}, {"quality": 70}])
def test_the_shipped_pack_is_never_worse_than_stills(target: dict[str, float]) -> None:
    clip = Clip(FRAMES, uniform_times(len(FRAMES), 50))
    ours, stills = (codec.encode(clip, rank=3, pack=pack, **target).report for pack in ("wavelet", "spatial"))
    octaves = np.log2(ours.size_bytes / stills.size_bytes)
    if "psnr_db" in target:
        assert octaves <= 0
    elif "ratio" in target:
        assert ours.psnr_db >= stills.psnr_db - 0.01
    else:
        assert ours.psnr_db - 1.5 * octaves >= stills.psnr_db - 0.01


def only_format_errors(read: Callable[[], object]) -> None:
    try:
        read()
    except FormatError:
        return


def test_damaged_payloads_give_pictures_or_a_format_error(fitted: FittedSegment) -> None:
    components = DECODER.code(fitted, 2, 150)
    data = components[Component.WAVELETS]
    rng = np.random.default_rng(5)
    hostile = [data[:length] for length in (0, 1, 2, 5, len(data) // 2, len(data) - 1)]
    hostile += [bytes(rng.integers(0, 256, 40, np.uint8)) for _ in range(6)] + [b"\xff" * 200, data + b"\x55" * 9]
    for position in range(0, len(data), len(data) // 6):
        hostile.append(data[:position] + bytes((data[position] ^ 0x40,)) + data[position + 1:])
    for wavelets in hostile:
        only_format_errors(lambda wavelets=wavelets: DECODER.restore(
            {Component.WAVELETS: wavelets}, len(FRAMES), SIZE, 2, 150))


def test_endless_ones_are_refused() -> None:
    with pytest.raises(FormatError):
        DECODER.restore({Component.WAVELETS: b"\xff" * 400}, len(FRAMES), SIZE, 2, 150)


def test_packs_that_lack_something_are_refused() -> None:
    pack = random_pack()
    for key, array in (("basis.near", np.zeros((2, 2), np.int16)), ("chances", np.zeros(1537, np.int32)),
                       ("latent.first", pack.arrays["latent.first"].astype(np.float32))):
        with pytest.raises(PackError, match="pack 'tiny'"):
            WaveletDecoder(replace(pack, arrays={**pack.arrays, key: array}))
    with pytest.raises(PackError, match="channels"):
        WaveletDecoder(replace(pack, card={"architecture": {"id": 5}}))


DIGEST = """
import hashlib, sys
from safetensors.numpy import load_file
from lrmcodec.decoders.wavelet_coder import PictureModel, decode_pictures
read = decode_pictures(bytes.fromhex({data!r}), (25, 34), 2, 80, PictureModel.from_tensors(load_file({weights!r})))
print(hashlib.sha256(b"".join(picture.tobytes() for picture in read)).hexdigest())
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_any_number_of_threads_reads_the_same(threads: str, tmp_path: Path) -> None:
    save_file(random_pack().arrays, tmp_path / "weights.safetensors")
    pictures = np.random.default_rng(1).normal(0, 4, (3, *SIZE)).cumsum(1)
    data, coded = encode_pictures(pictures, 80, DECODER.model, 0.1)
    code = DIGEST.format(weights=str(tmp_path / "weights.safetensors"), data=data.hex())
    env = {**os.environ, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=env, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == hashlib.sha256(coded.tobytes()).hexdigest()
