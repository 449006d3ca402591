"""The study of beginnings: bytes and quality of every rank are those of the file cut off there."""

from __future__ import annotations

import pytest

from lrmcodec import codec, metrics
from lrmcodec.benchmarks.studies import progressive
from lrmcodec.decoders import wavelet
from lrmcodec.simulate.heart.phantom import beating_heart

pytestmark = pytest.mark.usefixtures("quick_stills")

CLIP = beating_heart(12, (24, 24), fps=25, seed=3)


@pytest.fixture(scope="module")
def found() -> progressive.Progress:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavelet.WaveletDecoder, "alternative", lambda decoder, values: None)
        return progressive.measure("heart", CLIP, 25, [0.7])


def test_points_are_those_of_the_file_cut_off_there(found: progressive.Progress,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wavelet.WaveletDecoder, "alternative", lambda decoder, values: None)
    data = codec.encode(CLIP, ratio=25, tool="low-rank", phase=False).data
    assert found.prefixes[-1].size_bytes == len(data)
    for point in [each for each in found.prefixes if each.size_bytes < len(data)]:
        file = codec.open(data, max_bytes=point.size_bytes)
        assert file.coeffs[0].shape[1] == point.rank
        assert metrics.psnr_db(CLIP.frames, file.frames()) == pytest.approx(point.psnr_db)
        before = shown_rank(data, point.size_bytes - 1)
        assert before < point.rank or before == -1


def shown_rank(data: bytes, size: int) -> int:
    try:
        return codec.open(data, max_bytes=size).coeffs[0].shape[1]
    except codec.LrmError:
        return -1


def test_the_page_sets_a_file_of_its_own_beside_the_beginning(found: progressive.Progress) -> None:
    assert found.there(found.prefixes[-1].size_bytes) == found.prefixes[-1]
    assert found.there(10) is None
    text = progressive.page([found])
    assert text.count("| heart |") == 2 + len(found.prefixes)
    assert progressive.picture([found, found]).startswith(b"\x89PNG")


