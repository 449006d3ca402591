"""Training of what refines wavelet pictures: torch and whole numbers agree; runs learn, resume and repeat."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lrmcodec import codec
from lrmcodec.decoders.refine_net import INPUTS
from lrmcodec.decoders.refine_net import RefineNet as WholeNet
from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.formats.pack import load_pack
from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import coded_pages, refine_job
from lrmcodec.train.recipe import Data, Network, Recipe, RecipeError, Training, load_recipe
from lrmcodec.train.refine_net import RefineNet
from lrmcodec.train.refine_trainer import sample
from lrmcodec.train.run import run

RECIPE = Recipe("tiny", "refined", Data(simulated=3), Network(width=6, depth=3),
                Training(steps=60, clips=6, network_rate=0.01, check_every=20, start="wavelet"))


@pytest.fixture(autouse=True, scope="module")
def quick(phantom_pages: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine_job, "CODED_PAGES", 4)
        patch.setattr(coded_pages, "TEST_Q", (110.0,))
        patch.setattr(coded_pages, "TEST_PICTURES", 3)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    assert run(RECIPE, out, cache=cache).finished
    return out


def test_a_run_learns_and_its_pack_goes_through_the_codec(finished: Path) -> None:
    with (finished / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["train_left"]) < float(rows[0]["train_left"])
    assert float(rows[-1]["simulated_latent_left"]) < 1.02
    pack = load_pack(finished / "pack")
    base = load_pack(Path(codec.__file__).parent / "packs" / "wavelet").tensors()
    assert all(np.array_equal(pack.tensors()[name], value) for name, value in base.items())
    clip = Clip(random_phantom(50, frame_count=9, size=(40, 33)).clip.frames, uniform_times(9, 20.0))
    encoded = codec.encode(clip, rank=2, quality=70, pack=pack)
    assert codec.open(encoded.data, pack=str(finished / "pack")).frames().shape == (9, 40, 33)


def test_one_seed_gives_one_digest_also_when_interrupted(
        finished: Path, tmp_path: Path, cache: Path, interrupt_first_step: Callable[[float, str], None]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, tmp_path / "other", cache=cache, progress=interrupt_first_step)
    assert run(RECIPE, tmp_path / "other", cache=cache, resume=True).finished
    assert load_pack(tmp_path / "other" / "pack").digest == load_pack(finished / "pack").digest


def test_it_goes_behind_an_entropy_model_of_wavelets_alone(tmp_path: Path, cache: Path) -> None:
    wrong = replace(RECIPE, training=replace(RECIPE.training, start="spatial"))
    with pytest.raises(RecipeError, match="no entropy model"):
        run(wrong, tmp_path / "run", cache=cache)


def test_the_shipped_recipe_is_read() -> None:
    assert load_recipe("refine-net").structure == "refined"


def test_torch_computes_what_the_decoder_does_in_whole_numbers() -> None:
    net = RefineNet(8, 4, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for index, layer in enumerate(net.layers):
            layer.bias.normal_(0, 0.3, generator=torch.Generator().manual_seed(index))  # type: ignore[union-attr, operator]
        net.layers[-1].weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(9))  # type: ignore[union-attr, operator]
    maps = np.random.default_rng(0).integers(-900, 900, (9, 11, INPUTS))
    whole = WholeNet.from_tensors(net.tensors(), 4).residual(maps.astype(np.float64))
    inputs = torch.from_numpy(maps.transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        ours, floats = (net(inputs, rounded)[0].numpy().transpose(1, 2, 0) for rounded in (True, False))
    assert np.abs(whole).mean() > 0.1
    apart = np.abs(whole - ours).mean()  # halfway values may be rounded the other way
    assert apart < 0.01
    assert 3 * apart < np.abs(whole - floats).mean() < 0.1


def test_a_mirrored_and_turned_sample_is_the_same_picture() -> None:
    rng = np.random.default_rng(0)
    page = coded_pages.CodedPage(rng.normal(0, 3, (4, 12, 10)).astype(np.float32),
                                 rng.normal(0, 1, (4, 12, 10)).astype(np.float32), 100.0)
    at = (slice(0, 12), slice(0, 10))
    maps, missing, error = sample(page, 3, at)
    other, turned, _ = sample(page, 3, at, turned=True)
    np.testing.assert_array_equal(other[..., :4], -maps[..., :4])
    np.testing.assert_array_equal(other[..., 4:], maps[..., 4:])
    np.testing.assert_array_equal(turned, -missing)
    assert error == pytest.approx(float((page.missing[3]**2).mean()))
    mirror, back, _ = sample(page, 3, at, mirrored=True)
    np.testing.assert_array_equal(mirror[:, ::-1, [1, 0, 3, 2]], maps[..., :4])
    np.testing.assert_array_equal(back[:, ::-1, [1, 0, 3, 2]], missing)
    assert sample(page, 0, at, turned=True)[1].tolist() == sample(page, 0, at)[1].tolist()
