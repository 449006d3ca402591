"""Where the bytes of a file's pictures go: picture by picture, where these are coded one after another."""

from __future__ import annotations

from lrmcodec.decoders.wavelet import WaveletDecoder
from lrmcodec.decoders.wavelet_coder import bits_of_pictures
from lrmcodec.formats.container import Component
from lrmcodec.reader import LrmFile


def picture_bits(file: LrmFile) -> list[list[float]]:
    """Bits of latent and basis pictures, a list a segment; empty where they do not come one by one.

    They do as wavelets. AV1 stills hold several pictures each; videos and networks have none. All pictures of the file
    are decoded, so this takes about as long as showing it.

    Raises
    ------
    FormatError, PackError, DeviceError
        When the file is damaged, or its decoder is not at hand.
    """
    return [_segment_bits(file, index) for index in range(len(file.coded.segments))]


def _segment_bits(file: LrmFile, index: int) -> list[float]:
    coded = file.coded.segments[index]
    data = coded.components.get(Component.WAVELETS)
    if data is None or not isinstance(file.decoder, WaveletDecoder):
        return []
    return bits_of_pictures(data, file.size, coded.rank, coded.q, file.decoder.model)
