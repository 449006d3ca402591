"""Peers: what they code comes back, is counted in full, and odd sizes and missing encoders do no harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec import metrics
from lrmcodec.benchmarks.peers import KNOWN, envelope, floor, jpeg, lossless
from lrmcodec.benchmarks.peers.coder import EncoderMissingError, VideoCoder, code_video, without_sei
from lrmcodec.benchmarks.peers.envelope import AV1, SMALL, VP9, X264, X265, blend, code_point
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import LrmError
from lrmcodec.simulate.heart.phantom import beating_heart

Frames = NDArray[np.uint8]
QUICK = {"libsvtav1": {"preset": "10"}, "libx265": {"preset": "ultrafast"}, "libx264": {"preset": "ultrafast"},
         "libvpx-vp9": {"cpu-used": "8"}}


def quick(coder: VideoCoder) -> VideoCoder:
    return replace(coder, options={**coder.options, **QUICK[coder.encoder]})


@pytest.fixture(scope="module")
def clip() -> Clip:
    return beating_heart(20, (64, 80), seed=3)


@pytest.mark.parametrize("coder", [AV1, X265, X264, VP9], ids=lambda coder: coder.encoder)
def test_finer_costs_more_and_gives_more(clip: Clip, coder: VideoCoder) -> None:
    fine, coarse = (code_video(clip.frames, quick(coder), 50, crf=crf) for crf in ("20", "45"))
    assert fine.frames.shape == coarse.frames.shape == clip.frames.shape
    assert fine.size_bytes > 1.5 * coarse.size_bytes > 0
    assert metrics.psnr_db(clip.frames, fine.frames) > metrics.psnr_db(clip.frames, coarse.frames) + 3


@pytest.mark.parametrize("shape", [(3, 33, 47), (2, 16, 100), (2, 100, 20)])
@pytest.mark.parametrize("coder", [AV1, X264], ids=lambda coder: coder.encoder)
def test_odd_and_narrow_sizes(coder: VideoCoder, shape: tuple[int, ...]) -> None:
    """SVT-AV1 would never return from a side below 32 beside one above 64."""
    frames = (np.indices(shape).sum(0) * 2 % 200).astype(np.uint8)
    coded = code_video(frames, quick(coder), 25, crf="10")
    assert coded.frames.shape == shape
    assert metrics.psnr_db(frames, coded.frames) > 25


def test_gray_levels_keep_their_place(clip: Clip) -> None:
    """No shift of range or chroma between our frames and the coder's."""
    coded = code_video(clip.frames, quick(AV1), 50, crf="5")
    assert abs(float(coded.frames.mean()) - float(clip.frames.mean())) < 1


def test_x264_packets_lose_their_notes_and_still_decode(clip: Clip) -> None:
    plain = code_video(clip.frames, replace(quick(X264), finish=bytes), 50, crf="30")
    ours = code_video(clip.frames, quick(X264), 50, crf="30")
    assert ours.size_bytes < plain.size_bytes - 300
    assert np.array_equal(ours.frames, plain.frames)


def test_only_notes_are_taken_out() -> None:
    start = b"\x00\x00\x01"
    packet = b"\x00" + start + b"\x67sps" + start + b"\x06note" + start + b"\x65slice"
    assert without_sei(packet) == start + b"\x67sps" + start + b"\x65slice"


def test_blending_is_linear_and_the_last_frame_is_held() -> None:
    frames = np.array([10.0, 30.0, 50.0], np.float32)[:, None, None]
    assert blend(frames, 4, 11).ravel().tolist() == [10, 15, 20, 25, 30, 35, 40, 45, 50, 50, 50]
    assert blend(frames, 1, 3).ravel().tolist() == [10, 30, 50]


def test_the_envelope_restores_length_and_size(clip: Clip) -> None:
    whole = code_point(clip.frames, quick(AV1), Setting("crf", 30, every=1), 50)
    small = code_point(clip.frames, quick(AV1), Setting("crf", 30, every=4, scale=SMALL), 50)
    assert small.frames.shape == clip.frames.shape
    assert small.size_bytes < 0.7 * whole.size_bytes
    assert metrics.psnr_db(clip.frames, small.frames) > 15


def test_steps_beyond_the_clip_are_left_out() -> None:
    short = Clip.from_fps(np.zeros((5, 32, 32), np.uint8), 25.0)
    steps = {job.setting.every for job in envelope.av1(short)}
    assert steps == {1, 2, 4}
    assert {job.setting.every for job in envelope.av1(Clip.from_fps(short.frames[:1], 25.0))} == {1}


