"""Downstream tasks: folds by patient, features without pixels, roads that learn, a run that goes on, the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lrmcodec import codec
from lrmcodec.benchmarks.downstream import cases as cases_module
from lrmcodec.benchmarks.downstream import looks as looks_module
from lrmcodec.benchmarks.downstream import network, report
from lrmcodec.benchmarks.downstream.answers import read_answers
from lrmcodec.benchmarks.downstream.cases import B_LINES, EF, Case, find_cases, split_training
from lrmcodec.benchmarks.downstream.features import coefficient_features, ventricle_features
from lrmcodec.benchmarks.downstream.folds import folds, scores
from lrmcodec.benchmarks.downstream.looks import Look, Looks, small
from lrmcodec.benchmarks.downstream.roads import ROADS, leads, regress, stated
from lrmcodec.benchmarks.downstream.run import ANSWERS, LOOKS, TaskPlan, measure
from lrmcodec.benchmarks.downstream.versions import ORIGINAL, Version, versions
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError, LrmError, OutputError, TargetError
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import phantom

Run = Callable[..., tuple[int, str, str]]
RANK_3 = versions(["spatial"], [3], [])
pytestmark = [pytest.mark.usefixtures("quick_pictures", "small_clips"),
              pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")]


@pytest.fixture(scope="module")
def small_clips() -> Iterator[None]:
    """Clips of 32x32 pixels instead of 112x112."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cases_module, "SIZE", (32, 32))
        patch.setattr(cases_module, "HEART_FRAMES", 24)
        yield


@pytest.fixture(scope="module")
def lungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of twelve patients, half of them with a bright line; no lungs, but told apart as easily."""
    folder = tmp_path_factory.mktemp("lungs")
    table = ["file,patient,b_lines"]
    for index in range(12):
        frames = np.random.default_rng(index).integers(0, 60, (20, 32, 32)).astype(np.uint8)
        if index % 2:
            frames[:, :, 10:20] += np.linspace(0, 150, 20).astype(np.uint8)[:, None, None]
        write_clip(Clip(frames, np.arange(20) / 20), folder / f"clip_{index}.npz")
        table.append(f"clip_{index}.npz,{index}.0,{float(index % 2)}")
    (folder / "ATTRIBUTION.csv").write_text("\n".join(table))
    return folder


@pytest.fixture(scope="module")
def looked_at(lungs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Looks at the lungs, made once."""
    looks = Looks(tmp_path_factory.mktemp("looks"), 16, "cpu")
    for case in find_cases(B_LINES, lungs, None):
        looks.make(case, RANK_3)
    return looks.folder


@pytest.fixture
def out(looked_at: Path, tmp_path: Path) -> Path:
    """Folder of a run whose looks are there."""
    shutil.copytree(looked_at, tmp_path / "out" / LOOKS)
    return tmp_path / "out"


def test_cases_of_lungs_and_of_echonet(lungs: Path, tmp_path: Path) -> None:
    cases = find_cases(B_LINES, lungs, None)
    assert [(case.patient, case.label) for case in cases[:2]] == [("0.0", 0.0), ("1.0", 1.0)]
    assert len(find_cases(B_LINES, lungs, 5)) == 5
    (tmp_path / "Videos").mkdir()
    write_clip(phantom(4, (32, 32), seed=1).clip, tmp_path / "Videos" / "A.avi")
    (tmp_path / "FileList.csv").write_text("FileName,Split,EF\nA,TRAIN,61.5\nB,TEST,40\n")
    assert [(case.name, case.label) for case in find_cases(EF, tmp_path, None)] == [("A", 61.5)]
    simulated = find_cases(EF, None, 2, 7)
    assert [(case.seed, case.patient, case.path) for case in simulated] == [(7, "7", ""), (8, "8", "")]


@pytest.mark.parametrize(("task", "count"), [(B_LINES, 3), (EF, None)])
def test_cases_that_are_not_said(task: str, count: int | None) -> None:
    with pytest.raises(TargetError):
        find_cases(task, None, count)


def test_labels_that_are_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "ATTRIBUTION.csv").write_text("file,patient,b_lines\na.mp4,1,many\n")
    with pytest.raises(ClipError, match="no number"):
        find_cases(B_LINES, tmp_path, None)


