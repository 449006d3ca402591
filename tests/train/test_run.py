"""Training: every structure learns, packs go through the codec, runs resume and repeat, recipes are checked."""

from __future__ import annotations

import csv
import functools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrmcodec import codec, simulate
from lrmcodec.decoders import grid_fit
from lrmcodec.formats.clip import Clip, uniform_times
from lrmcodec.formats.errors import OutputError
from lrmcodec.formats.pack import load_pack
from lrmcodec.simulate.heart.phantom import random_phantom
from lrmcodec.train import data as data_module
from lrmcodec.train import frame_job, loop
from lrmcodec.train.checkpoint import append_log, load_state, save_state
from lrmcodec.train.data import Frames
from lrmcodec.train.grid_trainer import GridTrainer
from lrmcodec.train.optimizer import RowAdam, schedule
from lrmcodec.train.pool import Pool, cached, make_pool, simulator_digest
from lrmcodec.train.recipe import Data, Network, Recipe, RecipeError, Training, load_recipe, shipped_recipes
from lrmcodec.train.run import run, trained_pack
from lrmcodec.train.start import load_start
from lrmcodec.train.trainer import make_trainer

DATA = Data(simulated=6, size=32, frames=6)
NETWORK = Network(width=24, depth=4, channels=4, motion_channels=2, grid=6, max_rank=4, w0_first=30.0, w0_last=12.0)
GATED = Network(width=16, depth=3, gates=3, gate_grid=4, max_rank=4, w0_first=10.0, w0_last=10.0)
CONV = Network(width=12, latent_size=16, max_rank=4)
TRAINING = Training(steps=40, clips=4, frames=2, pixels=64, ranks=(1, 2, 4, 4), network_rate=3e-3, latent_rate=0.1,
                    noise=0.02, check_every=20)
STRUCTURES = {"lrm-ortho": ("low-rank", True), "lrm-basic": ("low-rank", False), "vidfuncta": ("video", False),
              "framewise": ("framewise", False)}
PICTURES = ("wavelet", "refined")
"""Structures trained on pictures alone."""


def phantoms(preset: str, first: int, clips: int, frames: int, size: tuple[int, int], fps: float,
             device: str = "cpu") -> list[Frames]:
    """Quick hearts in the place of the simulator's."""
    return [random_phantom(seed, frame_count=frames, size=size).clip.frames
            for seed in range(first, first + clips)]


