"""One compressed picture of DICOM to its samples, by pydicom's decoders. Needs the optional package pydicom.

What a picture's own header says about it counts, not what the DICOM header says.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import JPEG2000, UID, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from lrmcodec.formats.codestream import Codestream
from lrmcodec.formats.dicom_image import ImageModule

MORE_DECODERS = "More decoders come with: pip install 'lrmcodec[dicom]'"

_DECODERS: dict[str, tuple[UID, tuple[str, ...]]] = {
    "JPEG": (JPEGLosslessSV1, ("gdcm", "pylibjpeg")),  # of more than 8 bits: Pillow decodes the others
    "lossless JPEG": (JPEGLosslessSV1, ("gdcm", "pylibjpeg")),
    "JPEG-LS": (JPEGLSLossless, ("gdcm", "pylibjpeg", "pyjpegls")),
    "JPEG 2000": (JPEG2000, ("pylibjpeg", "gdcm")),
    "RLE": (RLELossless, ("pylibjpeg", "pydicom")),
}
"""Decoder and plugins of pydicom for each kind, the preferred plugin first.

GDCM tells the kinds of JPEG apart by itself; asked for the lossless one, pydicom lets it decode 12 bits as well.
"""


class NoDecoderError(Exception):
    """No plugin for this kind of picture is installed."""


def decode_codestream(data: bytes, stream: Codestream) -> NDArray[Any]:
    """Decode JPEG, JPEG-LS or JPEG 2000 without any conversion of color but JPEG 2000's own.

    Returns
    -------
    ndarray, (H, W) or (H, W, 3) of integers
        Samples of `stream.bits` bits, in `stream.space` where that is known, else as the label says.

    Raises
    ------
    NoDecoderError
        When no decoder for it is there.
    Exception
        Whatever decoders raise on damaged pictures.
    """
    if stream.kind == "JPEG" and stream.bits == 8:
        return _decode_jpeg(data, stream)
    if stream.kind not in _DECODERS or stream.samples not in (1, 3):
        raise NoDecoderError
    allocated = 8 if stream.bits <= 8 else 16 if stream.bits <= 16 else 32
    return _decode(stream.kind, data, rows=stream.height, columns=stream.width, samples_per_pixel=stream.samples,
                   bits_allocated=allocated, bits_stored=stream.bits, pixel_representation=int(stream.signed))


def decode_rle(data: bytes, image: ImageModule) -> NDArray[Any]:
    """Decode an RLE frame, which says nothing about itself but the number of its planes (PS3.5 annex G)."""
    return _decode("RLE", data, rows=image.rows, columns=image.columns, samples_per_pixel=image.samples,
                   bits_allocated=image.allocated, bits_stored=image.allocated,
                   pixel_representation=int(image.signed))


def _decode(kind: str, data: bytes, **options: Any) -> NDArray[Any]:
    syntax, plugins = _DECODERS[kind]
    decoder = get_decoder(syntax)
    plugin = next((name for name in plugins if name in decoder.available_plugins), None)
    if plugin is None:
        raise NoDecoderError
    return run_decoder(decoder, encapsulate([data]), planar_configuration=0, decoding_plugin=plugin, **options)


def run_decoder(decoder: Decoder, data: bytes, **options: Any) -> NDArray[Any]:
    """Samples of one frame by one of pydicom's decoders, no color converted; `options` are pydicom's."""
    color = options["samples_per_pixel"] > 1
    options = {"number_of_frames": 1, "pixel_keyword": "PixelData",
               "photometric_interpretation": "RGB" if color else "MONOCHROME2", **options}
    return decoder.as_array(data, raw=True, index=0, **options)[0]


def _decode_jpeg(data: bytes, stream: Codestream) -> NDArray[np.uint8]:
    """Decode 8-bit JPEG to its components: libjpeg converts none that it takes for what is asked for."""
    if stream.samples not in (1, 3):
        raise NoDecoderError
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        if stream.samples == 3 and stream.guess == "YBR":
            picture.draft("YCbCr", picture.size)
        return np.asarray(picture, np.uint8)
