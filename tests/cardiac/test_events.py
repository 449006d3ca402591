"""Events of probabilities: where they gather, that ED and ES take turns, and what is too unlikely."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.cardiac.events import es_shifted, find_events
from lrmcodec.cardiac.phase_net import Posterior
from lrmcodec.cardiac.signal import GRID_HZ

EVEN_S = np.arange(200) / GRID_HZ


def chances(times_s: list[float], mass: float = 0.9, spread_s: float = 0.03) -> NDArray[np.float64]:
    """Probabilities that gather around some times."""
    total = np.full(len(EVEN_S), 1e-4)
    for time_s in times_s:
        bell = np.exp(-0.5 * ((EVEN_S - time_s) / spread_s) ** 2)
        total += mass * bell / bell.sum()
    return total


def test_events_lie_where_probability_gathers_and_take_turns() -> None:
    found = find_events(Posterior(chances([0.51, 1.33, 2.2]), chances([0.84, 1.7, 2.51]), 3.0), EVEN_S)
    assert [event.is_ed for event in found] == [True, False] * 3
    assert [event.time_s for event in found] == pytest.approx([0.51, 0.84, 1.33, 1.7, 2.2, 2.51], abs=0.004)
    for event in found:
        assert event.mass == pytest.approx(0.9, abs=0.01)
        assert event.confidence == pytest.approx(surer(0.9 * 0.904), abs=0.02)  # within 50 ms of a bell of 30 ms


def surer(chance: float) -> float:
    """Of twice the log odds."""
    return 1 / (1 + ((1 - chance) / chance) ** 2)


@pytest.mark.parametrize(("shift_s", "moved_s"), [(0.03, 0.03), (-0.03, -0.03), (0.127, 0.127), (0.4, 0.245)])
def test_end_systoles_move_half_way_to_their_neighbors_at_most(shift_s: float, moved_s: float) -> None:
    found = find_events(Posterior(chances([0.51, 1.33]), chances([0.84]), 3.0), EVEN_S)
    moved = es_shifted(found, shift_s, EVEN_S)
    assert [moved[index].time_s for index in (0, 2)] == [found[index].time_s for index in (0, 2)]
    assert moved[1].time_s - found[1].time_s == pytest.approx(moved_s, abs=0.005)
    assert es_shifted([], shift_s, EVEN_S) == []


def test_the_better_of_two_in_a_row_is_taken() -> None:
    found = find_events(Posterior(chances([0.5, 2.0]) + chances([1.2], 0.5), chances([1.6]), 3.0), EVEN_S)
    assert [round(event.time_s, 1) for event in found] == [0.5, 1.6, 2.0]


def test_what_is_unlikely_is_no_event() -> None:
    assert find_events(Posterior(chances([0.5], 0.3), chances([1.0], 0.2), 0.0), EVEN_S) == []
    assert find_events(Posterior(np.zeros(5), np.zeros(5), 0.0), EVEN_S[:5]) == []


def test_events_are_never_too_close() -> None:
    rng = np.random.default_rng(0)
    found = find_events(Posterior(rng.random(200), rng.random(200), 0.0), EVEN_S)
    assert found
    for first, second in pairwise(found):
        assert first.is_ed != second.is_ed
        assert second.time_s - first.time_s > 0.09


def test_two_tops_of_one_event_count_once() -> None:
    found = find_events(Posterior(chances([1.0, 1.06], 0.45, 0.01), np.zeros(200), 0.0), EVEN_S)
    assert [event.time_s for event in found] == pytest.approx([1.03], abs=0.03)
    assert found[0].mass == pytest.approx(0.9, abs=0.02)
