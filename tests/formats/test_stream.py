"""Video containers: levels, color, damage, times."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.formats import stream
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError, OutputError
from lrmcodec.formats.video import read_clip, write_clip

DATA = Path(__file__).parents[3] / "shared" / "data"


def ramp(count: int = 8, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Smooth moving gray pictures from 0 to 255."""
    y, x = np.mgrid[:height, :width]
    return np.stack(
        [np.rint(127.5 + 127.5 * np.sin(x / 9 + k / 4) * np.cos(y / 11)).astype(np.uint8) for k in range(count)]
    )


def encode(path: Path, pictures: Iterable[NDArray[np.uint8]], codec: str, pixel_format: str, *,
           options: dict[str, str] | None = None, rate: Any = 25) -> Path:
    """Write gray or RGB pictures in any codec that the suffix takes."""
    with av.open(str(path), "w") as file:
        track: Any = file.add_stream(codec, rate=rate, options=options or {})
        pictures = list(pictures)
        track.height, track.width = pictures[0].shape[:2]
        track.pix_fmt = pixel_format
        for i, picture in enumerate(pictures):
            kind = "gray" if picture.ndim == 2 else "rgb24"
            frame = av.VideoFrame.from_ndarray(picture, kind).reformat(format=pixel_format)
            frame.pts = i
            file.mux(track.encode(frame))
        file.mux(track.encode(None))
    return path


def doppler(part: float, count: int = 8) -> list[NDArray[np.uint8]]:
    """Gray pictures with a red and blue signal on a part (0 to 1) of each."""
    pictures = []
    for gray in ramp(count, 100, 100):
        rgb = np.repeat(gray[..., None], 3, axis=2)
        side = round(100 * part**0.5)
        rgb[30 : 30 + side, 30 : 30 + side // 2] = (220, 60, 30)
        rgb[30 : 30 + side, 30 + side // 2 : 30 + side] = (20, 60, 230)
        pictures.append(rgb)
    return pictures


def test_full_range_mjpeg_is_exact(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", ramp(), "mjpeg", "yuvj420p", options={"q:v": "1"})
    with av.open(str(path)) as file:
        lumas = [np.asarray(frame.to_ndarray())[:48] for frame in file.decode(video=0)]
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, lumas)
    assert clip.metadata["codec"] == "mjpeg"


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options", "error"),
    [
        ("a.mp4", "libx264", "yuv420p", {"qp": "1"}, 3),
        ("a.mov", "libx264", "yuv444p", {"qp": "1"}, 3),
        ("a.mkv", "ffv1", "yuv420p", {}, 1),
        ("a.mkv", "ffv1", "gray", {}, 0),
        ("a.mkv", "ffv1", "bgr0", {}, 0),
        ("a.mkv", "ffv1", "gray10le", {}, 1),
        ("a.mpeg", "mpeg2video", "yuv420p", {"b": "20M"}, 24),
        ("a.webm", "libvpx-vp9", "yuv420p", {"lossless": "1"}, 1),
    ],
)
def test_limited_and_full_range_come_out_as_0_to_255(
    tmp_path: Path, name: str, codec: str, pixel_format: str, options: dict[str, str], error: int
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} in this PyAV")
    pictures = ramp()
    clip = read_clip(encode(tmp_path / name, pictures, codec, pixel_format, options=options))
    assert clip.frames.shape == pictures.shape
    assert np.abs(clip.frames.astype(int) - pictures).max() <= error
    assert clip.fps == pytest.approx(25)


@pytest.mark.parametrize(("name", "codec", "pixel_format"), [
    ("a.mp4", "libx264", "yuv420p"), ("a.avi", "mjpeg", "yuvj420p"), ("a.mkv", "ffv1", "bgr0"),
])
def test_doppler_is_refused(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    path = encode(tmp_path / name, doppler(0.015), codec, pixel_format)
    with pytest.raises(ClipError, match="contains color") as caught:
        read_clip(path)
    assert "--gray" in caught.value.hint
    clip = read_clip(path, gray=True)
    assert clip.frames.shape == (8, 100, 100)
    assert clip.warnings == ("color was turned gray",)


def test_tinted_map_and_noisy_chroma_pass(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64), np.uint8)
    encode(tmp_path / "noise.avi", list(noise), "mjpeg", "yuvj420p", options={"qscale": "31"})
    assert not read_clip(tmp_path / "noise.avi").warnings
    sepia = [np.clip(g[..., None] + np.array([14, 0, -14]), 0, 255).astype(np.uint8) for g in ramp()]
    encode(tmp_path / "sepia.mp4", sepia, "libx264", "yuv420p")
    assert not read_clip(tmp_path / "sepia.mp4").warnings


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".gif"])
def test_truncated_file_is_an_error_or_a_warning(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_clip(Clip.from_fps(ramp(30), 25), path)
    whole = path.read_bytes()
    for part in (0.001, 0.05, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        try:
            clip = read_clip(path)
        except ClipError:
            continue
        assert len(clip.frames) <= 30
        np.testing.assert_array_equal(clip.frames[0].shape, (48, 64))


def test_truncated_avi_keeps_its_beginning_and_says_so(tmp_path: Path) -> None:
    path, pictures = tmp_path / "a.avi", ramp(30)
    write_clip(Clip.from_fps(pictures, 25), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = read_clip(path)
    assert 5 < len(clip.frames) < 30
    np.testing.assert_array_equal(clip.frames[:-1], pictures[: len(clip.frames) - 1])
    assert any("promises 30 frames" in text for text in clip.warnings)


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_clip(Clip.from_fps(np.random.default_rng(0).integers(0, 256, (30, 48, 64), np.uint8), 25), path)
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 500] = bytes(500)
    path.write_bytes(damaged)
    clip = read_clip(path)
    assert 25 <= len(clip.frames) <= 30
    assert any("damaged" in text for text in clip.warnings)


def test_damage_to_one_frame_of_our_lossless_video_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    pictures = np.random.default_rng(0).integers(0, 256, (30, 48, 64), np.uint8)
    write_clip(Clip.from_fps(pictures, 25), path)
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 100] = bytes(100)
    path.write_bytes(damaged)
    wrong = (read_clip(path).frames != pictures).any(axis=(1, 2))
    assert wrong.sum() <= 2


@pytest.mark.parametrize("content", [
    b"hello world\n" * 100, bytes(range(256)) * 40, b"RIFF" + bytes(200), b"#!/bin/sh\nexit\n",
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
])
@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".txt", ".m3u8", ""])
def test_what_is_no_video(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ClipError, match="not a video") as caught:
        read_clip(path)
    assert caught.value.hint


