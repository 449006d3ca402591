"""Files that were cut off, and fewer ranks than a file has: what is shown is what the whole file shows, and is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrmcodec import codec, metrics
from lrmcodec.decoders import wavelet
from lrmcodec.formats import picture
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import FormatError, TargetError
from lrmcodec.simulate.heart.phantom import beating_heart

Run = Callable[..., tuple[int, str, str]]

CLIP = beating_heart(24, (24, 32), fps=25, seed=3)
RANK = 4
GOLDEN = Path(__file__).parent / "golden"

pytestmark = pytest.mark.usefixtures("quick_stills")


@pytest.fixture(scope="module")
def data() -> bytes:
    """A file of one segment, its pictures as wavelets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavelet.WaveletDecoder, "alternative", lambda decoder, values: None)
        return codec.encode(CLIP, rank=RANK, ratio=30).data


@pytest.fixture(scope="module")
def parts() -> bytes:
    """A file of three segments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "SEGMENT_FRAMES", 8)
        patch.setattr(wavelet.WaveletDecoder, "alternative", lambda decoder, values: None)
        return codec.encode(CLIP, rank=2, quality=40).data


@pytest.fixture(scope="module")
def parts_frames(parts: bytes) -> NDArray[np.uint8]:
    return codec.open(parts).frames()


@pytest.fixture(scope="module")
def film() -> bytes:
    return codec.encode(CLIP, ratio=8, tool="video").data


def shown(data: bytes, max_bytes: int) -> codec.LrmFile | None:
    """What there is of the first bytes of a file; None where not even one picture is."""
    try:
        return codec.open(data, max_bytes=max_bytes)
    except FormatError:
        return None


# ---- fewer ranks


def test_every_rank_comes_closer(data: bytes) -> None:
    values = [metrics.psnr_db(CLIP.frames, codec.decode(data, rank=rank).frames) for rank in range(RANK + 1)]
    assert values == sorted(values)
    assert values[-1] == metrics.psnr_db(CLIP.frames, codec.decode(data).frames)


def test_the_first_rank_is_the_mean_and_one_motion(data: bytes) -> None:
    whole, one = codec.open(data), codec.open(data, rank=1)
    segment = whole.segment(0)
    assert segment.basis is not None
    level = np.clip(segment.latent + segment.coeffs[:, :1, None] * segment.basis[:1], 0, 1)
    assert np.abs(one.frames() - 255 * level).max() <= 0.51
    assert [coeffs.shape for coeffs in one.coeffs] == [(24, 1)]
    assert one.missing == ()


@pytest.mark.parametrize("name", ["v1_spatial_even", "v2_spatial_even", "v2_wavelet", "v1_spatial_parts"])
def test_files_of_pictures_of_any_version_have_fewer_ranks(name: str) -> None:
    path = GOLDEN / f"{name}.lrm"
    np.testing.assert_array_equal(codec.decode(path, rank=codec.open(path).rank).frames, codec.decode(path).frames)
    mean = codec.decode(path, rank=0).frames
    assert (mean[:2] == mean[0]).all()


def test_ranks_that_make_no_sense_are_refused(data: bytes, film: bytes) -> None:
    for rank in (-1, RANK + 1):
        with pytest.raises(TargetError, match=f"has {RANK} basis pictures"):
            codec.open(data, rank=rank)
    with pytest.raises(TargetError, match="video"):
        codec.open(film, rank=0)
    with pytest.raises(TargetError, match="no sense in part"):
        codec.open(GOLDEN / "v2_grid_siren_parts.lrm", rank=1).frames()


# ---- prefixes


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1))
@example(share=1.0)
def test_a_prefix_gives_the_ranks_that_are_whole(data: bytes, share: float) -> None:
    file = shown(data, round(share * len(data)) or 1)
    if file is None:
        assert share < 0.8
        return
    rank = file.coeffs[0].shape[1]
    np.testing.assert_array_equal(file.frames(), codec.open(data, rank=rank).frames())
    assert bool(file.missing) == (file.size_bytes < len(data))
    assert (f"{rank} of {RANK} basis pictures are there" in file.missing) == (rank < RANK)


def test_more_bytes_give_more_ranks(data: bytes) -> None:
    files = [shown(data, size) for size in range(len(data) // 3, len(data) + 1, max(len(data) // 40, 1))]
    ranks = [-1 if file is None else file.coeffs[0].shape[1] for file in files] + [RANK]
    assert ranks == sorted(ranks)
    assert set(ranks) >= {0, 1, 2, 3}


def test_the_last_bytes_are_missed(data: bytes) -> None:
    file = shown(data, len(data) - 1)
    assert file is not None
    assert file.missing
    assert file.coeffs[0].shape[1] < RANK


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.05, 1))
def test_of_several_segments_the_first_are_shown(parts: bytes, parts_frames: NDArray[np.uint8],
                                                  share: float) -> None:
    file = shown(parts, round(share * len(parts)))
    if file is None:
        assert share < 0.5
        return
    count = len(file.times_s)
    assert count in (8, 16, 24)
    found = file.frames()
    assert found.shape == (count, 24, 32)
    np.testing.assert_array_equal(found[:count - 8], parts_frames[:count - 8])
    last = codec.open(parts, rank=file.coeffs[-1].shape[1]).frames()
    np.testing.assert_array_equal(found[count - 8:], last[count - 8:count])
    assert any(f"{count} of 24 frames are there" in text for text in file.missing) == (count < 24)
    assert file.duration_s == pytest.approx(count / 25)


@settings(max_examples=10, deadline=None)
@given(share=st.floats(0, 1))
def test_of_a_video_the_first_frames_are_shown(film: bytes, share: float) -> None:
    file = shown(film, round(share * len(film)) or 1)
    if file is None:
        assert share < 0.6
        return
    np.testing.assert_array_equal(file.frames(), codec.open(film).frames()[:len(file.times_s)])
    assert (f"{len(file.times_s)} of 24 frames are there" in str(file.missing)) == (len(file.times_s) < 24)


def test_of_stills_only_whole_pages_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "PAGE_MAX_HEIGHT", 48)  # two pictures
    whole = codec.encode(CLIP, rank=RANK, quality=40, pack="spatial").data
    ranks = set()
    for size in range(len(whole) // 4, len(whole), 9):
        file = shown(whole, size)
        if file is not None:
            ranks.add(file.coeffs[0].shape[1])
            np.testing.assert_array_equal(file.frames(), codec.open(whole, rank=max(ranks)).frames())
    assert ranks == {1, 3}


@pytest.mark.parametrize(("name", "least_rank"), [("v1_spatial_parts", 0), ("v1_autoencoder_parts", 3)])
def test_files_of_version_1_are_shown_up_to_a_segment(name: str, least_rank: int) -> None:
    """Coefficients stood behind the pictures then: without them these show the mean alone."""
    whole = (GOLDEN / f"{name}.lrm").read_bytes()
    frames, found = codec.open(whole).frames(), []
    for size in range(1, len(whole), 11):
        file = shown(whole, size)
        if file is not None:
            count, rank = len(file.times_s), file.coeffs[-1].shape[1]
            found.append((count, rank))
            unspoiled = count if rank == 3 else count - len(frames) // 2
            np.testing.assert_array_equal(file.frames()[:unspoiled], frames[:unspoiled])
    assert {count for count, rank in found if rank == 3} == {len(frames) // 2}
    assert min(rank for _, rank in found) == least_rank


def test_without_a_word_a_cut_file_is_refused_as_ever(data: bytes) -> None:
    with pytest.raises(FormatError, match="--partial"):
        codec.open(data[:-1])
    assert "or damaged" in codec.open(data + b"\0\0", partial=True).missing[0]


def test_a_clip_says_what_its_file_lacked(data: bytes) -> None:
    clip = codec.decode(data[:-20], partial=True)
    assert isinstance(clip, Clip)
    assert "cut off" in clip.warnings[0]
    assert "basis pictures" in clip.warnings[1]


# ---- the command


def test_the_command_shows_what_is_there_and_says_what_is_not(run: Run, data: bytes, tmp_path: Path) -> None:
    part = tmp_path / "part.lrm"
    part.write_bytes(data[:-20])
    code, _, err = run("decode", part)
    assert code == 1
    assert "--partial" in err
    code, _, err = run("decode", part, "--partial", "-o", tmp_path / "a.npy")
    assert code == 0
    assert "cut off after" in err
    assert f"of {RANK} basis pictures are there" in err
    assert run("decode", part, "--partial", "--strict", "-o", tmp_path / "b.npy")[0] == 1
    (tmp_path / "whole.lrm").write_bytes(data)
    arguments = ("decode", tmp_path / "whole.lrm", "--max-bytes", len(data) - 20, "-o", tmp_path / "c.npy", "--json")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "basis pictures" in out
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "c.npy"))
    assert run("decode", tmp_path / "whole.lrm", "--rank", 2, "-o", tmp_path / "d.npy")[::2] == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), codec.open(data, rank=2).frames())
