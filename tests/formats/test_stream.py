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
from PIL import Image, ImageOps

from lrmcodec.formats import stream
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.ending import CUT_OFF
from lrmcodec.formats.errors import ClipError, OutputError
from lrmcodec.formats.pixels import TRANSPARENT
from lrmcodec.formats.stamps import UNKNOWN_RATE
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
        ("a.mkv", "ffv1", "yuv420p10le", {}, 1),
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
    with pytest.raises(ClipError, match=r"of no kind that is read|such files are not read") as caught:
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


def coded_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def spoil_packet(path: Path, which: int) -> None:
    """Write zeros over all but the first bytes of a packet."""
    data, packet = bytearray(path.read_bytes()), coded_packets(path)[which]
    at = data.find(packet[8:]) - 8
    data[at + 4 : at + len(packet)] = bytes(len(packet) - 4)
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("which", [-1, 10])
def test_one_damaged_packet_costs_one_frame_whatever_the_machine(
    tmp_path: Path, suffix: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / f"a{suffix}", ramp(20), "libx264", "yuv420p", options={"bf": "3", "crf": "8"})
    spoil_packet(path, which)
    clip = read_clip(path)
    assert len(clip.frames) == 19
    assert "damaged packets left out: 1" in clip.warnings
    assert any(text.startswith("FFmpeg reports: ") and "(h264)" in text for text in clip.warnings)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    again = read_clip(path)
    np.testing.assert_array_equal(again.frames, clip.frames)
    assert again.warnings == clip.warnings


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".gif", ".webm", ".mov"])
@pytest.mark.parametrize("part", [0.6, 0.9, 0.99])
def test_a_file_that_was_cut_off_says_so(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in (".webm", ".mov"):
        codec, pixels = ("libvpx-vp9", "yuv420p") if suffix == ".webm" else ("mjpeg", "yuvj420p")
        encode(path, ramp(30), codec, pixels)
    else:
        write_clip(Clip.from_fps(ramp(30), 25), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    try:
        told = read_clip(path).warnings
    except ClipError as error:  # the table of an mp4 stands at either end
        told = (CUT_OFF,) if suffix in (".mp4", ".mov") and "is damaged (" in error.what else ()
    assert CUT_OFF in told


def test_damage_that_checksums_show_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_clip(Clip.from_fps(np.random.default_rng(0).integers(0, 256, (9, 48, 64), np.uint8), 25), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert any("checksum" in text for text in read_clip(path).warnings)


def test_the_longest_stream_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        tracks = []
        for codec, pixels, size in (("mjpeg", "yuvj420p", (90, 120)), ("ffv1", "gray", (48, 64)),
                                    ("ffv1", "gray", (32, 32))):
            track: Any = file.add_stream(codec, rate=25)
            track.height, track.width, track.pix_fmt = *size, pixels
            tracks.append((track, size))
        for (track, size), count in zip(tracks, (1, 9, 9), strict=True):
            for i in range(count):
                frame = av.VideoFrame.from_ndarray(np.full(size, 10 * i, np.uint8), "gray")
                frame = frame.reformat(format=track.pix_fmt)
                frame.pts = i
                file.mux(track.encode(frame))
            file.mux(track.encode(None))
    clip = read_clip(path)
    assert clip.frames.shape == (9, 48, 64)
    assert [text for text in clip.warnings if "was not read" in text] == [
        "picture stream 1 of 3 was not read: mjpeg, 90 x 120 pixels, 1 packets",
        "picture stream 3 of 3 was not read: ffv1, 32 x 32 pixels, 9 packets"]


@pytest.mark.parametrize(("pixels", "codec", "suffix"), [
    ("gray10le", "ffv1", ".mkv"), ("gray16le", "ffv1", ".mkv"), ("gray12le", "ffv1", ".avi"),
    ("gbrp10le", "ffv1", ".mkv"), ("gray16be", "png", ".mov"), ("rgb48be", "png", ".mov")])
def test_gray_and_rgb_above_8_bits_are_refused(tmp_path: Path, pixels: str, codec: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ClipError, match="more than 8 bits") as caught:
        read_clip(encode(path, ramp(3), codec, pixels))
    assert str(path) in caught.value.what


def test_video_of_10_bits_keeps_its_levels_and_says_so(tmp_path: Path) -> None:
    clip = read_clip(encode(tmp_path / "a.mkv", ramp(3), "ffv1", "yuv422p10le"))
    assert np.abs(clip.frames.astype(int) - ramp(3)).max() <= 1
    assert clip.warnings == ("samples of 10 bits were rounded to 8",)


def test_transparent_pixels_of_a_video_are_black(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    picture = np.full((48, 64, 4), 200, np.uint8)
    picture[..., 3] = 255
    picture[:, 32:, 3] = 0
    picture[:, 16:32, 3] = 128
    with av.open(str(path), "w") as file:
        track: Any = file.add_stream("qtrle", rate=25)
        track.height, track.width, track.pix_fmt = 48, 64, "argb"
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(picture, "rgba").reformat(format="argb")
            frame.pts = i
            file.mux(track.encode(frame))
        file.mux(track.encode(None))
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames[0, 0, [0, 20, 40]], [200, 100, 0])
    assert TRANSPARENT in clip.warnings


def test_color_of_one_frame_alone_is_found(tmp_path: Path) -> None:
    pictures: list[NDArray[np.uint8]] = [np.repeat(gray[..., None], 3, axis=2) for gray in ramp(8, 100, 100)]
    pictures[5] = doppler(0.02)[5]
    for name, codec, pixels in (("a.mkv", "ffv1", "yuv420p"), ("b.avi", "mjpeg", "yuvj422p"),
                                ("c.mkv", "ffv1", "bgr0")):
        with pytest.raises(ClipError, match="frame 5"):
            read_clip(encode(tmp_path / name, pictures, codec, pixels))


MATRICES = {
    "mirrored": ((-1, 0, 0, 1), lambda f: f[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda f: f[::-1]),
    "half turn": ((-1, 0, 0, -1), lambda f: f[::-1, ::-1]),
    "clockwise": ((0, 1, -1, 0), lambda f: np.rot90(f, -1)),
    "counter-clockwise": ((0, -1, 1, 0), np.rot90),
    "transposed": ((0, 1, 1, 0), np.transpose),
    "transposed and half turn": ((0, -1, -1, 0), lambda f: f.T[::-1, ::-1]),
    "askew": ((0.7, 0.7, -0.7, 0.7), lambda f: f),
}


@pytest.mark.parametrize("kind", list(MATRICES))
def test_turned_and_mirrored_videos_come_out_upright(tmp_path: Path, kind: str) -> None:
    (a, b, c, d), expected = MATRICES[kind]
    picture = ramp(1)[0]
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        track: Any = file.add_stream("libx264", rate=25, options={"qp": "1"})
        track.height, track.width, track.pix_fmt = 48, 64, "yuv420p"
        track.set_display_matrix([round(65536 * value) for value in (a, b, 0, c, d, 0, 0, 0)] + [1 << 30])
        frame = av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p")
        frame.pts = 0
        file.mux(track.encode(frame))
        file.mux(track.encode(None))
    clip = read_clip(tmp_path / "a.mp4")
    assert np.abs(clip.frames[0].astype(int) - expected(picture)).max() <= 4
    assert (kind == "askew") == any("quarter turn" in text for text in clip.warnings)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_pictures_held_in_any_way_come_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ramp(1)[0]).save(tmp_path / f"a{suffix}", exif=exif, quality=100)
    with Image.open(tmp_path / f"a{suffix}") as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    clip = read_clip(tmp_path / f"a{suffix}")
    assert np.abs(clip.frames[0].astype(int) - upright).max() <= 2
    if suffix == ".png":
        np.testing.assert_array_equal(read_clip(tmp_path).frames[0], upright)


@pytest.mark.parametrize(("shown_ms", "first", "expected"), [(800, 0, 20), (600, 5, 15), (400, 5, 10), (400, 0, 10)])
def test_edit_lists_raise_no_alarm(tmp_path: Path, shown_ms: int, first: int, expected: int) -> None:
    path = encode(tmp_path / "a.mp4", ramp(20), "libx264", "yuv420p", options={"bf": "0", "g": "250"})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    start = struct.unpack_from(">i", data, at + 4)[0]
    struct.pack_into(">Ii", data, at, shown_ms, start + 512 * first)
    path.write_bytes(data)
    clip = read_clip(path)
    assert len(clip.frames) == expected
    assert not clip.warnings


def test_an_empty_chunk_of_avi_shows_the_picture_before_for_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    write_clip(Clip.from_fps(ramp(12), 25), path)
    data = bytearray(path.read_bytes())
    at = data.index(b"movi")
    for _ in range(6):
        at = data.index(b"00dc", at + 4)
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 4 : at + 16] = bytes(4) + b"JUNK" + (length + length % 2 - 8).to_bytes(4, "little")
    entry = data.index(b"idx1") + 8 + 16 * 5
    data[entry + 12 : entry + 16] = bytes(4)
    path.write_bytes(data)
    clip = read_clip(path)
    np.testing.assert_allclose(np.diff(clip.times_s), [0.04] * 4 + [0.08] + [0.04] * 5)
    assert not clip.warnings


@pytest.mark.parametrize(("promised", "word"), [(20, "12 could be decoded"), (7, "12 were found and read")])
def test_counts_of_a_header_are_compared(tmp_path: Path, promised: int, word: str) -> None:
    path, written = tmp_path / "a.avi", 12
    write_clip(Clip.from_fps(ramp(written), 25), path)
    data = bytearray(path.read_bytes())
    length = data.index(b"strh") + 8 + 32
    assert int.from_bytes(data[length : length + 4], "little") == written
    data[length : length + 4] = promised.to_bytes(4, "little")
    path.write_bytes(data)
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, ramp(written))
    assert clip.warnings == (f"the file promises {promised} frames, {word}",)


def test_raw_streams_and_gifs_without_rates_have_unknown_ones(tmp_path: Path) -> None:
    encode(tmp_path / "a.mjpeg", ramp(5), "mjpeg", "yuvj420p")
    pictures = [Image.fromarray(frame) for frame in ramp(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=0)
    for name in ("a.mjpeg", "a.gif"):
        clip = read_clip(tmp_path / name)
        assert (len(clip.frames), clip.fps) == (5, 25)
        assert clip.warnings == (UNKNOWN_RATE,)


def test_fast_gifs_keep_their_times(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in ramp(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=10)
    assert read_clip(tmp_path / "a.gif").fps == pytest.approx(100)


def test_animated_png_and_raw_video(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in ramp(5)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], duration=40)
    head = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 Cmono XCOLORRANGE=FULL\n"
    (tmp_path / "a.y4m").write_bytes(head + b"".join(b"FRAME\n" + frame.tobytes() for frame in ramp(5)))
    encode(tmp_path / "a.mxf", ramp(5), "mpeg2video", "yuv422p", options={"qmin": "1", "qmax": "2"})
    for name, error in (("a.png", 0), ("a.y4m", 0), ("a.mxf", 6)):
        clip = read_clip(tmp_path / name)
        assert clip.frames.shape == (5, 48, 64)
        assert np.abs(clip.frames.astype(int) - ramp(5)).max() <= error, name
        assert clip.fps == pytest.approx(25)


@pytest.mark.skipif(not (DATA / "lung_ccby").exists(), reason="shared clips are not here")
@pytest.mark.parametrize("name", [
    "Cov_convex_volpecelli_sonographic_v1.mov", "Reg_pat1Image_133410.mpeg", "Reg_Image_18122_crop.mp4",
])
def test_real_clips_load_as_gray(name: str) -> None:
    clip = read_clip(DATA / "lung_ccby" / name)
    assert len(clip.frames) > 100
    assert np.ptp(np.diff(clip.times_s)) < 1e-9
    assert not clip.warnings


def dib_avi(frames: NDArray[np.uint8], palette: bytes) -> bytes:
    """An AVI of uncompressed bitmaps of 8 bits, bottom row first, whose palette (B, G, R, 0 each) may be missing."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    count, height, width = frames.shape
    bitmaps = [np.pad(frame[::-1], ((0, 0), (0, -width % 4))).tobytes() for frame in frames]
    header = struct.pack("<14I", 40_000, 0, 0, 0, count, 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vidsDIB " + struct.pack("<12I", 0, 0, 0, 1, 25, 0, count, 0, 0, 0, 0, 0)
    bitmap = struct.pack("<IiiHH6I", 40, width, height, 1, 8, 0, len(bitmaps[0]), 0, 0, len(palette) // 4, 0) + palette
    lists = chunk(b"LIST", b"hdrl" + chunk(b"avih", header)
                  + chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", bitmap)))
    movie = chunk(b"LIST", b"movi" + b"".join(chunk(b"00db", data) for data in bitmaps))
    return chunk(b"RIFF", b"AVI " + lists + movie)


@pytest.mark.parametrize("kind", ["gray", "falling", "missing"])
def test_bitmaps_of_8_bits(tmp_path: Path, kind: str) -> None:
    levels = np.random.default_rng(3).integers(0, 256, (3, 17, 19), np.uint8)
    grays = range(256) if kind == "gray" else range(255, -1, -1)
    palette = b"" if kind == "missing" else b"".join(bytes([gray, gray, gray, 0]) for gray in grays)
    (tmp_path / "a.avi").write_bytes(dib_avi(255 - levels if kind == "falling" else levels, palette))
    clip = read_clip(tmp_path / "a.avi")
    np.testing.assert_array_equal(clip.frames, levels)
    assert any("no palette" in text for text in clip.warnings) == (kind == "missing")