def test_play_lists_are_not_followed(tmp_path: Path) -> None:
    write_clip(Clip.from_fps(ramp(), 25), tmp_path / "a.mp4")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", f"file:{tmp_path}/a.mp4", "#EXT-X-ENDLIST"]
    (tmp_path / "list.avi").write_text("\n".join(lines))
    with pytest.raises(ClipError):
        read_clip(tmp_path / "list.avi")


def test_names_that_ffmpeg_would_misread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe:0.avi", "a%03d.avi", "http:x.avi", "-i.avi", "ä ö.avi"):
        write_clip(Clip.from_fps(ramp(), 25), name)
        assert len(read_clip(name).frames) == 8


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        track: Any = file.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 44100
        file.mux(track.encode(sound))
        file.mux(track.encode(None))
    with pytest.raises(ClipError, match="no video track"):
        read_clip(tmp_path / "a.mp4")


def test_zero_frames(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        track: Any = file.add_stream("ffv1", rate=25)
        track.height, track.width, track.pix_fmt = 48, 64, "gray"
        file.mux(track.encode(None))
    with pytest.raises(ClipError):
        read_clip(tmp_path / "a.avi")


def test_size_changing_in_the_stream(tmp_path: Path) -> None:
    parts = []
    for i, shape in enumerate([(48, 64), (64, 48)]):
        parts.append(encode(tmp_path / f"{i}.m2v", ramp(5, *shape), "mpeg2video", "yuv420p").read_bytes())
    (tmp_path / "both.m2v").write_bytes(b"".join(parts))
    with pytest.raises(ClipError, match="changes its frame size"):
        read_clip(tmp_path / "both.m2v")


def test_raw_stream_without_times_gets_an_even_grid(tmp_path: Path) -> None:
    clip = read_clip(encode(tmp_path / "a.m2v", ramp(10), "mpeg2video", "yuv420p"))
    np.testing.assert_allclose(clip.times_s, np.arange(10) / 25)


def test_phone_rotation_is_applied(tmp_path: Path) -> None:
    path, pictures = tmp_path / "a.mp4", ramp(3)
    write_clip(Clip.from_fps(pictures, 25), path)
    content = bytearray(path.read_bytes())
    one = 0x10000
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 0x40000000)
    clockwise = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 0x40000000)
    matrix = content.index(identity, content.index(b"tkhd"))
    content[matrix : matrix + 36] = clockwise
    path.write_bytes(content)
    clip = read_clip(path)
    upright = np.rot90(pictures, -1, axes=(1, 2))
    assert clip.frames.shape == upright.shape
    assert np.abs(clip.frames.astype(int) - upright).mean() < 2