def test_a_simulated_heart_brings_its_ejection_fraction() -> None:
    clip, label = Case("a", "1", seed=1_000_123).load()
    assert clip.frames.shape == (24, 32, 32)
    assert 10 < label < 90


def test_a_heart_that_is_only_seen_is_short_and_has_about_the_same_ejection_fraction() -> None:
    whole, seen = (Case("a", "1", seed=1_000_123, only_seen=only).load() for only in (False, True))
    assert seen[0].frames.shape == (16, 32, 32)
    assert seen[0].times_s[-1] == pytest.approx(1.28)
    assert seen[1] == pytest.approx(whole[1], abs=3)


def test_further_cases_only_train() -> None:
    cases, training = split_training(find_cases(EF, None, 5, 7), 2)
    assert [(case.seed, case.only_seen) for case in (*cases, *training)] == [
        (7, False), (8, False), (9, False), (10, True), (11, True)]
    with pytest.raises(TargetError, match="leave none"):
        split_training(cases, 3)


def test_no_patient_stands_in_two_folds() -> None:
    labels = np.array([1.0] * 9 + [0.0] * 35)
    patients = [*"AAAAABCDE", *(f"p{index % 9}" for index in range(35))]
    tests = folds(B_LINES, labels, patients)
    owners = [{patients[index] for index in test} for test in tests]
    assert sorted(np.concatenate(tests).tolist()) == list(range(44))
    assert sum(map(len, owners)) == len(set(patients))
    assert sum(bool(labels[test].any()) for test in tests) == 5
    assert [len(test) for test in folds(EF, np.arange(10.0), list("abcdefghij"))] == [2] * 5


def test_too_few_patients() -> None:
    with pytest.raises(TargetError, match="4 are there"):
        folds(EF, np.arange(8.0), list("aabbccdd"))
    with pytest.raises(TargetError, match="same label"):
        folds(B_LINES, np.ones(6), list("abcdef"))


def test_scores_are_those_of_the_textbook() -> None:
    mae, rmse, r2 = scores(EF, np.array([50.0, 60.0]), np.array([52.0, 56.0]))
    assert (mae, rmse) == (3.0, pytest.approx(np.sqrt(10)))
    assert r2 == pytest.approx(1 - 20 / 50)
    assert scores(B_LINES, np.array([1.0, 1, 0, 0]), np.array([0.9, 0.3, 0.4, 0.1])) == pytest.approx(
        (75.0, 200 / 3, 75.0))
    assert np.isnan(scores(B_LINES, np.zeros(2), np.zeros(2))[2])


def test_features_see_the_beat_and_render_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = phantom(90, (48, 48), 30, heart_rate_bpm=80, ejection_fraction=0.6, seed=3)
    file = codec.open(codec.encode(made.clip, rank=4, quality=60).data)
    monkeypatch.setattr(type(file), "frames", None)
    found, ventricle = coefficient_features(file), ventricle_features(file)
    assert found.shape == (82,)
    assert np.isfinite(found).all()
    assert found[-2] == pytest.approx(80 / 60, rel=0.1)
    assert np.ptp(found[-18:-2]) > 0.5
    assert found[4:8] == pytest.approx(-9)  # coefficients that it does not have
    assert found[8 + 2:8 + 4].sum() > 0.3  # power of the first from 0.8 to 3 Hz, where the beat is
    assert ventricle.shape == (10,)
    assert 0.2 < ventricle[0] < 1
    assert np.abs(ventricle[2:6]).max() == 1
    bare = codec.open(codec.encode(made.clip, rank=4, quality=60, phase=False).data)
    assert not ventricle_features(bare).any()


def test_versions_of_packs() -> None:
    found = versions(["spatial", "lrm-ortho-gated"], [2], [100.0, 300.0], [80.0, 30.0])
    assert [version.words for version in found] == [
        "original", "spatial ratio 100", "spatial ratio 300", "spatial rank 2 quality 80", "spatial rank 2 quality 30",
        "lrm-ortho-gated rank 2 quality 80", "lrm-ortho-gated rank 2 quality 30"]
    with pytest.raises(TargetError, match="nothing is asked"):
        versions(["lrm-ortho-gated"], [], [100.0])


