"""The search of rank and index, on a made-up coder whose best setting is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmcodec.formats.container import Component
from lrmcodec.formats.errors import TargetError
from lrmcodec.quantize import MAX_Q
from lrmcodec.rate import Likeness, Search, Setting, Target, Trial, floors, read_target, share

MIN_Q = 4
LIMIT = 64


def model(best_rank: int) -> Callable[[Setting], Trial]:
    """Coder whose bytes fall by 2 % a step and whose quality peaks at `best_rank` for any size."""
    def run(setting: Setting) -> Trial:
        size = (40 + 40 * setting.rank) * 1.02 ** (MAX_Q - setting.q)
        distance = abs(math.log2((setting.rank + 1) / (best_rank + 1)))
        psnr = 6 * math.log2(size / 500) + 30 - 3 * distance
        return Trial(setting, {1: bytes(max(int(size) - 3, 1))}, lambda: Likeness(psnr))

    return run


def search(best_rank: int = 12, limit: int = LIMIT) -> Search:
    return Search(model(best_rank), limit, MIN_Q)


@settings(max_examples=40, deadline=None)
@given(size_bytes=st.integers(100, 200_000), best_rank=st.integers(0, 64))
def test_a_size_is_met_from_below(size_bytes: int, best_rank: int) -> None:
    trial = search(best_rank).best(Target(size_bytes=size_bytes))
    assert trial.size_bytes <= size_bytes
    finest = trial.setting.q == MIN_Q and trial.setting.rank == LIMIT
    assert trial.size_bytes >= 0.97 * size_bytes or trial.setting.q == MIN_Q or finest


@settings(max_examples=40, deadline=None)
@given(size_bytes=st.integers(1500, 60_000), bend=st.floats(-1.5, 1.5), wiggle=st.floats(0, 0.004))
def test_a_size_is_filled_in_few_final_trials(size_bytes: int, bend: float, wiggle: float) -> None:
    """Bytes fall by 1.6 to 2.4 % a step, faster or slower the coarser it is, and not quite evenly."""
    seen: list[Setting] = []

    def run(setting: Setting) -> Trial:
        seen.append(setting)
        fall = 0.02 * (setting.q + bend * setting.q**2 / 2000) + (wiggle * math.sin(9 * setting.q))
        size = (60 if setting.final else 70) * (1 + setting.rank) * 1100 ** (5 / 7) * math.exp(-fall)
        return Trial(setting, {1: bytes(max(int(size) - 3, 1))}, lambda: Likeness(30.0 - setting.q / 20))

    trial = Search(run, 12, 0).best(Target(size_bytes=size_bytes), 12)
    assert trial.size_bytes <= size_bytes
    if trial.setting.q > 0:
        assert trial.size_bytes >= 0.997 * size_bytes
    assert sum(setting.final for setting in seen) <= 12


@pytest.mark.parametrize("size_bytes", [3000, 3333, 5000, 8000])
def test_a_size_is_met_where_indices_are_far_apart(size_bytes: int) -> None:
    def run(setting: Setting) -> Trial:
        return Trial(setting, {1: bytes(int(20_000 * 0.8 ** setting.q))}, lambda: Likeness(-setting.q))

    trial = Search(run, 0, 0).best(Target(size_bytes=size_bytes))
    assert 0.97 * size_bytes <= trial.size_bytes <= size_bytes
    assert trial.setting.q * 16 == int(trial.setting.q * 16)


@pytest.mark.parametrize("best_rank", [0, 1, 3, 8, 12, 24, 64])
@pytest.mark.parametrize("target", [Target(size_bytes=6000), Target(psnr_db=40.0), Target(q=100)])
def test_the_best_rank_is_found(best_rank: int, target: Target) -> None:
    rank = search(best_rank).best(target).setting.rank
    if target.q is None:
        assert abs(math.log2((rank + 1) / (best_rank + 1))) < 0.5
    else:
        assert 0 <= rank <= LIMIT


@pytest.mark.parametrize("target", [Target(size_bytes=9000), Target(psnr_db=35.0), Target(q=77)])
@pytest.mark.parametrize("rank", [0, 5, 64])
def test_a_given_rank_is_kept(target: Target, rank: int) -> None:
    assert search().best(target, rank).setting.rank == rank


def test_a_given_rank_is_kept_where_sizes_jump() -> None:
    """Where no index of rank 5 comes close to the size, a rank nearby is tried only if none was asked for."""
    def run(setting: Setting) -> Trial:
        size = 1000 if setting.q > 50 else 9000
        return Trial(setting, {1: bytes(size + 150 * setting.rank)}, lambda: Likeness(30.0 - abs(setting.rank - 5)))

    target = Target(size_bytes=2000)
    assert Search(run, LIMIT, 0).best(target, 5).setting.rank == 5
    assert Search(run, LIMIT, 0).best(target).size_bytes > Search(run, LIMIT, 0).best(target, 5).size_bytes


@pytest.mark.parametrize(("asked", "expected"), [
    ({"ratio": 100.0}, Target(size_bytes=500)), ({"size_bytes": 77}, Target(size_bytes=77)),
    ({"psnr_db": 30.0}, Target(psnr_db=30.0)), ({"min_ssim": 0.9}, Target(min_ssim=0.9)),
    ({"psnr_db": 30.0, "min_ssim": 0.9}, Target(psnr_db=30.0, min_ssim=0.9)),
    ({"quality": 40.0}, Target(psnr_db=26.0, min_ssim=0.8)), ({"quality": 90.0}, Target(psnr_db=33.0, min_ssim=0.95)),
    ({"quality": 0.0, "promised": False}, Target(q=255)), ({"quality": 100.0, "promised": False}, Target(q=0)),
    ({}, Target(psnr_db=30.0, min_ssim=0.9)), ({"promised": False}, Target(q=77))])
def test_what_a_user_asks_becomes_a_target(asked: dict[str, Any], expected: Target) -> None:
    given: dict[str, Any] = dict.fromkeys(("ratio", "size_bytes", "psnr_db", "quality"))
    assert read_target(50_000, **(given | asked)) == expected


def test_floors_rise_with_the_quality() -> None:
    found = [floors(quality) for quality in range(101)]
    for name in ("psnr_db", "min_ssim"):
        values = [getattr(target, name) for target in found]
        assert values == sorted(set(values))


def test_floors_are_kept_by_the_one_that_is_harder() -> None:
    target = Target(psnr_db=30.0, min_ssim=0.9)
    assert target.spare_db(Likeness(31.0, 0.9)) == pytest.approx(0)
    assert target.spare_db(Likeness(31.0, 0.95)) == pytest.approx(1)
    assert target.spare_db(Likeness(29.0, 0.95)) == pytest.approx(-1)


@pytest.mark.parametrize("min_ssim", [0.6, 0.8, 0.95])
def test_the_coarsest_index_that_keeps_a_least_ssim_is_found(min_ssim: float) -> None:
    def run(setting: Setting) -> Trial:
        trial = model(12)(setting)
        return Trial(setting, trial.components, lambda: Likeness(trial.psnr_db, 1 - 10 ** (-trial.psnr_db / 30)))

    trial = Search(run, LIMIT, MIN_Q).best(Target(min_ssim=min_ssim))
    assert trial.likeness.ssim3d >= min_ssim
    assert run(Setting(trial.setting.rank, trial.setting.q + 1, final=True)).likeness.ssim3d < min_ssim


def test_a_sample_is_explored_and_the_whole_coded() -> None:
    seen: list[Setting] = []
    run = model(12)

    def sampled(setting: Setting) -> Trial:
        trial = run(Setting(setting.rank, setting.q))
        kept = {Component.PICTURES: bytes(len(trial.components[1]) // 4)}
        return Trial(setting, kept, lambda: trial.likeness, share=0.25)

    trial = Search(lambda setting: (seen.append(setting), run(setting))[1], LIMIT, MIN_Q,
                   sampled).best(Target(size_bytes=5000))
    assert 0.97 * 5000 <= trial.size_bytes <= 5000
    assert all(setting.final for setting in seen)
    assert len(seen) <= 3
    assert abs(math.log2((trial.setting.rank + 1) / 13)) < 0.5


def test_parts_share_a_size_and_take_a_quality_as_it_is() -> None:
    assert Target(size_bytes=1000).of_part([10, 30], 0, 200) == Target(size_bytes=200)
    assert Target(size_bytes=1000).of_part([10, 30], 1, 1200) == Target(size_bytes=1)
    assert Target(psnr_db=30.0).of_part([10, 30], 0, 200) == Target(psnr_db=30.0)


@pytest.mark.parametrize("psnr_db", [20.0, 30.0, 42.5])
def test_the_coarsest_index_that_reaches_a_quality_is_found(psnr_db: float) -> None:
    trial = search().best(Target(psnr_db=psnr_db), 12)
    assert trial.psnr_db >= psnr_db
    coarser = Setting(12, trial.setting.q + 1, final=True)
    assert trial.setting.q == MAX_Q or model(12)(coarser).psnr_db < psnr_db


@pytest.mark.parametrize("q", [0, 4, 100, 255])
def test_a_given_index_is_kept(q: int) -> None:
    assert search().best(Target(q=q), 3).setting.q == q


@pytest.mark.parametrize("target", [Target(size_bytes=5000), Target(psnr_db=35.0), Target(q=77)])
def test_the_result_was_coded_by_the_final_coder(target: Target) -> None:
    assert search().best(target).setting.final


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 8, 9])
def test_small_rank_limits_hold(limit: int) -> None:
    for target in (Target(size_bytes=5000), Target(psnr_db=35.0), Target(q=77)):
        assert search(limit=limit).best(target).setting.rank <= limit


@pytest.mark.parametrize(("target", "can"), [(Target(size_bytes=20), "smallest"), (Target(psnr_db=99.0), "best")])
@pytest.mark.parametrize("rank", [None, 0, 7])
def test_what_cannot_be_met_is_refused_with_what_can(target: Target, can: str, rank: int | None) -> None:
    with pytest.raises(TargetError) as caught:
        search().best(target, rank)
    assert can in caught.value.hint


def test_indices_below_0_are_for_the_final_coder_and_stored_as_0() -> None:
    seen: list[Setting] = []
    run = model(12)
    finest = run(Setting(4, 0)).size_bytes
    found = Search(lambda setting: (seen.append(setting), run(setting))[1], 4, -32).best(
        Target(size_bytes=int(1.2 * finest)), 4)
    assert found.setting.q < 0
    assert found.size_bytes >= 0.997 * int(1.2 * finest)
    assert found.coded.q == 0
    assert min(setting.q for setting in seen if not setting.final) >= 0


def test_no_setting_is_coded_twice() -> None:
    seen: list[Setting] = []
    run = model(12)
    Search(lambda setting: (seen.append(setting), run(setting))[1], LIMIT, MIN_Q).best(Target(size_bytes=5000))
    assert len(seen) == len(set(seen))


def test_a_search_takes_few_trials() -> None:
    seen: list[Setting] = []
    run = model(12)
    Search(lambda setting: (seen.append(setting), run(setting))[1], LIMIT, MIN_Q).best(Target(size_bytes=5000))
    assert sum(setting.final for setting in seen) <= 12
    assert len(seen) <= 60


@given(total=st.integers(1000, 10**6), parts=st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_shares_add_up_to_the_total(total: int, parts: list[int]) -> None:
    used = 0
    for index in range(len(parts)):
        used += share(total, parts, index, used)
    assert used == total


def test_what_one_part_leaves_goes_to_the_next() -> None:
    assert share(1000, [10, 10], 1, 300) == 700
