"""FFmpeg's messages in plain words: nothing of names, texts and numbers of a file is handed on."""

from __future__ import annotations

import av
import pytest

from lrmcodec.formats.ffmpeg_log import MAX_KINDS, ffmpeg_log, in_words


@pytest.mark.parametrize(("message", "words"), [
    ("slice CRC mismatch 12345678!", "checksum"),
    ("concealing 12 DC, 12 AC, 12 MV errors in P frame", "made up"),
    ("File ended prematurely", "end too early"),
    ("error while decoding MB 3 4, bytestream -7", "damaged"),
    ("deprecated pixel format used, make sure you did set range correctly", ""),
])
def test_messages_have_plain_words(message: str, words: str) -> None:
    told = in_words("h264", message)
    assert words in told
    assert told.endswith("(h264)") or not words


def test_unknown_messages_are_handed_on_without_names() -> None:
    told = in_words("mov,mp4", "Odd atom 'Smith^John' at 0x1234 of /home/smith/a.mov on 19700101")
    assert told == "Odd atom ... at ... of ... on ... (mov)"


def test_a_flood_of_messages_is_kept_short_and_the_level_is_put_back() -> None:
    before = av.logging.get_level()
    with ffmpeg_log() as log:
        for i in range(10_000):
            av.logging.log(av.logging.ERROR, f"part{'x' * (i % 9)}", "a new kind of thing")
            if i % 100 == 0:
                log.drain()
    assert 1 <= len(log.sentences) <= MAX_KINDS
    assert av.logging.get_level() == before