def test_small_frames_are_spread_over_the_beginning() -> None:
    frames = np.repeat(np.arange(128, dtype=np.uint8)[:, None, None], 8, 1).repeat(8, 2)
    found = small(frames, np.arange(128) / 50, 4)
    assert found.shape == (16, 4, 4)
    assert found[:, 0, 0].tolist() == np.rint(np.linspace(0, 64, 16)).astype(int).tolist()
    assert small(frames[:5], np.arange(5) / 50, 4)[-1, 0, 0] == 4


def test_roads_that_lead_nowhere() -> None:
    coded = RANK_3[1]
    assert [road for road in ROADS if leads(road, B_LINES, coded)] == [
        "network", "network-original", "coefficients", "ventricle"]
    assert [road for road in ROADS if leads(road, EF, ORIGINAL)] == ["network", "network-original"]


def test_regression_learns() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(80, 6)), rng.normal(size=(40, 6))
    told = regress(EF, train, 50 + 8 * train[:, 0], test)
    assert np.abs(told - (50 + 8 * test[:, 0])).mean() < 1
    told = regress(B_LINES, train, (train[:, 1] > 0).astype(float), test)
    assert ((told > 0.5) == (test[:, 1] > 0)).mean() > 0.85


def test_what_a_file_does_not_state_is_the_usual() -> None:
    look = Look(50, np.zeros((16, 4, 4), np.uint8), np.empty(0), np.empty(0), 61.0, 100, 30)
    assert stated([look, replace(look, readout=np.nan)], 57).tolist() == [61, 57]


