"""One compressed picture of DICOM to its samples. Needs the optional packages of the extra `dicom`.

What a picture's own header says about it counts, not what the DICOM header says. GDCM is not among the decoders,
although pydicom would take it first: damaged JPEG makes it end the process.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import JPEG2000, UID, JPEGExtended12Bit, JPEGLSLossless, RLELossless

from lrmcodec.formats.codestream import JPEG_END, Codestream
from lrmcodec.formats.dicom_image import ImageModule
from lrmcodec.formats.ffmpeg_log import ffmpeg_log
from lrmcodec.formats.images import decode_picture

MORE_DECODERS = ("More decoders come with pip install 'lrmcodec[dicom]', that for JPEG of 12 bits with "
                 "pylibjpeg-libjpeg.")

_DECODERS: dict[str, tuple[UID, str]] = {
    "JPEG": (JPEGExtended12Bit, "pylibjpeg"),  # of 12 bits
    "JPEG-LS": (JPEGLSLossless, "pyjpegls"),
    "JPEG 2000": (JPEG2000, "pylibjpeg"),
    "RLE": (RLELossless, "pylibjpeg"),
}
"""Decoder of pydicom and its plugin for each kind."""


class NoDecoderError(Exception):
    """No decoder for this kind of picture is installed."""


def decode_codestream(data: bytes, stream: Codestream, messages: list[str]) -> NDArray[Any]:
    """Decode JPEG, JPEG-LS or JPEG 2000 without any conversion of color but JPEG 2000's own.

    What decoders say about damage is appended to `messages`.

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
    if stream.samples not in (1, 3):
        raise NoDecoderError
    if not stream.complete and stream.kind != "JPEG 2000":
        data += JPEG_END  # Pillow refuses pictures without it, and CharLS looks for it for ten seconds and more
    if stream.kind == "JPEG" and stream.bits == 8:
        return _decode_jpeg(data, stream, messages)
    if stream.kind == "lossless JPEG":
        return _decode_lossless(data, stream, messages)
    allocated = 8 if stream.bits <= 8 else 16 if stream.bits <= 16 else 32
    # pydicom compares the label with the markers of JPEG, and warns: tell it what they say.
    label = "MONOCHROME2" if stream.samples == 1 else "YBR_FULL" if stream.space == "YBR" else "RGB"
    return _decode(stream.kind, data, rows=stream.height, columns=stream.width, samples_per_pixel=stream.samples,
                   photometric_interpretation=label, bits_allocated=allocated, bits_stored=stream.bits,
                   pixel_representation=int(stream.signed))


def decode_rle(data: bytes, image: ImageModule) -> NDArray[Any]:
    """Decode an RLE frame, which says nothing about itself but the number of its planes (PS3.5 annex G)."""
    label = "RGB" if image.is_color else "MONOCHROME2"
    return _decode("RLE", data, rows=image.rows, columns=image.columns, samples_per_pixel=image.samples,
                   photometric_interpretation=label, bits_allocated=image.allocated, bits_stored=image.allocated,
                   pixel_representation=int(image.signed))


def run_decoder(decoder: Decoder, data: bytes, **options: Any) -> NDArray[Any]:
    """Samples of one frame by one of pydicom's decoders, no color converted; `options` are pydicom's."""
    options = {"number_of_frames": 1, "pixel_keyword": "PixelData", **options}
    return decoder.as_array(data, raw=True, index=0, **options)[0]


def _decode(kind: str, data: bytes, **options: Any) -> NDArray[Any]:
    syntax, plugin = _DECODERS.get(kind, (RLELossless, ""))
    decoder = get_decoder(syntax)
    if plugin not in decoder.available_plugins:
        raise NoDecoderError
    return run_decoder(decoder, encapsulate([data]), planar_configuration=0, decoding_plugin=plugin, **options)


def _decode_jpeg(data: bytes, stream: Codestream, messages: list[str]) -> NDArray[np.uint8]:
    """Decode 8-bit JPEG to its components: libjpeg converts none that it takes for what is asked for.

    Pillow does not tell of damage that libjpeg gets over; simplejpeg does, but gives no YCbCr.
    """
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        if stream.samples == 3 and stream.guess == "YBR":
            picture.draft("YCbCr", picture.size)
        samples = np.asarray(picture, np.uint8)
    try:
        simplejpeg.decode_jpeg(data, "GRAY" if stream.samples == 1 or stream.guess == "YBR" else "RGB", strict=True)
    except ValueError as error:
        messages.append(str(error))
    return samples


def _decode_lossless(data: bytes, stream: Codestream, messages: list[str]) -> NDArray[Any]:
    """Decode lossless JPEG by FFmpeg, which shifts samples up to fill their bytes and converts no color."""
    with ffmpeg_log() as log:
        frame = decode_picture(data, "mjpeg")
    messages += log.sentences
    if frame is None:
        raise ValueError("it is damaged")
    samples: NDArray[Any] = frame.to_ndarray()
    name = frame.format.name
    if name in ("yuv444p", "yuvj444p"):
        samples = np.moveaxis(samples, 0, -1)
    elif name == "bgr24":
        samples = samples[..., ::-1]
    elif name not in ("gray", "gray16le", "gray16be", "gbrp"):
        raise NoDecoderError
    return np.ascontiguousarray(samples >> (samples.dtype.itemsize * 8 - stream.bits))
