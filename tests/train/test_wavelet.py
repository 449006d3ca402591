"""Training of the entropy model: the networks in torch and in integers agree, runs learn, resume and repeat."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.decoders.wavelet import WaveletDecoder
from lrmcodec.decoders.wavelet_coder import PictureModel, encode_pictures, level_sizes
from lrmcodec.decoders.wavelet_contexts import cut_bands
from lrmcodec.decoders.wavelet_transform import merge_level
from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.formats.pack import load_pack
from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import wavelet_job
from lrmcodec.train.recipe import Data, Network, Recipe, RecipeError, Training
from lrmcodec.train.run import Outcome, run
from lrmcodec.train.wavelet_job import with_tables
from lrmcodec.train.wavelet_tables import chance_table
from lrmcodec.train.wavelet_trainer import WaveletTrainer, choose, quantize

RECIPE = Recipe("tiny", "wavelet", Data(simulated=4), Network(channels=6, width=5),
                Training(steps=20, network_rate=0.01, check_every=10))


@pytest.fixture(autouse=True, scope="module")
def quick(phantom_pages: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavelet_job, "OFFSET_PAGES", 2)
        yield


def train(out: Path, cache: Path, recipe: Recipe = RECIPE, **options: Any) -> Outcome:
    return run(recipe, out, cache=cache, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    assert train(out, cache).finished
    return out


def test_a_run_learns_and_its_pack_goes_through_the_codec(finished: Path) -> None:
    with (finished / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["simulated_bytes"]) < float(rows[0]["simulated_bytes"])
    clip = Clip(random_phantom(50, frame_count=9, size=(40, 33)).clip.frames, uniform_times(9, 20.0))
    encoded = codec.encode(clip, rank=2, quality=70, pack=load_pack(finished / "pack"))
    file = codec.open(encoded.data, pack=str(finished / "pack"))
    assert (file.rank, file.frames().shape) == (2, (9, 40, 33))
    assert encoded.report.psnr_db > 20


def test_one_seed_gives_one_digest_also_when_interrupted(
        finished: Path, tmp_path: Path, cache: Path, interrupt_first_step: Callable[[float, str], None]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "other", cache, progress=interrupt_first_step)
    assert train(tmp_path / "other", cache, resume=True).finished
    assert load_pack(tmp_path / "other" / "pack").digest == load_pack(finished / "pack").digest


def test_a_run_starts_from_a_pack(finished: Path, tmp_path: Path, cache: Path) -> None:
    start = str(finished / "pack")
    more = replace(RECIPE, training=replace(RECIPE.training, start=start, steps=1, network_rate=1e-9))
    train(tmp_path / "more", cache, more)
    old, new = (load_pack(path / "pack").tensors() for path in (finished, tmp_path / "more"))
    for name in old:
        if old[name].dtype == np.int16:
            np.testing.assert_allclose(old[name].astype(int), new[name].astype(int), atol=1, err_msg=name)
    other = replace(more, network=replace(more.network, width=7))
    with pytest.raises(RecipeError, match="another architecture or size"):
        train(tmp_path / "wrong", cache, other)


def test_a_checkpoint_of_another_recipe_is_refused(finished: Path, cache: Path) -> None:
    with pytest.raises(RecipeError, match="another recipe"):
        train(finished, cache, replace(RECIPE, training=replace(RECIPE.training, steps=99)), resume=True)


def a_page() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return (rng.normal(0, 20, (4, 33, 40)).cumsum(1) / 3).astype(np.float32)


def test_bits_in_torch_are_those_of_the_integer_coder(finished: Path) -> None:
    trainer = WaveletTrainer(RECIPE, {})
    decoder = WaveletDecoder(load_pack(finished / "pack"))
    tensors = load_pack(finished / "pack").tensors()
    trainer.take(tensors)
    page, q = a_page(), 120.0
    levels = quantize(page, q, 0.1)
    bits = sum(float(trainer.bits(levels, part, q, None).sum().detach()) for part in ([0], [1, 2, 3]))
    model = replace(decoder.model, offsets=np.zeros_like(decoder.model.offsets))
    rebuilt = _rebuild(levels, page, q)
    data, coded = encode_pictures(rebuilt, q, model, 0.0)  # whole steps stay as they are: nothing else costs less error
    np.testing.assert_allclose(coded, rebuilt, atol=1e-9)
    assert 8 * len(data) == pytest.approx(bits, rel=0.01, abs=8 * 12)  # coarsest values are not counted in `bits`


def _rebuild(levels: dict[int, Any], page: NDArray[np.float32], q: float) -> NDArray[np.float64]:

    sizes = level_sizes((page.shape[1], page.shape[2]))
    pictures = []
    for index in range(len(page)):
        values = levels[len(sizes) - 1][0][index] / 4
        for level in range(len(sizes) - 1, -1, -1):
            values = merge_level(values, cut_bands(levels[level][1][index].astype(np.float64), sizes[level]))
        pictures.append(values)
    return np.array(pictures)


def test_chosen_integers_are_zero_where_little_is_around() -> None:
    lonely, busy = np.zeros((1, 9, 9)), np.full((1, 9, 9), 0.9)
    lonely[0, 4, 4] = busy[0, 4, 4] = 0.9
    assert choose(lonely, 0.13)[0, 4, 4] == 0
    assert choose(-busy, 0.13)[0, 4, 4] == -1
    assert choose(np.array([[[7.6]]]), 0.13)[0, 0, 0] == 8


def test_chances_follow_the_logistic_function() -> None:
    table = chance_table()
    logits = np.arange(-768, 769) / 64
    np.testing.assert_allclose(table, np.clip(65536 / (1 + np.exp(-logits)), 1, 65535), atol=0.5001)
    assert (table + table[::-1])[300:-300].tolist() == [65536] * (len(table) - 600)


def test_tables_lower_error_and_bits(finished: Path, cache: Path) -> None:
    weights = {name: value for name, value in load_pack(finished / "pack").tensors().items() if value.dtype == np.int16}
    files = {"all": sorted(cache.glob("*.npy"))}
    tensors = with_tables(weights, files)
    page = np.load(files["all"][0])[:4].astype(np.float64) / 64 / 255 / 0.0448
    costs = []
    for offsets in (np.zeros_like(tensors["offsets"]), tensors["offsets"]):
        data, coded = encode_pictures(page, 100, PictureModel.from_tensors({**tensors, "offsets": offsets}), 0.13)
        costs.append(float(((coded - page)**2).sum()) + 0.13 * 8 * len(data))
    assert costs[1] < costs[0]