def test_missing_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mjpeg"})
    with pytest.raises(OutputError, match="no libx264 encoder"):
        write_clip(Clip.from_fps(ramp(), 25), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4", "a.gif"])
def test_full_disk_while_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    opened = av.open
    monkeypatch.setattr(av, "open", lambda _, *args, **kwargs: opened("/dev/full", *args, **kwargs))
    with pytest.raises(OutputError, match="No space left"):
        write_clip(Clip.from_fps(ramp(), 25), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(779000, 26827), Fraction(25, 2), Fraction(400)])
def test_odd_rates_survive(tmp_path: Path, rate: Fraction) -> None:
    clip = Clip.from_fps(ramp(40, 16, 16), float(rate))
    for suffix in (".avi", ".mkv", ".mp4"):
        write_clip(clip, tmp_path / f"a{suffix}")
        times = read_clip(tmp_path / f"a{suffix}").times_s
        np.testing.assert_allclose(times, clip.times_s, atol=1e-6)


def test_rates_above_a_tick_of_matroska(tmp_path: Path) -> None:
    clip = Clip.from_fps(ramp(40, 16, 16), 5000)
    write_clip(clip, tmp_path / "a.mkv")
    np.testing.assert_allclose(read_clip(tmp_path / "a.mkv").times_s, clip.times_s, atol=1e-6)
    irregular = Clip(ramp(3, 16, 16), np.array([0, 0.0001, 0.0003]))
    with pytest.raises(OutputError, match="1/1000 s apart"):
        write_clip(irregular, tmp_path / "b.mkv")


def test_gif_refuses_what_viewers_slow_down(tmp_path: Path) -> None:
    write_clip(Clip.from_fps(ramp(), 50), tmp_path / "a.gif")
    assert read_clip(tmp_path / "a.gif").fps == pytest.approx(50)
    with pytest.raises(OutputError, match="50 frames a second") as caught:
        write_clip(Clip.from_fps(ramp(), 100), tmp_path / "b.gif")
    assert "--fps" in caught.value.hint


def test_an_odd_size_is_only_cropped_when_it_fits() -> None:
    assert stream._noted_size("lrmcodec picture 33x47") == (33, 47)
    assert stream._noted_size("lrmcodec picture 33x47 and more") is None
    assert stream._pads((33, 47), (34, 48))
    assert not stream._pads((33, 47), (64, 64))


@pytest.mark.skipif(not (DATA / "lung_ccby").exists(), reason="shared clips are not here")
@pytest.mark.parametrize("name", [
    "Cov_convex_volpecelli_sonographic_v1.mov", "Reg_pat1Image_133410.mpeg", "Reg_Image_18122_crop.mp4",
])
def test_real_clips_load_as_gray(name: str) -> None:
    clip = read_clip(DATA / "lung_ccby" / name)
    assert len(clip.frames) > 100
    assert np.ptp(np.diff(clip.times_s)) < 1e-9
    assert not clip.warnings
