"""A segment as a reader has it, by its decoder or as a video with coefficients beside it; and its frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrmcodec.decoders.base import Decoder, Progressive, RestoredSegment
from lrmcodec.formats.container import CodedSegment, Component
from lrmcodec.formats.errors import FormatError, TargetError
from lrmcodec.levels import frames_at_a_time, to_uint8

if TYPE_CHECKING:
    from lrmcodec.video.payload import VideoSegment


def restore_segment(decoder: Decoder, coded: CodedSegment, frame_count: int, size: tuple[int, int],
                    first: int | None = None) -> RestoredSegment:
    """Restore a coded segment of `frame_count` frames of (H, W), or only its `first` components.

    A segment of video has coefficients only: its latent is empty, its basis None (`open_film` gives the frames).

    Raises
    ------
    FormatError
        When it is damaged.
    TargetError
        When components are to be left out, or are missing, that the decoder cannot do without.
    """
    if Component.VIDEO not in coded.components:
        if first is None and not coded.missing:
            return decoder.restore(coded.components, frame_count, size, coded.rank, coded.q)
        return _restore_first(decoder, coded, frame_count, size, coded.rank if first is None else first)
    from lrmcodec.video.motion import restore_motion

    coeffs = restore_motion(coded.components.get(Component.COEFFS, b""), frame_count, coded.rank)
    return RestoredSegment(np.empty((0, 0), np.float32), None, coeffs, size)


def _restore_first(decoder: Decoder, coded: CodedSegment, frame_count: int, size: tuple[int, int],
                   first: int) -> RestoredSegment:
    if not isinstance(decoder, Progressive):
        raise TargetError("files of this decoder pack make no sense in part.", "Decode the whole file at its own rank.")
    wanted = 0 if Component.COEFFS in coded.missing else min(first, coded.rank)
    return decoder.restore_first(coded.components, frame_count, size, coded.rank, coded.q, wanted, coded.missing)


def restore_coeffs(decoder: Decoder, coded: CodedSegment, frame_count: int,
                   size: tuple[int, int]) -> NDArray[np.float64]:
    """Coefficients (T, r) of a coded segment as `restore_segment` gives them, without its pictures where possible."""
    if Component.VIDEO in coded.components:
        return restore_segment(decoder, coded, frame_count, size).coeffs
    return decoder.restore_coeffs(coded.components, frame_count, size, coded.rank, coded.q)


def open_film(coded: CodedSegment, frame_count: int, size: tuple[int, int]) -> VideoSegment | None:
    """The video of a coded segment; None where it is made of pictures or of a network.

    Raises
    ------
    FormatError
        When it is damaged, or there are pictures as well.
    """
    if Component.VIDEO not in coded.components:
        return None
    if {Component.PICTURES, Component.WAVELETS, Component.LATENT} & set(coded.components):
        raise FormatError("the segment has a video and pictures.", "The file is damaged; get another copy.")
    from lrmcodec.video.payload import open_segment  # brings PyAV, which takes long to import

    return open_segment(coded.components[Component.VIDEO], frame_count, size,
                        is_cut=Component.VIDEO in coded.missing)


def rendered(decoder: Decoder, segment: RestoredSegment, rows: NDArray[np.float64],
             size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield frames (n, H, W) of coefficients (T, r) in blocks of bounded size."""
    step = frames_at_a_time(size)
    for start in range(0, len(rows), step):
        yield to_uint8(decoder.render(segment, rows[start:start + step], size))