def test_settings_are_all_different(clip: Clip) -> None:
    for name, peer in KNOWN.items():
        settings = [job.setting for job in peer(clip)]
        assert len(set(settings)) == len(settings) > 0, name


def test_the_other_settings_of_av1_are_other_settings(clip: Clip) -> None:
    sizes = {name: code_video(clip.frames[:6], coder, 50, crf="40").size_bytes
             for name, coder in (("8", AV1), ("10", envelope.AV1_10BIT), ("5", envelope.AV1_PRESET5))}
    assert len(set(sizes.values())) == 3
    assert max(sizes.values()) < 1.5 * min(sizes.values())


def test_a_missing_encoder_says_so(clip: Clip) -> None:
    with pytest.raises(EncoderMissingError, match="no libnothing"):
        code_video(clip.frames, replace(AV1, encoder="libnothing"), 50)


def test_missing_jpeg_2000_says_so(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg.features, "check", lambda name: False)
    with pytest.raises(EncoderMissingError, match="JPEG 2000"):
        jpeg.jpeg2000(clip)[0].run()


@pytest.mark.parametrize("peer", [lossless.ffv1, lossless.x265, lossless.av1, lossless.jpeg_ls])
def test_lossless_is_lossless(clip: Clip, peer: object) -> None:
    (job,) = peer(clip)  # type: ignore[operator]
    coded = job.run()
    assert np.array_equal(coded.frames, clip.frames)
    assert 0 < coded.size_bytes < clip.frames.size


def test_a_loss_where_none_is_allowed_is_an_error(clip: Clip) -> None:
    lossy = replace(lossless.X265, options={"preset": "ultrafast", "x265-params": "log-level=none"})
    with pytest.raises(LrmError, match="lost something"):
        lossless._code(clip, lossy)


def test_jpeg_2000_meets_its_ratio_and_can_be_lossless(clip: Clip) -> None:
    jobs = {job.setting.words: job for job in jpeg.jpeg2000(clip)}
    assert np.array_equal(jobs["lossless"].run().frames, clip.frames)
    assert jobs["ratio 8"].run().size_bytes == pytest.approx(clip.frames.size / 8, rel=0.1)


def test_jpeg_counts_whole_files(clip: Clip) -> None:
    jobs = {job.setting.words: job for job in jpeg.jpeg(clip)}
    coarse, fine = jobs["quality 10"].run(), jobs["quality 90"].run()
    assert 125 * len(clip.frames) < coarse.size_bytes < fine.size_bytes
    assert metrics.psnr_db(clip.frames, fine.frames) > 35


def test_the_floor_of_a_low_rank_clip_is_nearly_exact() -> None:
    """Two blinking pictures over a mean are rank 2: what is left is quantization."""
    rng = np.random.default_rng(0)
    base, first, second = (np.kron(rng.uniform(-1, 1, (8, 8)), np.ones((8, 8))) for _ in range(3))
    time = np.arange(16)[:, None, None]
    frames = (128 + 40 * base + 30 * first * np.sin(time) + 20 * second * np.cos(2 * time)).clip(0, 255)
    clip = Clip.from_fps(frames.round().astype(np.uint8), 25.0)
    jobs = {job.setting.words: job for job in floor.low_rank_av1(clip)}
    assert {job.setting.asked_rank for job in jobs.values()} == {2, 4, 8}
    coded = jobs["rank 4 crf 27"].run()
    assert metrics.psnr_db(clip.frames, coded.frames) > 33
    assert floor.OVERHEAD_BYTES < coded.size_bytes < clip.frames.size / 20


def test_pictures_too_tall_for_the_encoder_are_left_out() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (70, 160, 16)).astype(np.uint8)
    jobs = floor.low_rank_av1(Clip.from_fps(frames, 25.0))
    assert {job.setting.asked_rank for job in jobs} == {2, 4, 8, 16, 32}
    assert jobs[0].run().frames.shape == frames.shape


def test_laplace_bits_of_silence_and_of_noise() -> None:
    quiet, bits = floor.laplace(np.zeros(64), 0.1)
    assert not quiet.any()
    assert bits == floor.BITS_PER_SCALE * 5  # bands from 0, 4, 8, 16 and 32
    noise = np.random.default_rng(0).normal(size=64)
    values, bits = floor.laplace(noise, 0.02)
    assert np.abs(values - noise).max() < 0.1
    assert bits > 64 * 4
