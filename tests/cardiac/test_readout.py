"""Phase readout: events of exact curves at any rate, what is no heart, damage, and the command."""

from __future__ import annotations

import csv
import io
import json
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.cardiac.direction import read_direction
from lrmcodec.cardiac.readout import phase_of, read_phase
from lrmcodec.formats.container import CodedClip, CodedSegment, Component, pack_file, unpack_file
from lrmcodec.formats.errors import FormatError
from lrmcodec.simulate.heart.heartbeat import draw_heartbeat
from lrmcodec.simulate.heart.phantom import Phantom, phantom, volume_curve

PERIOD_S, ES_PHASE, START_S = 0.83, 0.36, -0.25
MARGIN_S = 0.2
JSON_KEYS = {"input", "warnings", "fps", "ed_frames", "es_frames", "ed_times_s", "es_times_s", "ed_confidences",
             "es_confidences", "heart_rate_bpm", "interval_sd_s", "interval_rmssd_s", "systolic_fraction",
             "research_only", "beats", "polarity_confidence", "quality", "quality_word"}


def volume_at(times_s: NDArray[np.float64], *, flat: bool = False) -> NDArray[np.float64]:
    """Ventricular volume; `flat` fills early and then rests up to the next contraction."""
    phase = ((times_s - START_S) / PERIOD_S) % 1.0
    if not flat:
        return volume_curve(phase, 0.6, ES_PHASE)
    emptied = np.where(phase < ES_PHASE, 0.5 - 0.5 * np.cos(np.pi * phase / ES_PHASE),
                       0.5 + 0.5 * np.cos(np.pi * np.clip((phase - ES_PHASE) / 0.3, 0, 1)))
    return 1 - 0.6 * emptied


def truth(duration_s: float, phase: float) -> NDArray[np.float64]:
    """Times of a phase of the beat, well inside the clip."""
    times_s = START_S + PERIOD_S * (np.arange(12) + phase)
    return times_s[(times_s > MARGIN_S) & (times_s < duration_s - MARGIN_S)]


def times_of(fps: float, jitter: float, duration_s: float = 4.0) -> NDArray[np.float64]:
    gaps = 1 + jitter * np.random.default_rng(2).uniform(-1, 1, int(duration_s * fps))
    return np.concatenate([[0], np.cumsum(gaps / fps)])


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(("fps", "jitter"), [(15, 0), (25, 0), (50, 0), (100, 0), (120, 0), (30, 0.4), (50, 0.6)])
def test_events_of_an_exact_curve_are_within_a_frame(fps: float, jitter: float, flat: bool) -> None:
    times_s = times_of(fps, jitter)
    found = phase_of(volume_at(times_s, flat=flat), times_s, fps, confidence=1.0)
    assert found.quality_word == "cardiac"
    assert found.heart_rate_bpm == pytest.approx(60 / PERIOD_S, rel=0.02)
    allowed_s = max(1 / fps, 0.02) * (1 + jitter)
    tightening_s = 0.045 if flat else 0.0  # where nothing precedes it, contraction begins before it is seen
    for times, phase in ((found.ed_times_s, -tightening_s / PERIOD_S), (found.es_times_s, ES_PHASE)):
        expected = truth(times_s[-1], phase)
        inner = [at for at in times if MARGIN_S < at < times_s[-1] - MARGIN_S]
        assert len(inner) == len(expected)
        np.testing.assert_allclose(inner, expected, atol=allowed_s)


def test_beats_have_their_durations() -> None:
    times_s = times_of(50, 0)
    beats = phase_of(volume_at(times_s), times_s, 50, confidence=1.0).beats
    assert len(beats) >= 3
    assert [beat.systolic_s for beat in beats] == pytest.approx([ES_PHASE * PERIOD_S] * len(beats), abs=0.025)
    inner = [beat.diastolic_s for beat in beats if beat.diastolic_s is not None]
    assert inner == pytest.approx([(1 - ES_PHASE) * PERIOD_S] * len(inner), abs=0.025)
    assert beats[-1].diastolic_s is None or len(inner) == len(beats)


def test_slow_drift_does_not_matter() -> None:
    times_s = times_of(50, 0)
    plain = phase_of(volume_at(times_s), times_s, 50, confidence=1.0)
    drifting = phase_of(volume_at(times_s) + 0.8 * np.sin(times_s * 1.2), times_s, 50, confidence=1.0)
    inner = [frame for frame in plain.es_frames if 20 < frame < 180]
    assert [frame for frame in drifting.es_frames if 20 < frame < 180] == pytest.approx(inner, abs=1)


def test_a_curve_that_looks_like_a_heart_tells_its_sign() -> None:
    times_s = times_of(50, 0)
    beat = draw_heartbeat(np.random.default_rng(8), 4.5, 70, "sinus")
    volume = -beat.contraction(times_s)
    sure = []
    for sign in (1, -1):
        found = phase_of(sign * volume, times_s, 50, confidence=None)
        assert np.corrcoef(found.signal, volume)[0, 1] > 0.9
        sure.append(found.polarity_confidence)
    assert min(sure) > 0.9
    assert sure[0] == pytest.approx(sure[1], abs=1e-6)