@pytest.fixture(autouse=True)
def quick_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick hearts, one of them held out, and short fits of it."""
    torch.set_num_threads(1)
    monkeypatch.setattr(data_module, "simulated_clips", phantoms)
    monkeypatch.setattr(frame_job, "held_out", functools.partial(data_module.held_out, clip_count=1))
    for name, steps in (("MEAN_STEPS", 4), ("ROUNDS", 2)):
        monkeypatch.setattr(grid_fit, name, steps)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return make_pool({"simulated": phantoms("", 0, 6, 6, (32, 32), 20.0)})


def recipe_of(name: str, **training: Any) -> Recipe:
    if name == "autoencoder":
        return Recipe(name, name, DATA, CONV, replace(TRAINING, clips=3, **training))
    if name.startswith("gated"):
        given = {"method": "projected", "clips": 1, "inner_steps": 1, "noise": 0.01, "pixels": 256,
                 "orthonormal": name == "gated-ortho", "network_rate": 1e-3, **training}
        return Recipe(name, "low-rank", DATA, GATED, replace(TRAINING, **given))
    structure, orthonormal = STRUCTURES[name]
    return Recipe(name, structure, DATA, NETWORK, replace(TRAINING, orthonormal=orthonormal, **training))


@pytest.mark.parametrize("name", [*STRUCTURES, "autoencoder"])
def test_every_structure_learns_and_its_pack_goes_through_the_codec(name: str, tmp_path: Path) -> None:
    steps = 50 if name == "autoencoder" else 60
    recipe = recipe_of(name, steps=steps, check_every=steps // 2)
    outcome = run(recipe, tmp_path / "run", cache=tmp_path / "clips")
    assert outcome.finished
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert float(rows[1]["train_psnr_db"]) > float(rows[0]["train_psnr_db"]) + 0.5
    assert {"simulated_psnr_db", "simulated_ssim3d"} <= set(rows[0])
    pack = trained_pack(tmp_path / "run")
    clip = Clip(phantoms("", 50, 1, 8, (32, 40), 20.0)[0], uniform_times(8, 20.0))
    encoded = codec.encode(clip, rank=2, quality=90, pack=pack, device="cpu")
    file = codec.open(encoded.data, pack=str(pack.path), device="cpu")
    assert (file.rank, file.frames().shape) == (2, (8, 32, 40))
    assert encoded.report.psnr_db > 10


@pytest.mark.parametrize("name", ["gated-ortho", "gated-basic"])
def test_networks_with_gates_learn_resume_exactly_and_start_from_packs(name: str, tmp_path: Path) -> None:
    recipe = recipe_of(name, steps=40, check_every=20)
    whole = run(recipe, tmp_path / "whole", cache=tmp_path / "clips")
    for minutes in (1e-9, None):
        run(recipe, tmp_path / "parts", cache=tmp_path / "clips", minutes=minutes, resume=minutes is None)
    pack = trained_pack(tmp_path / "whole")
    assert whole.finished
    assert trained_pack(tmp_path / "parts").digest == pack.digest
    basis = pack.tensors()["basis"].astype(np.float64)
    assert (np.abs(basis.T @ basis - np.eye(4)).max() < 5e-3) == (name == "gated-ortho")
    trainer = make_trainer(recipe_of("gated-ortho"), make_pool({"simulated": phantoms("", 0, 2, 6, (32, 32), 20.0)}))
    load_start(trainer, str(tmp_path / "whole" / "pack"))
    weights = trainer.modules.net.last_weight.detach().numpy()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(weights, pack.tensors()["last_weight"].astype(np.float32))
    wide = replace(recipe_of("gated-ortho"), network=replace(GATED, width=20))
    with pytest.raises(RecipeError, match="width"):
        load_start(make_trainer(wide, trainer.pool), str(tmp_path / "whole" / "pack"))


def test_steps_lower_the_error_by_meta_learning(pool: Pool) -> None:
    recipe = recipe_of("lrm-ortho", method="meta", inner_steps=3, inner_rate=3.0, pixels=96, steps=60)
    trainer = GridTrainer(recipe, pool)
    errors = [trainer.step() for _ in range(60)]
    assert np.mean(errors[-10:]) < 0.6 * np.mean(errors[:10])
    assert not trainer.latents.table.any()


def test_an_orthonormal_basis_stays_so_and_a_video_one_in_its_channels(pool: Pool) -> None:
    ortho, video = (GridTrainer(recipe_of(name), pool) for name in ("lrm-ortho", "vidfuncta"))
    for _ in range(30):
        ortho.step()
        video.step()
    gram = (ortho.modules.basis.T @ ortho.modules.basis).detach()
    torch.testing.assert_close(gram, torch.eye(NETWORK.max_rank), atol=2e-3, rtol=0)
    shape = video.shape
    assert (shape.channels, shape.latent_channels) == (6, 4)
    assert not video.modules.basis[:shape.latent_size].any()
    assert not video.latents.table[:, shape.latent_size:].any()


def test_framewise_codes_have_no_latent(pool: Pool) -> None:
    trainer = GridTrainer(recipe_of("framewise"), pool)
    trainer.step()
    assert trainer.shape.latent_size == 0
    assert not trainer.latents.table.any()
    assert trainer.modules.mean.any()


def test_one_seed_gives_one_digest_and_another_another(tmp_path: Path) -> None:
    digests = []
    for index, seed in enumerate((0, 0, 1)):
        out = tmp_path / str(index)
        run(recipe_of("lrm-ortho", seed=seed, steps=8), out, cache=tmp_path / "clips")
        digests.append(trained_pack(out).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("name", ["lrm-ortho", "autoencoder"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(name: str, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_STEPS", 5)

    def interrupt(fraction: float, label: str) -> None:
        if label.startswith("step 10"):
            raise KeyboardInterrupt

    recipe = recipe_of(name, steps=15)
    run(recipe, tmp_path / "whole", cache=tmp_path / "clips")
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "parts", cache=tmp_path / "clips", progress=interrupt)
    assert load_state(tmp_path / "parts" / "state.pt")["trainer"]["step_count"] == 10
    outcome = run(recipe, tmp_path / "parts", cache=tmp_path / "clips", resume=True)
    assert (outcome.step_count, outcome.finished) == (15, True)
    assert trained_pack(tmp_path / "parts").digest == trained_pack(tmp_path / "whole").digest


def test_a_run_stops_in_time_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    outcome = run(recipe_of("lrm-ortho"), tmp_path / "run", minutes=1e-9)
    assert (outcome.finished, outcome.pack) == (False, None)
    assert (tmp_path / "run" / "state.pt").exists()


def test_runs_refuse_what_does_not_belong_together(tmp_path: Path) -> None:
    recipe, out = recipe_of("lrm-ortho", steps=3), tmp_path / "run"
    with pytest.raises(RecipeError, match="no checkpoint"):
        run(recipe, out, resume=True)
    run(recipe, out)
    with pytest.raises(RecipeError, match="holds a run"):
        run(recipe, out)
    with pytest.raises(RecipeError, match="another recipe"):
        run(recipe_of("lrm-ortho", steps=4), out, resume=True)


def test_a_card_names_what_was_done_and_no_folder(tmp_path: Path) -> None:
    recipe = recipe_of("vidfuncta", steps=2)
    run(recipe, tmp_path / "run")
    card = load_pack(tmp_path / "run" / "pack").card
    assert card["architecture"]["id"] == 3
    assert card["run"]["clips"] == {"simulated": 6}
    assert card["recipe"]["training"]["seed"] == 0
    assert "torch" in card["run"]["versions"]
    assert str(tmp_path) not in (tmp_path / "run" / "pack" / "card.json").read_text()


def test_a_run_starts_from_a_pack_of_another_structure(pool: Pool, tmp_path: Path) -> None:
    """The network computes the same with other frequency factors and more channels."""
    run(recipe_of("lrm-ortho", steps=10), tmp_path / "run")
    network = replace(NETWORK, w0_first=15.0, w0_last=15.0)
    recipe = replace(recipe_of("vidfuncta"), network=network)
    trainer, source = GridTrainer(recipe, pool), trained_pack(tmp_path / "run")
    load_start(trainer, str(source.path))
    old = GridTrainer(recipe_of("lrm-ortho"), pool)
    load_start(old, str(source.path))
    coords = torch.rand(1, 50, 2) * 2 - 1
    z = torch.randn(1, old.shape.modulation_size)
    padded = torch.cat([z, torch.zeros(1, trainer.shape.modulation_size - z.shape[1])], 1)
    torch.testing.assert_close(trainer.modules.net(coords, padded), old.modules.net(coords, z), atol=1e-4, rtol=0)
    torch.testing.assert_close(old.modules.basis.detach(), torch.from_numpy(source.tensors()["basis"]).float())


def test_a_start_that_does_not_fit_is_refused(pool: Pool, tmp_path: Path) -> None:
    run(recipe_of("lrm-ortho", steps=2), tmp_path / "run")
    wide = replace(recipe_of("lrm-ortho"), network=replace(NETWORK, width=16))
    with pytest.raises(RecipeError, match="width"):
        load_start(GridTrainer(wide, pool), str(tmp_path / "run" / "pack"))
    with pytest.raises(RecipeError, match="cannot start"):
        load_start(make_trainer(recipe_of("autoencoder"), pool), str(tmp_path / "run" / "pack"))


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = load_recipe(name)
    if recipe.structure not in PICTURES:
        assert name in (f"{recipe.name}-cpu", f"{recipe.name}-gpu")
        assert recipe.training.ranks[-1] == recipe.network.max_rank


def test_every_pack_of_frames_has_both_recipes() -> None:
    names = [name for name in shipped_recipes() if load_recipe(name).structure not in PICTURES]
    packs = {name.rsplit("-", 1)[0] for name in names}
    assert {f"{name}-{kind}" for name in packs for kind in ("cpu", "gpu")} == set(names)
    assert {"lrm-ortho", "lrm-basic", "vidfuncta", "medfuncta", "coinpp", "autoencoder",
            "lrm-ortho-gated", "lrm-basic-gated", "vidfuncta-gated"} == packs


@pytest.mark.parametrize(("text", "match"), [
    ("name = 1 2", "cannot be read"), ('name = "x"', "needed"), ('name = "x"\nstructure = "y"', "structure 'y'"),
    ('name = "x"\nstructure = "video"\nspeed = 1', "'speed' is unknown"),
    ('name = "x"\nstructure = "video"\n[training]\nsteps = "1"', "expected int"),
    ('name = "x"\nstructure = "video"\n[training]\nstep = 1', "'step' is unknown"),
    ('name = "x"\nstructure = "video"\n[training]\nranks = [64]', "ranks must be"),
    ('name = "x"\nstructure = "video"\n[training]\nsteps = 0', "'steps' is too small"),
    ('name = "x"\nstructure = "video"\n[network]\nmax_rank = 513', "a file allows 512"),
    ('name = "x"\nstructure = "video"\ndata = 3', "entry '3'")])
def test_wrong_recipes_say_what_is_wrong(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=match):
        load_recipe(str(tmp_path / "r.toml"))


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("nothing")
    assert "lrm-ortho-cpu" in caught.value.hint


def test_rows_that_are_not_visited_stand_still() -> None:
    table = torch.ones(3, 2)
    optimizer = RowAdam(table)
    for _ in range(50):
        optimizer.step(torch.tensor([1]), 2 * table[[1]], 0.05)
    assert table[[0, 2]].eq(1).all()
    assert table[1].abs().max() < 0.1
    other = RowAdam(torch.zeros(3, 2))
    other.load(optimizer.state())
    assert other.table[1].equal(table[1])


def test_rates_rise_and_fall() -> None:
    factors = [schedule(step / 1000, step, 0.1) for step in range(1001)]
    assert factors[0] == pytest.approx(0.02, abs=1e-3)
    assert max(factors) > 0.98
    assert factors[-1] == pytest.approx(0.1)


def test_pools_draw_sources_in_equal_shares() -> None:
    pool = make_pool({"a": [np.zeros((2, 16, 16), np.uint8)] * 90, "none": [],
                      "b": [np.ones((2, 16, 16), np.uint8)] * 10})
    assert list(pool.names) == ["a", "b"]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([pool.groups[pool.draw(4, generator)] for _ in range(400)])
    assert 0.4 < drawn.float().mean() < 0.6
    assert len(set(pool.draw(200, generator).tolist())) == 100


def test_clips_are_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> list[Frames]:
        made.append(1)
        return [np.full((2, 16, 16), len(made), np.uint8)]

    first, again = (cached(tmp_path / "c", {"a": 1}, make) for _ in range(2))
    other = cached(tmp_path / "c", {"a": 2}, make)
    np.testing.assert_array_equal(first[0], again[0])
    assert (len(made), int(other[0][0, 0, 0])) == (2, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_a_cache_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                       error: type[BaseException]) -> None:
    def cut(path: Path, clips: Any) -> None:
        path.write_bytes(b"\x93NUMPY and no more")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", cut)
        with pytest.raises((error, OutputError)):
            cached(tmp_path / "c", {"a": 1}, lambda: [np.zeros((2, 16, 16), np.uint8)])
    assert list((tmp_path / "c").iterdir()) == []
    assert np.shape(cached(tmp_path / "c", {"a": 1}, lambda: [np.zeros((2, 16, 16), np.uint8)])) == (1, 2, 16, 16)


def test_another_simulator_makes_simulated_clips_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(*_: Any) -> list[Frames]:
        made.append(1)
        return [np.full((6, 32, 32), len(made), np.uint8)]

    monkeypatch.setattr(data_module, "simulated_clips", make)
    for _ in range(2):
        data_module.training_pool(DATA, tmp_path)
    monkeypatch.setattr(data_module, "simulator_digest", lambda: "another")
    assert int(data_module.training_pool(DATA, tmp_path).frames.max()) == 2
    assert len(made) == 2


def test_the_simulators_digest_covers_its_code_and_the_libraries(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(Path(simulate.__file__).parent, tmp_path / "simulate")
    digests = [simulator_digest()]
    monkeypatch.setattr(simulate, "__file__", str(tmp_path / "simulate" / "__init__.py"))
    digests.append(simulator_digest())
    for name in ("scan.py", "heart/motion.py"):
        with (tmp_path / "simulate" / name).open("a") as file:
            file.write("\n")
        digests.append(simulator_digest())
    monkeypatch.setattr(torch, "__version__", "0.0")
    digests.append(simulator_digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_checkpoints_are_written_whole(tmp_path: Path) -> None:
    save_state({"step_count": 1}, tmp_path / "state.pt")
    with pytest.raises(AttributeError):
        save_state({"step_count": lambda: None}, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt") == {"step_count": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    with pytest.raises(OutputError, match="no folder"):
        save_state({"step_count": 1}, tmp_path / "none" / "state.pt")


def test_log_has_one_header(tmp_path: Path) -> None:
    for step in (1, 2):
        append_log(tmp_path / "log.csv", {"step": step})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step", "1", "2"]


@pytest.mark.parametrize("name", ["lrm-ortho", "framewise", "autoencoder"])
def test_half_precision_learns_too(name: str, pool: Pool) -> None:
    trainer = make_trainer(recipe_of(name, precision="bf16", steps=60), pool)
    errors = [trainer.step() for _ in range(60)]
    assert np.isfinite(errors).all()
    assert np.mean(errors[-10:]) < 0.8 * np.mean(errors[:10])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", [*STRUCTURES, "autoencoder"])
def test_a_gpu_trains_and_its_pack_decodes_on_a_cpu(name: str, tmp_path: Path) -> None:
    outcome = run(recipe_of(name, precision="bf16", steps=60), tmp_path / "run", device="cuda")
    assert outcome.finished
    clip = Clip(phantoms("", 50, 1, 8, (32, 40), 20.0)[0], uniform_times(8, 20.0))
    encoded = codec.encode(clip, rank=2, quality=90, pack=trained_pack(tmp_path / "run"), device="cpu")
    assert encoded.report.psnr_db > 10
