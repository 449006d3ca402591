"""Simulated lungs: same seed, same clip; both probes; masks and truth agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import label

from lrmcodec.simulate.lung.motion import Breathing, draw_motion
from lrmcodec.simulate.lung.presets import LUS_LIKE, MAX_B_LINES
from lrmcodec.simulate.lung.scene import LUNG_LABELS, LungScene
from lrmcodec.simulate.plan import Plan, Request
from lrmcodec.simulate.scan import Scanner

SIZE = (112, 112)
FPS = 25.0


def plan_of(seed: int, view: str | None = None, size: tuple[int, int] = SIZE) -> Plan:
    return LUS_LIKE.draw(np.random.default_rng(seed), Request(view, seed, size, 4.0, "cpu"))


def lung_of(plan: Plan) -> LungScene:
    assert isinstance(plan.scene, LungScene)
    return plan.scene


def frames_of(plan: Plan, times: list[float], size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    scanner = Scanner(plan.probe, plan.settings, size, 7, "cpu")
    now = torch.tensor(times)
    frames: NDArray[np.uint8] = scanner.finish(scanner.pictures(plan.scene.echo(scanner, now), now)).numpy()
    return frames


def masks_of(plan: Plan, times: list[float]) -> NDArray[np.uint8]:
    scanner = Scanner(plan.probe, plan.settings, SIZE, 7, "cpu")
    masks: NDArray[np.uint8] = plan.scene.labels(scanner, torch.tensor(times)).numpy()
    return masks


@pytest.mark.parametrize("view", LUS_LIKE.views)
def test_same_seed_same_frames(view: str) -> None:
    first, again, other = (frames_of(plan_of(seed, view), [0.0, 0.5]) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_frames_do_not_depend_on_how_they_are_grouped() -> None:
    scene, scanner = lung_of(plan_of(5)), Scanner(plan_of(5).probe, plan_of(5).settings, SIZE, 7, "cpu")
    together = scene.echo(scanner, torch.tensor([0.2, 1.3]))
    alone = scene.echo(scanner, torch.tensor([1.3]))
    assert torch.allclose(together.reflectivity[1:], alone.reflectivity, atol=1e-5)
    assert torch.allclose(together.mirror[1:], alone.mirror, atol=1e-5)


@pytest.mark.parametrize(("view", "size"), [("lung_convex", (96, 128)), ("lung_linear", (64, 48))])
def test_both_probes_render_in_any_size(view: str, size: tuple[int, int]) -> None:
    plan = plan_of(1, view, size)
    frames = frames_of(plan, [0.0, 1.0, 2.0], size)
    assert plan.view == view
    assert frames.shape == (3, *size)
    assert frames.dtype == np.uint8
    assert frames.std() > 10
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 20, "nothing moves"


def test_curved_probe_leaves_corners_black_and_linear_probe_fills_the_picture() -> None:
    curved, flat = (frames_of(plan_of(2, view), [0.0])[0] for view in ("lung_convex", "lung_linear"))
    assert curved[-3:, :3].max() < 12  # JPEG artefacts aside
    assert (flat[10:40] > 0).mean() > 0.9


def test_masks_show_as_many_b_lines_as_the_truth_says() -> None:
    counts = set()
    for seed in range(12):
        plan = plan_of(seed)
        said = plan.scene.truth(np.zeros(1))["b_line_count"]
        masks = masks_of(plan, [0.0, 1.1, 2.3, 3.2]) == LUNG_LABELS["b_line"]
        shown = [label(mask, np.ones((3, 3)))[1] for mask in masks]
        assert round(float(np.mean(shown))) == said, f"seed {seed}: {shown}"
        counts.add(said)
    assert 0 in counts
    assert max(counts) > 2
    assert max(counts) <= MAX_B_LINES


def test_b_lines_are_brighter_than_what_is_beside_them() -> None:
    plan = next(plan for plan in map(plan_of, range(24, 90))
                if plan.settings.persistence == 0 and len(lung_of(plan).b_lines) == 1)
    masks, frames = masks_of(plan, [0.0, 2.0]), frames_of(plan, [0.0, 2.0])
    line = masks == LUNG_LABELS["b_line"]
    beside = (np.roll(line, 14, axis=2) | np.roll(line, -14, axis=2)) & (masks == 0)
    assert frames[line].mean() > frames[beside].mean() + 8


def test_findings_are_in_the_masks_and_only_then() -> None:
    seen = set()
    for seed in range(80, 94):
        plan = plan_of(seed)
        findings = plan.scene.truth(np.zeros(1))["findings"]
        mask = masks_of(plan, [1.0])
        for kind in ("consolidation", "effusion"):
            assert (kind in findings) == bool((mask == LUNG_LABELS[kind]).any()), f"seed {seed}"
        assert (mask == LUNG_LABELS["pleura"]).any()
        assert bool(lung_of(plan).wall.ribs) >= bool((mask == LUNG_LABELS["rib"]).any())
        seen |= set(findings)
    assert {"b-lines", "a-lines"} <= seen
    assert seen & {"consolidation", "effusion"}


def test_hearts_fields_are_empty() -> None:
    truth = plan_of(0).scene.truth(np.arange(4) / FPS)
    assert truth["ed_frames"] == truth["es_frames"] == []
    assert {truth[name] for name in ("lv_area_cm2", "ef_percent", "heart_rate_bpm", "rhythm")} == {None}


def test_breathing_has_the_asked_rate_and_depth() -> None:
    breathing = Breathing(15, 1.0, 1.0, 0.0, 0.1, 0.0, 0.0, 0.1, 1.0)
    motion = draw_motion(np.random.default_rng(0), breathing, 60.0, "cpu")
    breath = motion.curves[0].numpy()
    starts = np.flatnonzero((breath[1:] > 0.3) & (breath[:-1] <= 0.3))
    assert 12 <= len(starts) <= 18
    assert 0.7 < breath.max() <= 1.1
    slide = motion.at(torch.linspace(0, 60, 500))[1]
    assert 0.7 < float(slide.max() - slide.min()) < 1.2


def test_labels_are_frozen() -> None:
    assert LUNG_LABELS == {"background": 0, "pleura": 1, "rib": 2, "b_line": 3, "consolidation": 4, "effusion": 5}