def test_a_curve_that_could_be_either_lists_nothing() -> None:
    times_s = times_of(50, 0)
    found = phase_of(np.sin(2 * np.pi * 1.4 * times_s), times_s, 50, confidence=None)
    assert found.quality_word == "not sure"
    assert 0.5 <= found.polarity_confidence < 0.8
    assert (found.ed_frames, found.es_frames, found.beats, found.heart_rate_bpm) == ([], [], [], None)


def test_an_encoder_that_is_sure_settles_what_could_be_either() -> None:
    times_s = times_of(50, 0)
    signal = np.sin(2 * np.pi * 1.4 * times_s)
    for sign in (1, -1):
        assert np.corrcoef(phase_of(sign * signal, times_s, 50, confidence=0.9).signal, sign * signal)[0, 1] > 0.9


def test_ends_of_the_clip_are_no_events() -> None:
    """A clip from within contraction to within filling: what does not turn within it does not count."""
    beat = draw_heartbeat(np.random.default_rng(8), 6.0, 70, "sinus")
    start_s, stop_s = float(beat.onsets_s[1]) + 0.06, float(beat.onsets_s[4]) - 0.15
    times_s = np.arange(start_s, stop_s, 0.02)
    found = phase_of(-beat.contraction(times_s), times_s - start_s, 50, confidence=1.0)
    assert found.ed_times_s == pytest.approx(beat.onsets_s[2:4] - start_s, abs=0.03)
    assert len(found.es_frames) == 3


def test_variability_is_that_of_the_beats() -> None:
    beat = draw_heartbeat(np.random.default_rng(3), 20.0, 75, "irregular")
    times_s = np.arange(0, 20, 0.02)
    found = phase_of(-beat.contraction(times_s), times_s, 50, confidence=1.0)
    intervals = np.diff(beat.onsets_s[(beat.onsets_s > 0.1) & (beat.onsets_s < 19.9)])
    assert found.interval_sd_s == pytest.approx(intervals.std(ddof=1), rel=0.15)
    assert found.interval_rmssd_s == pytest.approx(np.sqrt(np.mean(np.diff(intervals) ** 2)), rel=0.15)
    assert found.systolic_fraction is not None
    assert 0.3 < found.systolic_fraction < 0.6
    short = phase_of(-beat.contraction(times_s[:100]), times_s[:100], 50, confidence=1.0)
    assert short.interval_sd_s is None


@pytest.mark.parametrize(("kind", "confidence"), [
    ("noise", None), *((kind, confidence) for kind in ("ramp", "flat", "breath") for confidence in (None, 1.0))])
def test_what_is_no_heart_has_no_beats(kind: str, confidence: float | None) -> None:
    times_s = times_of(30, 0, 5.0)
    rng = np.random.default_rng(0)
    signal = {"noise": np.cumsum(rng.standard_normal(len(times_s))), "ramp": times_s, "flat": 0 * times_s,
              "breath": np.sin(2 * np.pi * times_s / 3.5)}[kind]
    found = phase_of(signal, times_s, 30, confidence=confidence)
    assert found.quality_word == "not cardiac"
    assert (found.ed_frames, found.es_frames, found.beats, found.heart_rate_bpm) == ([], [], [], None)
    assert len(found.signal) == len(times_s)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_short_clips_are_not_cardiac(count: int) -> None:
    times_s = np.arange(count) / 50
    assert phase_of(volume_at(times_s), times_s, 50, confidence=1.0).quality_word == "not cardiac"


@pytest.mark.parametrize(("beats", "seen", "word"), [
    (1.0, None, "not cardiac"), (2.5, None, "not cardiac"), (3.4, None, "cardiac"), (0.4, 1.0, "not cardiac"),
    (1.5, 1.0, "cardiac")])
def test_a_rhythm_tells_a_heart_only_over_some_beats(beats: float, seen: float | None, word: str) -> None:
    """Where the encoder saw the heart, less than two beats are read; its rhythm alone needs three."""
    beat = draw_heartbeat(np.random.default_rng(8), 6.0, 70, "sinus")
    times_s = np.arange(0, beats * 60 / 70, 0.02)
    assert phase_of(-beat.contraction(times_s + 0.3), times_s, 50, confidence=seen).quality_word == word


def test_hostile_times_take_bounded_work() -> None:
    """Many frames within a moment and one long after: neither window nor grid may explode."""
    times_s = np.concatenate([np.arange(20_000) * 1e-6, [60.0]])
    signal = np.random.default_rng(0).standard_normal(len(times_s))
    assert phase_of(signal, times_s, 50, confidence=None).quality_word == "not cardiac"


