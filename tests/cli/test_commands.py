"""The installed command: results, exit codes, and what bad input, a full disk and Ctrl-C leave behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.cli.console import Console
from lrmcodec.decoders.registry import DEFAULT_PACK
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.container import CodedClip, CodedSegment, pack_file, unpack_file
from lrmcodec.formats.errors import LrmError
from lrmcodec.formats.video import read_clip, write_clip
from lrmcodec.samples import lung_clip_path
from lrmcodec.simulate.heart.phantom import beating_heart

COMMAND = str(Path(sys.executable).with_name("lrmcodec"))
MAIN: Callable[[list[str]], int] = next(iter(entry_points(group="console_scripts", name="lrmcodec"))).load()
REPORT = {"size_bytes", "ratio", "psnr_db", "ssim3d", "rank", "fit_seconds"}

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("quick_pictures")


def start(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed script as its own process."""
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **options)


def moving(count: int = 12, height: int = 32, width: int = 40) -> NDArray[np.uint8]:
    """Frames of two moving waves and a little noise."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    frames = [128 + 60 * np.sin(x / 5 + k / 3) * np.cos(y / 7) + rng.normal(0, 3, x.shape) for k in range(count)]
    return np.clip(frames, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 12 frames at 20 frames a second, and its .lrm file."""
    place = tmp_path_factory.mktemp("cli")
    write_clip(Clip.from_fps(moving(), 20.0), place / "clip.avi")
    assert MAIN(["-q", "encode", str(place / "clip.avi"), "-o", str(place / "coded.lrm"), "--psnr", "40"]) == 0
    return place


@pytest.fixture
def coded(folder: Path) -> Path:
    return folder / "coded.lrm"


# ---- what works


def test_encode_prints_one_json_object_and_writes_beside_the_input(tmp_path: Path) -> None:
    clip = tmp_path / "clip.npy"
    np.save(clip, moving())
    done = start("encode", clip, "--fps", 20, "--ratio", 12, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) >= REPORT | {"input", "output", "frames", "height", "width", "fps", "pack"}
    written = tmp_path / "clip.lrm"
    assert report["output"] == str(written)
    assert report["size_bytes"] == written.stat().st_size <= 12 * 32 * 40 / 12
    assert report["ratio"] == pytest.approx(12 * 32 * 40 / written.stat().st_size)
    assert report["fps"] == pytest.approx(20)
    assert done.stderr == ""


