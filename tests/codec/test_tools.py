"""Tools and bounds through the whole codec: video beside low rank, exact files and their digest, any time."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lrmcodec import codec, metrics, tools
from lrmcodec.beside import Beside
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.codec import Encoded
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import CodedSegment, Component, PixelDigest, pack_file
from lrmcodec.formats.errors import FormatError, TargetError
from lrmcodec.formats.video import write_clip
from lrmcodec.rate import Target, floors
from lrmcodec.simulate.heart.phantom import beating_heart

Run = Callable[..., tuple[int, str, str]]
Encode = Callable[..., Encoded]

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture(scope="module")
def heart() -> Clip:
    return beating_heart(50, (44, 44), fps=25, seed=3)


@pytest.fixture(scope="module")
def sliding() -> Clip:
    """Texture that never comes back: nothing for low rank."""
    texture = np.random.default_rng(1).normal(100, 30, (32, 200))
    texture = (texture + np.roll(texture, 1, 1) + np.roll(texture, 1, 0)) / 3
    frames = np.stack([texture[:, 5 * k:5 * k + 40] for k in range(24)]).clip(0, 255).astype(np.uint8)
    return Clip.from_fps(frames, 25)


@pytest.fixture(scope="module")
def encode(heart: Clip, sliding: Clip) -> Encode:
    """Encode one of them, once with the same settings."""
    clips = {"heart": heart, "sliding": sliding}
    return functools.cache(lambda name, **settings: codec.encode(clips[name], **settings))


def test_a_size_is_met_by_video(heart: Clip, encode: Encode) -> None:
    encoded = encode("heart", ratio=100.0, tool="video")
    assert encoded.report.tool == "video"
    assert 0.93 * heart.frames.size / 100 <= len(encoded.data) <= heart.frames.size / 100


def test_a_quality_is_reached_by_video(heart: Clip) -> None:
    report = codec.encode(heart, psnr_db=33, tool="video").report
    assert report.psnr_db >= 33
    assert report.psnr_db < 34


@pytest.mark.parametrize(("name", "target"), [("heart", {"ratio": 100.0}), ("sliding", {"ratio": 20.0}),
                                              ("sliding", {"psnr_db": 30.0}), ("heart", {"quality": 50.0})])
def test_auto_is_never_worse_than_either(encode: Encode, name: str, target: dict[str, float]) -> None:
    auto = encode(name, **target).report
    others = []
    for tool in ("low-rank", "video"):
        try:
            others.append(encode(name, tool=tool, **target).report)
        except TargetError:
            continue
    if "ratio" in target:
        assert auto.psnr_db >= max(other.psnr_db for other in others) - 1e-9
    else:
        assert auto.size_bytes <= min(other.size_bytes for other in others)


def test_each_tool_has_its_clip(encode: Encode) -> None:
    assert encode("sliding", ratio=20.0).report.tool == "video"
    assert encode("heart", ratio=250.0).report.tool == "low-rank"


def test_the_file_does_not_depend_on_threads(heart: Clip) -> None:
    assert codec.encode(heart, ratio=60, threads=1).data == codec.encode(heart, ratio=60, threads=2).data


def test_interrupted_while_low_rank_is_measured_no_video_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()
    told: list[float] = []

    def finish(reached_db: Callable[[], float]) -> None:
        waits.set()
        told.append(reached_db())

    class Unmeasured:
        @property
        def psnr_db(self) -> float:
            waits.wait()
            raise KeyboardInterrupt

    film: Any = SimpleNamespace(quick=lambda: None, finish=finish)
    low_rank: Any = SimpleNamespace(sketch=None, finish=Unmeasured)
    monkeypatch.setattr(tools, "_candidates", lambda *_: {"video", "low-rank"})
    with pytest.raises(KeyboardInterrupt), Beside(2) as beside:
        tools._better(film, low_rank, 1, Target(size_bytes=1), beside)
    assert told == [-math.inf]


@pytest.mark.parametrize("tool", ["low-rank", "video", "auto"])
@pytest.mark.parametrize("min_ssim", [0.85, 0.95])
def test_a_least_ssim_is_kept_by_little(heart: Clip, tool: str, min_ssim: float) -> None:
    report = codec.encode(heart, min_ssim=min_ssim, tool=tool).report
    assert min_ssim <= report.ssim3d < min_ssim + 0.15 * (1 - min_ssim)


@pytest.mark.parametrize("quality", [20, 70, 90])
def test_a_quality_keeps_its_floors(heart: Clip, quality: float) -> None:
    report, promised = codec.encode(heart, quality=quality).report, floors(quality)
    assert promised.min_ssim is not None
    assert promised.psnr_db is not None
    assert report.ssim3d >= promised.min_ssim
    assert report.psnr_db >= promised.psnr_db


@pytest.mark.parametrize("max_error", [0, 2])
def test_bounds_hold_and_the_digest_proves_it(heart: Clip, max_error: int) -> None:
    file = codec.open(codec.encode(heart, max_error=max_error).data)
    decoded = file.frames()
    assert np.abs(decoded.astype(int) - heart.frames).max() <= max_error
    digest = PixelDigest()
    digest.update(decoded)
    assert file.coded.digest == digest.value()
    np.testing.assert_allclose(file.times_s, heart.times_s, atol=5e-7)


def test_exact_over_several_segments(heart: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "SEGMENT_FRAMES", 20)
    file = codec.open(codec.encode(heart, max_error=0).data)
    assert len(file.coded.segments) == 3
    np.testing.assert_array_equal(file.frames(), heart.frames)
    order = np.random.default_rng(2).permutation(50)
    np.testing.assert_array_equal(file.frames(heart.times_s[order]), heart.frames[order])


def test_between_frames_a_video_is_blended(heart: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "SEGMENT_FRAMES", 25)
    file = codec.open(codec.encode(heart, max_error=0).data)
    at = np.array([0.3, 17.5, 24.25, 24.75, 48.9])
    shown = file.frames(np.interp(at, np.arange(50), heart.times_s))
    left = at.astype(int)
    weight = (at - left)[:, None, None]
    expected = (1 - weight) * heart.frames[left] + weight * heart.frames[left + 1]
    assert np.abs(shown - expected).max() <= 0.51
    assert file.frames([0.1], (32, 40)).shape == (1, 32, 40)


def test_a_video_is_read_and_walked(heart: Clip, encode: Encode) -> None:
    file = codec.open(encode("heart", ratio=30.0, tool="video").data)
    plain = read_phase(codec.open(encode("heart", ratio=100.0, tool="low-rank").data))
    phase = read_phase(file)
    assert phase.quality_word == "cardiac"
    assert np.abs(np.array(phase.es_frames) - plain.es_frames).max() <= 1
    rendered = file.render(0, file.segment(0).coeffs)
    assert metrics.psnr_db(heart.frames, rendered) > 25


def test_what_excludes_each_other(heart: Clip) -> None:
    for settings in ({"max_error": 0, "ratio": 10}, {"max_error": 43}, {"max_error": -1}, {"tool": "wavelet"},
                     {"max_error": 0, "tool": "low-rank"}, {"max_error": 0, "rank": 3}, {"tool": "video", "rank": 3},
                     {"tool": "video", "ratio": 30, "pack": "medfuncta"}, {"ratio": 30, "min_ssim": 0.9},
                     {"quality": 30, "min_ssim": 0.9}, {"min_ssim": 1.0}, {"threads": 0}):
        with pytest.raises(TargetError):
            codec.encode(heart, **settings)  # type: ignore[arg-type]


def test_a_video_beside_pictures_is_refused(encode: Encode) -> None:
    low = codec.open(encode("heart", ratio=100.0, tool="low-rank").data).coded
    film = codec.open(encode("heart", ratio=30.0, tool="video").data).coded
    both = CodedSegment(low.segments[0].rank, low.segments[0].q, {
        **low.segments[0].components, Component.VIDEO: film.segments[0].components[Component.VIDEO]})
    low.segments[0] = both  # type: ignore[index]
    with pytest.raises(FormatError, match="a video and pictures"):
        codec.open(pack_file(low)).frames()


def test_verify_finds_frames_that_differ(run: Run, heart: Clip, tmp_path: Path) -> None:
    write_clip(heart, tmp_path / "heart.npz")
    assert run("encode", tmp_path / "heart.npz", "--lossless")[0] == 0
    code, out, _ = run("verify", tmp_path / "heart.lrm", "--against", tmp_path / "heart.npz")
    assert (code, "Exact" in out) == (0, True)
    coded = codec.open(tmp_path / "heart.lrm").coded
    object.__setattr__(coded, "digest", bytes(16))
    (tmp_path / "other.lrm").write_bytes(pack_file(coded))
    code, _, err = run("verify", tmp_path / "other.lrm")
    assert (code, "digest differs" in err) == (1, True)
