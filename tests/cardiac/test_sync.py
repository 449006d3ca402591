"""Frames of two clips that show the same moment of the beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lrmcodec.cardiac.readout import Phase, phase_of
from lrmcodec.cardiac.sync import same_moments, whole_beats
from lrmcodec.simulate.heart.heartbeat import draw_heartbeat

FPS = 50.0
TIMES_S = np.arange(200) / FPS


def heart(rate_bpm: float, seed: int) -> Phase:
    beat = draw_heartbeat(np.random.default_rng(seed), 4.0, rate_bpm, "sinus")
    return phase_of(-beat.contraction(TIMES_S), TIMES_S, FPS, confidence=1.0)


def test_ed_meets_ed_and_es_meets_es() -> None:
    first, second = heart(60, 1), heart(95, 2)
    pairs = dict(same_moments(first, TIMES_S, second, TIMES_S))
    assert len(whole_beats(first)) >= 2
    for index, beat in enumerate(whole_beats(first)):
        other = whole_beats(second)[index]
        for mine, others in ((beat.ed_s, other.ed_s), (beat.es_s, other.es_s)):
            frame = round(mine * FPS)
            near = [pairs[at] for at in (frame - 1, frame, frame + 1) if at in pairs]
            assert min(abs(at - others * FPS) for at in near) <= 1.1


def test_a_clip_goes_with_itself() -> None:
    one = heart(70, 3)
    assert all(a == b for a, b in same_moments(one, TIMES_S, one, TIMES_S))


def test_beats_start_again_when_they_run_out() -> None:
    first, second = heart(100, 4), heart(55, 5)
    assert len(whole_beats(first)) > len(whole_beats(second)) > 0
    frames = [frame for frame, _ in same_moments(first, TIMES_S, second, TIMES_S)]
    assert frames == sorted(set(frames))
    assert frames[-1] > whole_beats(first)[-1].ed_s * FPS


def test_without_a_whole_beat_there_are_no_pairs() -> None:
    one = heart(70, 3)
    assert same_moments(one, TIMES_S, replace(one, ed_times_s=one.ed_times_s[:1]), TIMES_S) == []