def tiny(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv3d(1, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
                         nn.Linear(width, 1))


def test_training_learns_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_resnet", tiny)
    monkeypatch.setattr(network, "RATE", 0.05)
    labels = np.array([0.0, 1] * 8)
    clips = np.zeros((16, 4, 16, 16), np.uint8)
    clips[1::2, :, 4:12] = 200
    told = network.train(B_LINES, clips, labels, network.Training(40, 4)).predict(clips)
    assert told[1::2].min() > 0.9
    assert told[::2].max() < 0.1
    how = network.Training(30, 4)
    first, second = (network.train(EF, clips, 50 + 10 * labels, how).predict(clips) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert np.abs(first - (50 + 10 * labels)).max() < 2


def test_the_network_is_a_resnet_of_18_layers() -> None:
    pytest.importorskip("monai", reason="MONAI is not installed")
    made = network._resnet(8)
    kernels = [part for part in made.modules() if isinstance(part, nn.Conv3d) and part.kernel_size != (1, 1, 1)]
    assert len(kernels) == 17  # and the last, linear layer
    assert made(torch.zeros(2, 1, 4, 16, 16)).shape == (2, 1)
    assert [part.out_channels for part in kernels][::4] == [8, 8, 16, 32, 64]


def plan(**changes: object) -> TaskPlan:
    return replace(TaskPlan(B_LINES, RANK_3, ("coefficients",), 16, 1), **changes)  # type: ignore[arg-type]


def test_a_run_goes_on_where_it_was(lungs: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = find_cases(B_LINES, lungs, None)
    answers = measure(cases, plan(), out)
    assert {answer.case for answer in answers} == {case.name for case in cases}
    assert np.mean([(answer.told > 0.5) == (answer.label > 0) for answer in answers]) > 0.7
    table = out / ANSWERS
    whole = table.read_text()
    with pytest.raises(OutputError, match="--resume"):
        measure(cases, plan(), out)
    table.write_text(whole[:-20])  # the last fold was cut short
    monkeypatch.setattr(looks_module, "encoder", None)  # looks are kept: nothing is encoded again
    again = measure(cases, plan(), out, resume=True)
    assert sorted(map(str, again)) == sorted(map(str, answers))
    assert sorted(map(str, read_answers(table))) == sorted(map(str, answers))
    other = measure(cases[:-1], plan(), out, resume=True)
    assert len(other) == 11
    assert {answer.run for answer in other}.isdisjoint(answer.run for answer in answers)


def test_one_network_of_originals_answers_for_all(lungs: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many trainings as folds for the originals, and as many again for each version by the paper's road."""
    trainings = []

    class Mean:
        def predict(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
            return clips.mean((1, 2, 3)) / 255

    def train(task: str, clips: NDArray[np.uint8], labels: NDArray[np.float64], how: object) -> Mean:
        trainings.append(clips.shape)
        return Mean()

    monkeypatch.setattr(network, "train", train)
    cases = find_cases(B_LINES, lungs, None)
    answers = measure(cases, plan(roads=("network", "network-original")), out)
    assert len(trainings) == 10
    assert {shape[1:] for shape in trainings} == {(16, 16, 16)}
    assert {(answer.road, answer.version) for answer in answers} == {
        ("network", "original"), ("network", "spatial rank 3 quality 80"), ("network-original", "original"),
        ("network-original", "spatial rank 3 quality 80")}
    text = report.page(answers, plan())
    assert "| nothing (mean of the others) |" in text
    assert "12 clips of 12 patients, 6 with B-lines" in text


def test_further_cases_train_networks_of_originals_alone(lungs: Path, out: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on = []

    class Half:
        def predict(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
            return np.full(len(clips), 0.5)

    def train(task: str, clips: NDArray[np.uint8], labels: NDArray[np.float64], how: object) -> Half:
        trained_on.append(len(clips))
        return Half()

    monkeypatch.setattr(network, "train", train)
    cases, training = split_training(find_cases(B_LINES, lungs, None), 4)
    asked = plan(roads=("network", "network-original"), folds=2, training=training)
    answers = measure(cases, asked, out)
    assert trained_on == [4 + 4, 4, 4 + 4, 4]  # of originals, with the four; of the coded, without
    assert {answer.case for answer in answers} == {case.name for case in cases}
    assert {answer.fold for answer in answers} == {0, 1}
    assert "saw 4 further clips" in report.page(answers, asked)


def test_a_damaged_clip_stops_no_other(lungs: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    cases = [*find_cases(B_LINES, lungs, None), Case("broken", "x", str(tmp_path / "broken.npz"), 1.0)]
    failures = []
    answers = measure(cases, plan(), out, failed=lambda case, why: failures.append(case))
    assert failures == ["broken"]
    assert len(answers) == 12


def test_unknown_roads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no road 'shortcut'"):
        measure([], plan(roads=("shortcut",)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_package_says_what_to_install() -> None:
    from lrmcodec.benchmarks.downstream.folds import need

    with pytest.raises(LrmError, match="which is not installed"):
        need("no_such_package_of_this_project")


def test_looks_know_their_version(lungs: Path, tmp_path: Path) -> None:
    case = find_cases(B_LINES, lungs, 1)[0]
    looks = Looks(tmp_path, 16, "cpu")
    looks.make(case, RANK_3)
    assert looks.get(case, ORIGINAL).ratio == 1
    assert looks.get(case, RANK_3[1]).ratio > 20
    with pytest.raises(FileNotFoundError):
        looks.get(case, Version("spatial", replace(RANK_3[1].setting, asked_rank=2)))


def test_the_command(run: Run, lungs: Path, out: Path, tmp_path: Path) -> None:
    asked = ("bench", "--task", "b-lines", lungs, "-o", out, "--packs", "spatial", "--ranks", "3",
             "--roads", "coefficients", "--side", "16")
    code, told, err = run(*asked, "--json")
    assert code == 0, err
    found = json.loads(told)
    assert [(row["road"], row["clips"]) for row in found["scores"]] == [
        ("coefficients", "spatial rank 3 quality 80"), ("nothing (mean of the others)", "-")]
    assert float(found["scores"][0]["AUROC"].split()[0]) > 60
    assert (out / "scores.png").stat().st_size > 1000
    assert "# B-lines" in (out / "summary.md").read_text()
    assert run(*asked)[0] == 1
    assert run(*asked, "--resume")[0] == 0
    assert run("bench", "--task", "b-lines", "-o", tmp_path / "none")[0] == 1
    assert run(*asked, "--training", "2", "--force")[0] == 2
    assert run("bench", "--task", "smell", "-o", tmp_path / "none")[0] == 2