def test_long_clips_are_read_in_linear_time() -> None:
    times_s = times_of(50, 0, 600.0)
    found = phase_of(volume_at(times_s), times_s, 50, confidence=1.0)
    assert len(found.beats) == pytest.approx(600 / PERIOD_S, abs=2)


# Files


@pytest.fixture(scope="module")
def heart() -> Phantom:
    return phantom(110, (64, 64), 50, heart_rate_bpm=75, ejection_fraction=0.6, seed=3)


@pytest.fixture(scope="module")
def data(heart: Phantom) -> bytes:
    return codec.encode(heart.clip, rank=4, quality=20).data


@pytest.fixture(scope="module")
def first_frames(data: bytes) -> NDArray[np.uint8]:
    file = codec.open(data)
    return file.frames(file.times_s[:2])


def with_payload(data: bytes, payload: bytes | None, component: Component = Component.HEART) -> bytes:
    clip = unpack_file(data)
    segment = clip.segments[0]
    components = {key: value for key, value in segment.components.items() if key != Component.HEART}
    if payload is not None:
        components[component] = payload
    segments = [CodedSegment(segment.rank, segment.q, components)]
    return pack_file(CodedClip(clip.pack_id, clip.arch_id, clip.size, clip.times_s, segments, clip.metadata))


def test_a_file_is_read_with_the_right_polarity(heart: Phantom, data: bytes) -> None:
    found = read_phase(codec.open(data))
    assert found.quality_word == "cardiac"
    assert found.polarity_confidence > 0.9
    assert np.corrcoef(found.signal, heart.cavity_volume)[0, 1] > 0.8


def test_a_file_without_the_component_is_read_by_its_shape(data: bytes) -> None:
    found = read_phase(codec.open(with_payload(data, None)))
    assert found.polarity_confidence < read_phase(codec.open(data)).polarity_confidence
    assert found.ejection_fraction_percent is None
    assert len(found.signal) == 110


def test_files_of_version_0_1_are_read(heart: Phantom, data: bytes) -> None:
    new = read_direction(codec.open(data).coded.segments[0].components, 4)
    assert new is not None
    old = bytes([new.confidence]) + (4 * new.weights).astype(np.int8).tobytes()
    found = read_phase(codec.open(with_payload(data, old, Component.PHASE)))
    assert found.ed_frames == read_phase(codec.open(data)).ed_frames
    assert found.ejection_fraction_percent is None


@pytest.mark.parametrize("shift_s", [-0.05, 0.0, 0.04])
def test_end_systole_is_where_the_pixels_put_it(shift_s: float) -> None:
    times_s = times_of(50, 0)
    volume = volume_at(times_s)
    plain, moved = (phase_of(volume, times_s, 50, confidence=1.0, es_shift_s=shift) for shift in (0, shift_s))
    assert moved.ed_times_s == plain.ed_times_s
    assert moved.es_times_s == pytest.approx(np.array(plain.es_times_s) + shift_s, abs=1e-9)


DAMAGED = [b"", b"\x80", b"\x80\0\0", b"\x80\1\1\1\1\1\1", bytes(5), bytes(200)]
NO_DIRECTION = b"\x80\1\1\x82\x08\x20"


@pytest.mark.parametrize(("component", "payload"), [
    *((component, payload) for component in (Component.PHASE, Component.VENTRICLE, Component.HEART)
      for payload in DAMAGED),
    (Component.VENTRICLE, NO_DIRECTION), (Component.HEART, NO_DIRECTION)])
def test_a_damaged_component_is_refused_and_the_frames_still_decode(
        data: bytes, first_frames: NDArray[np.uint8], component: Component, payload: bytes) -> None:
    file = codec.open(with_payload(data, payload, component))
    with pytest.raises(FormatError, match="phase component"):
        read_phase(file)
    np.testing.assert_array_equal(file.frames(file.times_s[:2]), first_frames)


def test_the_command(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
    path = tmp_path / "heart.lrm"
    path.write_bytes(data)
    assert main(["readout", str(path), "--json", "--signal"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert set(values) == JSON_KEYS | {"signal"}
    assert set(values["beats"][0]) == {"ed", "es", "systolic_s", "diastolic_s"}
    assert main(["readout", str(path), str(path), "--json"]) == 0
    assert [set(value) for value in json.loads(capsys.readouterr().out)] == [JSON_KEYS] * 2
    assert main(["readout", str(path), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["frame"]) for row in rows if row["event"] == "ED"] == values["ed_frames"]
    assert main(["readout", str(path)]) == 0
    assert "beats a minute" in capsys.readouterr().out
    assert main(["readout", "--sync", str(path), str(path), "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    assert pairs
    assert all(a == b for a, b in pairs)
    assert main(["readout", "--sync", str(path), str(path), "--csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(pairs) + 1
    assert main(["readout", "--sync", str(path), str(path)]) == 0
    assert "Frame of" in capsys.readouterr().out
    assert main(["readout", "--sync", str(path)]) == 2
    assert main(["readout", str(path), "--json", "--csv"]) == 2
