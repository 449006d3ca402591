"""Simulated hearts: determinism, truth, views and presets, refusals."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lrmcodec.cli.main import main
from lrmcodec.simulate import Simulated, simulate
from lrmcodec.simulate.heart.anatomy import VIEWS, draw_anatomy
from lrmcodec.simulate.heart.heartbeat import draw_heartbeat
from lrmcodec.simulate.heart.tissue import LABELS, signed_distance
from lrmcodec.simulate.plan import Request
from lrmcodec.simulate.presets import PRESETS


def heart_truth(seed: int, times_s: NDArray[np.float64]) -> dict[str, Any]:
    """Truth of a heart that is not rendered."""
    request = Request(None, seed, (112, 112), float(times_s[-1]), "cpu")
    return PRESETS["echonet_like"].draw(np.random.default_rng(seed), request).scene.truth(times_s)


@pytest.fixture(scope="module")
def heart() -> Simulated:
    return simulate("echonet_like", 3, frame_count=45, masks=True)


def test_a_seed_gives_the_same_clip_whatever_its_length(heart: Simulated) -> None:
    again = simulate("echonet_like", 3, frame_count=12)
    assert np.array_equal(again.clip.frames, heart.clip.frames[:12])
    assert again.truth.edv_ml == pytest.approx(heart.truth.edv_ml, rel=0.02)  # means over different beats


def test_seeds_differ() -> None:
    one, other = (simulate("echonet_like", seed, frame_count=1).clip.frames for seed in (1, 2))
    assert np.abs(one.astype(int) - other).mean() > 5


def test_default_shape_and_rate() -> None:
    clip = simulate("echonet_like", 0, frame_count=2).clip
    assert clip.frames.shape == (2, 112, 112)
    assert clip.frames.dtype == np.uint8
    assert clip.fps == pytest.approx(50)


@pytest.mark.parametrize("seed", range(6))
def test_end_diastole_is_where_the_area_is_largest(seed: int) -> None:
    truth = heart_truth(seed, np.arange(150) / 50)
    area = np.asarray(truth["lv_area_cm2"])
    events = sorted([(frame, True) for frame in truth["ed_frames"]] + [(frame, False) for frame in truth["es_frames"]])
    assert len(events) >= 3
    for (first, is_ed), (second, is_next_ed) in pairwise(events):
        assert is_ed != is_next_ed
        between = area[first:second + 1]
        assert (between.argmax() if is_ed else between.argmin()) <= 1


def test_ejection_fraction_follows_from_the_volumes() -> None:
    for seed in range(10):
        truth = heart_truth(seed, np.arange(100) / 50)
        assert truth["ef_percent"] == pytest.approx(100 * (1 - truth["esv_ml"] / truth["edv_ml"]))
        assert 10 <= truth["ef_percent"] <= 80
        assert 30 <= truth["edv_ml"] <= 300


def test_areas_are_those_of_the_masks(heart: Simulated) -> None:
    assert heart.masks is not None
    seen = (heart.masks == LABELS["lv"]).sum((1, 2)).astype(float)
    assert np.corrcoef(seen, np.asarray(heart.truth.lv_area_cm2))[0, 1] > 0.98


def test_the_cavity_is_dark_and_its_wall_bright(heart: Simulated) -> None:
    assert heart.masks is not None
    levels = [heart.clip.frames[heart.masks == LABELS[name]].mean() for name in ("lv", "myocardium")]
    assert levels[1] > levels[0] + 20


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("preset", ["echonet_like", "pocus_plax"])
def test_every_view_renders(preset: str, view: str) -> None:
    made = simulate(preset, 11, view=view, frame_count=3, masks=True)
    assert made.truth.view == view
    assert made.clip.frames.std() > 10
    assert made.masks is not None
    assert LABELS["lv"] in made.masks
    assert (made.truth.ef_percent is not None) == (view in ("a4c", "a2c"))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_renders_at_odd_sizes(preset: str) -> None:
    made = simulate(preset, 4, frame_count=2, size=(50, 67), fps=23.5)
    assert made.clip.frames.shape == (2, 50, 67)
    assert made.clip.fps == pytest.approx(23.5)


@pytest.mark.parametrize(("arguments", "told"), [
    ({"preset": "no"}, "echonet_like"), ({"view": "lung"}, "a4c"), ({"seed": -1}, "0 and above"),
    ({"frame_count": 0}, "1 to 20000"), ({"size": (8, 100)}, "16 to 1024"), ({"fps": 1.0}, "5 to 500")])
def test_bad_parameters_are_refused_with_the_range(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        simulate(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("rhythm", ["sinus", "irregular", "ectopic"])
@pytest.mark.parametrize("rate", [45.0, 160.0])
def test_contraction_runs_from_full_to_empty_and_back(rhythm: str, rate: float) -> None:
    beat = draw_heartbeat(np.random.default_rng(5), 10.0, rate, rhythm)
    times = np.arange(0, 10, 0.002)
    contraction = beat.contraction(times)
    assert contraction.min() >= -1e-9
    assert contraction.max() <= 1.05
    assert np.abs(np.diff(contraction)).max() < 0.06  # no jumps
    onsets = beat.onsets_s[(beat.onsets_s > 0) & (beat.onsets_s < 10)]
    assert np.interp(onsets, times, contraction).max() < 0.05
    assert 60 / np.diff(beat.onsets_s).mean() == pytest.approx(rate, rel=0.15)


def test_systole_is_the_longer_part_at_high_rates() -> None:
    shares = []
    for rate in (50.0, 150.0):
        start, end, following = draw_heartbeat(np.random.default_rng(1), 5.0, rate, "sinus").beats()[1]
        shares.append((end - start) / (following - start))
    assert shares[0] < 0.45
    assert shares[1] > 0.5


def test_distance_to_an_outline_is_signed() -> None:
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    n, s = torch.tensor([1.0, 3.0, 1.0]), torch.tensor([1.0, 1.0, 2.5])
    assert signed_distance(square, n, s).tolist() == pytest.approx([-1.0, 1.0, 0.5])


@pytest.mark.parametrize("view", VIEWS)
def test_dilated_hearts_are_larger(view: str) -> None:
    sizes = [np.mean([draw_anatomy(np.random.default_rng(seed), view, shape, False).half_width for seed in range(20)])
             for shape in ("hypertrophic", "normal", "dilated")]
    assert sizes == sorted(sizes)


def test_cli_writes_clips_and_their_truth(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    arguments = ["-q", "simulate", "--view", "a2c", "--count", "2", "--frames", "3", "--masks", "-o", str(folder)]
    assert main(arguments) == 0
    truth = json.loads((folder / "echonet_like-a2c-000001.json").read_text())
    assert truth["view"] == "a2c"
    assert truth["seed"] == 1
    assert len(truth["lv_area_cm2"]) == 3
    assert np.load(folder / truth["masks"])["masks"].shape == (3, 112, 112)
    assert truth["labels"]["lv"] == LABELS["lv"]
    assert (folder / truth["clip"]).exists()
    assert main(arguments) == 1  # exists
    assert main([*arguments, "--force"]) == 0


def test_cli_refuses_bad_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--fps", "1000", "-o", str(tmp_path)]) == 2
    assert "5 to 500" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_renders_what_the_processor_would() -> None:
    made = simulate("echonet_like", 3, frame_count=8, device="cuda", masks=True)
    assert made.truth == simulate("echonet_like", 3, frame_count=8).truth
    assert made.clip.frames.std() > 10