def test_encode_prints_a_summary(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("encode", folder / "clip.avi", "-o", tmp_path / "x.lrm", "--rank", 3)
    assert (code, err) == (0, "")
    for word in ("Written", "bytes", "PSNR", "SSIM3D", "rank 3, 1 segment", "12 frames of 32 x 40 pixels"):
        assert word in out
    assert not any(line != line.rstrip() for line in out.splitlines())


def test_quiet_prints_nothing(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("-q", "encode", folder / "clip.avi", "-o", tmp_path / "x.lrm") == (0, "", "")
    assert run("-q", "decode", tmp_path / "x.lrm") == (0, "", "")
    assert run("-q", "verify", tmp_path / "x.lrm") == (0, "", "")


def test_verbose_prints_steps_on_stderr(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("-v", "encode", folder / "clip.avi", "-o", tmp_path / "x.lrm", "--rank", 2, "--json")
    assert code == 0
    assert "coding at rank 2" in err
    json.loads(out)


def test_encode_takes_a_span_and_another_size(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("encode", folder / "clip.avi", "-o", tmp_path / "x.lrm", "--start", 0.1, "--duration", 0.3,
                       "--size", "20x24", "--psnr", 25, "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["frames"], report["height"], report["width"]) == (6, 20, 24)
    assert report["psnr_db"] >= 25


def test_encode_obeys_size_bytes(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("encode", folder / "clip.avi", "-o", tmp_path / "x.lrm", "--size-bytes", 1200, "--json")
    assert code == 0
    assert json.loads(out)["size_bytes"] == (tmp_path / "x.lrm").stat().st_size <= 1200


def test_streams(folder: Path, tmp_path: Path) -> None:
    piped = subprocess.run([COMMAND, "encode", str(folder / "clip.avi"), "-o", "-", "--rank", "2", "--pack", "spatial"],
                           capture_output=True, check=False)
    assert piped.returncode == 0
    assert piped.stdout[:3] == b"LRM"
    assert b"PSNR" in piped.stderr  # the summary makes room for the data
    decoded = subprocess.run([COMMAND, "decode", "-", "-o", str(tmp_path / "x.npy"), "--json"], input=piped.stdout,
                             capture_output=True, check=False)
    assert decoded.returncode == 0
    assert json.loads(decoded.stdout)["frames"] == 12 == len(np.load(tmp_path / "x.npy"))


def test_decode_writes_a_video_beside_the_input(run: Run, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "x.lrm"
    place.write_bytes((folder / "coded.lrm").read_bytes())
    code, out, err = run("decode", place)
    assert (code, err) == (0, "")
    assert "12 frames of 32 x 40 pixels, 20 frames a second" in out
    decoded = read_clip(tmp_path / "x.mp4")
    assert decoded.frames.shape == (12, 32, 40)
    assert decoded.fps == pytest.approx(20)


def test_decode_at_twice_the_rate_doubles_the_frames(run: Run, coded: Path, tmp_path: Path) -> None:
    assert run("decode", coded, "-o", tmp_path / "own.npz")[0] == 0
    code, out, _ = run("decode", coded, "-o", tmp_path / "twice.npz", "--fps", 40, "--json")
    report = json.loads(out)
    assert (code, report["frames"], report["fps"]) == (0, 24, pytest.approx(40))
    assert report["output_bytes"] == (tmp_path / "twice.npz").stat().st_size
    own, twice = read_clip(tmp_path / "own.npz"), read_clip(tmp_path / "twice.npz")
    np.testing.assert_array_equal(twice.frames[::2], own.frames)
    np.testing.assert_allclose(twice.times_s[::2], own.times_s, atol=1e-6)


@pytest.mark.parametrize(("extra", "frames", "size"), [
    (["--times", "0,0.05,0.31"], 3, (32, 40)),
    (["--size", "64x80"], 12, (64, 80)),
    (["--start", "0.2", "--duration", "0.2"], 4, (32, 40)),
])
def test_decode_options(run: Run, coded: Path, tmp_path: Path, extra: list[str], frames: int,
                        size: tuple[int, int]) -> None:
    code, out, _ = run("decode", coded, "-o", tmp_path / "x.npy", "--json", *extra)
    assert code == 0
    assert json.loads(out)["frames"] == frames
    assert np.load(tmp_path / "x.npy").shape == (frames, *size)


@pytest.mark.parametrize("suffix", ["", ".gif", ".mkv"])
def test_decode_type_by_suffix(run: Run, coded: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    assert run("decode", coded, "-o", target)[0] == 0
    assert read_clip(target).frames.shape == (12, 32, 40)


def test_decode_says_in_dicom_how_much_was_lost(run: Run, coded: Path, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    assert run("decode", coded, "-o", tmp_path / "x.dcm")[0] == 0
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    assert float(dataset.LossyImageCompressionRatio) == pytest.approx(12 * 32 * 40 / coded.stat().st_size, rel=0.01)
    code, _, err = run("encode", tmp_path / "x.dcm", "--rank", 2)
    assert code == 0
    assert "does not de-identify" in err


def test_info_accounts_for_every_byte(run: Run, coded: Path) -> None:
    code, out, err = run("info", coded, "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert sum(facts["bytes"].values()) == facts["size_bytes"] == coded.stat().st_size
    assert facts["overhead_bytes"] == facts["bytes"]["header"] <= 64
    assert (facts["frames"], facts["height"], facts["width"], facts["segments"]) == (12, 32, 40, 1)
    assert facts["pack"] == DEFAULT_PACK == "refined"
    assert facts["metadata"] == {}
    code, text, _ = run("info", coded)
    assert code == 0
    assert text.splitlines()[-1].split() == ["Total", f"{facts['size_bytes']:,}", "100.0", "%"]


def test_info_shows_what_every_picture_takes(run: Run, coded: Path) -> None:
    golden = Path(__file__).parents[1] / "codec" / "golden" / "v2_refined_parts.lrm"
    code, out, _ = run("info", golden, "--pictures", "--json")
    facts = json.loads(out)
    assert code == 0
    assert [len(bits) for bits in facts["picture_bits"]] == [3, 3]
    assert sum(map(sum, facts["picture_bits"])) / 8 == pytest.approx(facts["bytes"]["wavelets"], abs=8)
    code, text, _ = run("info", golden, "--pictures")
    assert code == 0
    assert [line.split()[:2] for line in text.splitlines()[-3:]] == [["2", "latent"], ["2", "basis"], ["2", "basis"]]
    code, _, err = run("info", coded, "--pictures")  # AV1 stills
    assert code == 1
    assert "Leave --pictures out" in err


def test_info_shows_metadata_and_reads_stdin(coded: Path, tmp_path: Path) -> None:
    clip = unpack_file(coded.read_bytes())
    noted = pack_file(CodedClip(clip.pack_id, clip.arch_id, clip.size, clip.times_s, clip.segments,
                                {"view": "A4C [1]"}))
    done = subprocess.run([COMMAND, "info", "-"], input=noted, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"- view" in done.stdout
    assert b"A4C [1]" in done.stdout
    assert b"Metadata" in done.stdout


def test_verify_measures_against_the_original(run: Run, folder: Path, coded: Path) -> None:
    code, out, _ = run("verify", coded, "--against", folder / "clip.avi", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["valid"] is True
    assert facts["psnr_db"] > 25
    assert 0 < facts["ssim3d"] <= 1
    code, out, _ = run("verify", coded)
    assert code == 0
    assert "sound" in out


def test_verify_refuses_a_clip_of_another_length(run: Run, folder: Path, coded: Path) -> None:
    code, _, err = run("verify", coded, "--against", folder / "clip.avi", "--duration", 0.2)
    assert code == 1
    assert "4 frames" in err
    assert "the file has 12" in err


def test_packs_lists_what_ships(run: Run) -> None:
    code, out, _ = run("packs", "--json")
    packs = json.loads(out)["packs"]
    assert code == 0
    by_name = {pack["name"]: pack for pack in packs}
    assert [name for name, pack in by_name.items() if pack["default"]] == ["refined"]
    assert len(by_name["spatial"]["id"]) == 16
    code, out, _ = run("packs")
    assert code == 0
    assert "spatial" in out
    assert "Apache-2.0" in out


def test_own_pack(run: Run, folder: Path, tmp_path: Path) -> None:
    """A pack that does not ship: named when encoding, missing or given when decoding."""
    pack = tmp_path / "mine"
    pack.mkdir()
    card = {"name": "mine", "architecture": {"id": 2, "name": "spatial", "network": "identity", "own": True}}
    (pack / "card.json").write_text(json.dumps(card))
    coded = tmp_path / "x.lrm"
    assert run("-q", "encode", folder / "clip.avi", "-o", coded, "--pack", pack)[0] == 0
    code, _, err = run("decode", coded)
    assert code == 1
    assert "decoder pack" in err
    assert "--pack" in err
    code, out, _ = run("info", coded, "--json")
    assert (code, json.loads(out)["pack"]) == (0, None)
    assert run("verify", coded)[0] == 1
    assert run("-q", "verify", coded, "--pack", pack)[0] == 0
    assert run("-q", "decode", coded, "--pack", pack)[0] == 0


def test_demo_runs_on_small_input(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrmcodec.cli import demo

    def small() -> list[demo.Source]:
        return [demo.Source("lung", "Lung", read_clip(lung_clip_path(), size=(32, 32)).cut(0, 0.5), lung_clip_path()),
                demo.Source("heart", "Heart", beating_heart(frame_count=10, size=(32, 48)), None)]

    monkeypatch.setattr(demo, "_sources", small)
    place = tmp_path / "demo"
    code, out, _ = run("demo", "-o", place, "--ratio", 20, "--json")
    facts = json.loads(out)
    assert code == 0
    assert [clip["name"] for clip in facts["clips"]] == ["lung", "heart"]
    assert sorted(facts["files"]) == sorted(str(entry) for entry in place.iterdir())
    assert (place / "lung_original.mp4").read_bytes() == lung_clip_path().read_bytes()
    assert (place / "demo.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert run("demo", "-o", place)[0] == 1  # everything is there already
    code, out, _ = run("demo", "-o", place, "--ratio", 20, "--force")
    assert code == 0
    assert "ratios are to one byte a pixel" in out


# ---- what must stay quick


@pytest.mark.parametrize("arguments", [["--help"], ["info", "coded.lrm"], ["readout", "coded.lrm"],
                                       ["packs", "--help"], ["encode", "--help"]])
def test_no_heavy_imports(arguments: list[str], folder: Path) -> None:
    code = ("import sys; from lrmcodec.cli.main import main; code = main(sys.argv[1:]);"
            "found = [m for m in ('torch', 'scipy', 'skimage', 'PIL', 'av') if m in sys.modules];"
            "sys.exit(f'code {code}, imported {found}' if found or code else 0)")
    done = subprocess.run([sys.executable, "-P", "-c", code, *arguments], cwd=folder, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_beats_are_read_quickly(folder: Path) -> None:
    """0.3 s on a calm machine; twice that in processor time, which other processes lengthen too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = "import sys; from lrmcodec.cli.main import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run([sys.executable, "-P", "-c", command, "readout", "coded.lrm"], cwd=folder, capture_output=True,
                   check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.6


# ---- usage: 2


@pytest.mark.parametrize("arguments", [
    [], ["no-such-command"], ["encode"], ["encode", "a", "b"], ["encode", "a.avi", "--rank", "-1"],
    ["encode", "a.avi", "--ratio", "0"], ["encode", "a.avi", "--ratio", "10", "--psnr", "30"],
    ["encode", "a.avi", "--quality", "101"], ["encode", "a.avi", "--size", "112y112"],
    ["encode", "a.avi", "--size", "112x9999"], ["encode", "a.avi", "--device", "tpu"], ["encode", "-"],
    ["encode", "a.avi", "-o", "-", "--json"], ["decode", "a.lrm", "--fps", "50", "--times", "0"],
    ["decode", "a.lrm", "--times", "0,x"], ["decode", "-"], ["decode", "a.lrm", "-o", "-"],
    ["-q", "-v", "packs"],
], ids=" ".join)
def test_usage_errors(run: Run, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage:" in err
    assert list(tmp_path.iterdir()) == []


# ---- errors: 1, with what to do


def failed(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (1, ""), err
    assert err.splitlines()[-1 if len(err.splitlines()) == 1 else -2].startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def write_red(path: Path) -> None:
    """A video with a red area, as in color Doppler."""
    with av.open(str(path), "w") as file:
        track = file.add_stream("mjpeg", rate=25)
        track.height, track.width, track.pix_fmt = 64, 64, "yuvj444p"
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[16:48, 16:48, 0] = 220
        for _ in range(4):
            file.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(track.encode(None))


def bad_inputs(place: Path) -> dict[str, tuple[Path, str]]:
    """Inputs that cannot be encoded and a word of the error that says why."""
    (place / "empty.mp4").touch()
    (place / "text.avi").write_text("this is no video " * 20)
    (place / "cut.mp4").write_bytes(lung_clip_path().read_bytes()[:3000])
    np.save(place / "nan.npy", np.full((4, 32, 32), np.nan))
    np.save(place / "none.npy", np.empty((0, 32, 32), np.uint8))
    np.save(place / "tiny.npy", np.zeros((4, 8, 8), np.uint8))
    write_red(place / "color.avi")
    (place / "pictures").mkdir()
    (place / "empty.dcm").write_bytes(bytes(128) + b"DICM")
    return {
        "missing": (place / "missing.avi", "cannot be read"), "empty": (place / "empty.mp4", "is empty"),
        "text": (place / "text.avi", "text.avi"), "truncated": (place / "cut.mp4", "cut.mp4"),
        "nan": (place / "nan.npy", "nan.npy"), "no frame": (place / "none.npy", ""),
        "too small": (place / "tiny.npy", "8x8"), "color": (place / "color.avi", "--gray"),
        "no picture": (place / "pictures", "pictures"), "dicom without pixels": (place / "empty.dcm", "empty.dcm"),
    }


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "nan", "no frame", "too small", "color",
                                  "no picture", "dicom without pixels"])
def test_bad_clips(run: Run, tmp_path: Path, kind: str) -> None:
    source, word = bad_inputs(tmp_path)[kind]
    before = sorted(tmp_path.iterdir())
    failed(run("-q", "encode", source, "-o", tmp_path / "out.lrm"), word)
    assert sorted(tmp_path.iterdir()) == before


def test_color_is_encoded_when_asked(run: Run, tmp_path: Path) -> None:
    bad_inputs(tmp_path)
    code, _, err = run("encode", tmp_path / "color.avi", "--gray")
    assert code == 0
    assert "warning" in err


@pytest.mark.parametrize(("arguments", "word"), [
    (["--ratio", "1000"], "smallest possible"), (["--psnr", "119"], "best possible"), (["--rank", "400"], "0 to 11"),
    (["--pack", "no-such-pack"], "spatial"), (["--start", "9"], "lasts"), (["--ratio", "nan"], "not a positive"),
    (["-o", "clip.mp4"], ".lrm"), (["-o", "no/such/folder/x.lrm"], "no folder"),
], ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_requests_that_cannot_be_met(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     arguments: list[str], word: str) -> None:
    monkeypatch.chdir(tmp_path)
    default = [] if "-o" in arguments else ["-o", "x.lrm"]
    failed(run("encode", folder / "clip.avi", *default, *arguments), word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "word"), [
    (["--times", "0,5"], "between 0 and"), (["--times", "0.2,0.1"], "increase"), (["--start", "7"], "--start"),
    (["-o", "x.xyz"], ".xyz"), (["--fps", "nan"], "rate"), (["-o", "no/such/folder/x.avi"], "no folder"),
], ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_decode_requests_that_cannot_be_met(run: Run, coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            arguments: list[str], word: str) -> None:
    monkeypatch.chdir(tmp_path)
    default = [] if "-o" in arguments else ["-o", "x.avi"]
    failed(run("decode", coded, *default, *arguments), word)
    assert list(tmp_path.iterdir()) == []


def damaged(data: bytes) -> dict[str, bytes]:
    """Ways a .lrm file may be broken."""
    return {
        "empty": b"", "one byte": data[:1], "inside the prefix": data[:7], "one byte short": data[:-1],
        "one byte more": data + b"\0", "bit flipped": data[:60] + bytes([data[60] ^ 4]) + data[61:],
        "another version": data[:3] + b"\x09" + data[4:], "another kind": b"RIFF" + data[4:],
    }


@pytest.mark.parametrize("kind", list(damaged(bytes(100))))
def test_damaged_files(run: Run, coded: Path, tmp_path: Path, kind: str) -> None:
    broken = tmp_path / "broken.lrm"
    broken.write_bytes(damaged(coded.read_bytes())[kind])
    for command in (["decode", broken], ["info", broken], ["verify", broken]):
        failed(run(*command))
    assert list(tmp_path.iterdir()) == [broken]


def test_payload_that_does_not_decode_fails_verify_only(run: Run, coded: Path, tmp_path: Path) -> None:
    """Structure and checksum are right, so `info` works; the picture inside is nonsense."""
    clip = unpack_file(coded.read_bytes())
    segment = clip.segments[0]
    nonsense = {key: bytes(len(value)) for key, value in segment.components.items()}
    broken = tmp_path / "broken.lrm"
    broken.write_bytes(pack_file(CodedClip(clip.pack_id, clip.arch_id, clip.size, clip.times_s,
                                           [CodedSegment(segment.rank, segment.q, nonsense)], {})))
    assert run("info", broken)[0] == 0
    failed(run("verify", broken))
    failed(run("decode", broken))
    assert list(tmp_path.iterdir()) == [broken]


def test_missing_lrm(run: Run, tmp_path: Path) -> None:
    for command in ("decode", "info", "verify"):
        failed(run(command, tmp_path / "missing.lrm"), "cannot be read")


def test_existing_outputs_stay_untouched_without_force(run: Run, folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "x.lrm"
    old.write_bytes(b"precious")
    failed(run("encode", folder / "clip.avi", "-o", old), "--force")
    assert old.read_bytes() == b"precious"
    assert run("-q", "encode", folder / "clip.avi", "-o", old, "--rank", 1, "--force")[0] == 0
    video = tmp_path / "x.avi"
    video.write_bytes(b"precious")
    failed(run("decode", old, "-o", video), "--force")
    assert video.read_bytes() == b"precious"


def test_the_input_is_never_overwritten(run: Run, coded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "x.lrm"
    copy.write_bytes(coded.read_bytes())
    failed(run("encode", copy, "--force"), "input itself")
    assert copy.read_bytes() == coded.read_bytes()


def test_no_memory_is_an_error_like_any_other(run: Run, folder: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    from lrmcodec import codec

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(codec, "encode", exhausted)
    failed(run("encode", folder / "clip.avi", "-o", tmp_path / "x.lrm"), "memory", "--duration")


def test_verbose_tells_the_cause(run: Run, tmp_path: Path) -> None:
    code, _, err = run("-v", "encode", tmp_path / "missing.avi")
    assert code == 1
    assert "because of FileNotFoundError" in err


def test_a_bug_is_not_hidden(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lrmcodec import codec

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(codec, "encode", broken)
    with pytest.raises(RuntimeError, match="mistake"):
        run("encode", folder / "clip.avi", "-o", tmp_path / "x.lrm")
    assert not issubclass(RuntimeError, LrmError)


def little_space() -> None:
    """Let no file of this process grow beyond 100 bytes; writing more fails much as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


@pytest.mark.parametrize("target", ["x.lrm", "x.avi", "x.mp4", "x.npy"])
def test_full_disk(folder: Path, tmp_path: Path, target: str) -> None:
    source = "clip.avi" if target == "x.lrm" else "coded.lrm"
    command = "encode" if target == "x.lrm" else "decode"
    fine = ["--psnr", 40, "--pack", "spatial"] if command == "encode" else []
    done = start(command, folder / source, "-o", tmp_path / target, *fine, preexec_fn=little_space)
    failed((done.returncode, done.stdout, done.stderr), target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_stdout_on_a_full_disk(coded: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [COMMAND, "info", str(coded)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "heart.npy", tmp_path / "x.lrm"
    np.save(source, beating_heart(size=(112, 112)).frames)
    with subprocess.Popen([COMMAND, "-v", "encode", str(source), "-o", str(target), "--ratio", "30",
                           "--pack", "spatial"],
                          stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "coding" not in (line := process.stderr.readline()):
            assert line, "the process ended before it could be interrupted"
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [source]


def test_an_interrupt_lost_in_foreign_code_is_noticed_later() -> None:
    console = Console(interrupted=True)
    with pytest.raises(KeyboardInterrupt), console.progress() as progress:
        progress(0.5, "coding")
    with pytest.raises(KeyboardInterrupt), console.progress():
        pass
