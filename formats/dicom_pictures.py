"""Every picture of a DICOM file decoded, its own header believed before that of the file.

References are to DICOM PS3.3 and PS3.5, 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray
from pydicom.uid import RLELossless

from lrmcodec.formats.codestream import Codestream, read_codestream
from lrmcodec.formats.dicom_decode import MORE_DECODERS, NoDecoderError, decode_codestream, decode_rle
from lrmcodec.formats.dicom_file import DicomFile, read_span
from lrmcodec.formats.dicom_fragments import Fragments, Warn, cut_pictures, head_of, read_fragments, starts_rle
from lrmcodec.formats.dicom_image import COLOR, MAX_PIXELS, ImageModule, loose_bits, used_bits
from lrmcodec.formats.dicom_native import read_native
from lrmcodec.formats.dicom_remarks import without_quotes
from lrmcodec.formats.errors import ClipError

ITEM_TAG = b"\xfe\xff\x00\xe0"

ANOTHER_COPY = "Get another copy of the file, and see whether it opens in a viewer."


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes
    ----------
    values : ndarray, (H, W) or (H, W, 3)
        Stored values, or samples of color without any conversion.
    bits : int
        Of a value.
    space : str
        'RGB' or 'YBR' where a compressed picture itself says so, else ''.
    is_jpeg : bool
        Whether it is a JPEG, whose YCbCr always is of full range.
    """

    values: NDArray[Any]
    bits: int
    space: str = ""
    is_jpeg: bool = False


def decode_pictures(file: DicomFile, image: ImageModule, warn: Warn) -> Iterator[Picture]:
    """Yield all pictures, compressed or not; whatever differs from the header is mentioned.

    Raises
    ------
    ClipError
        When one cannot be decoded, or there is none.
    """
    says_compressed = file.syntax.is_transfer_syntax and file.syntax.is_encapsulated
    if file.pixels.encapsulated or (says_compressed and _begins_with_item(file)):
        if not says_compressed:
            what = f"says {file.syntax.name}" if file.named_syntax else "is missing"
            warn(f"the transfer syntax {what}, but pixels are compressed")
        yield from _compressed(file, image, warn)
        return
    if says_compressed:
        warn(f"the transfer syntax says {file.syntax.name}, but pixels are not compressed")
    for values in read_native(file, _with_samples(file, image, warn), warn):
        yield _stored(values, image, warn)


def _begins_with_item(file: DicomFile) -> bool:
    return read_span(file.file, file.pixels.start, file.pixels.start + 4) == ITEM_TAG


def _with_samples(file: DicomFile, image: ImageModule, warn: Warn) -> ImageModule:
    """The module with three samples where color is promised and the bytes are there for it."""
    if image.is_color or image.photometric not in COLOR or image.allocated % 8:
        return image
    size = file.pixels.stop - file.pixels.start + file.pixels.missing
    if size // (image.rows * image.columns * image.allocated // 8 * 3) != (image.frames or 1):
        return image
    warn(f"SamplesPerPixel says 1, but there are 3, as PhotometricInterpretation ({image.photometric}) says")
    return replace(image, samples=3)


def _stored(values: NDArray[Any], image: ImageModule, warn: Warn) -> Picture:
    """An uncompressed or RLE picture, unused bits removed."""
    if image.is_float:
        return Picture(values, image.allocated)
    width = values.dtype.itemsize * 8
    high = min(image.high, width - 1)
    stored = min(image.stored, width)
    if stored < width and not image.signed and loose_bits(values, stored, high):
        warn("bits outside BitsStored are set, by an overlay or by mistake: they were left out")
    return Picture(used_bits(values, stored, high, image.signed and values.ndim == 2), stored)


def _compressed(file: DicomFile, image: ImageModule, warn: Warn) -> Iterator[Picture]:
    """Decode picture by picture; one that the end of the file cuts is left out."""
    fragments = read_fragments(file, warn)
    is_rle = _is_rle(file, fragments)
    pictures = cut_pictures(file, fragments, is_rle, warn)
    data, index = next(pictures, None), 0
    said: dict[int, str] = {}
    while data is not None:
        following = next(pictures, None)
        cut = fragments.cut and following is None
        messages: list[str] = []
        try:
            yield _decoded(data, image, is_rle, cut, warn, messages)
        except _CutError:
            warn(f"frame {index} is cut off and was left out")
        except NoDecoderError as error:
            raise ClipError(f"{file.name} is compressed as {_kind(file, data)}, which cannot be decoded here.",
                            MORE_DECODERS) from error
        except Exception as error:  # decoders raise errors of every kind on damaged pictures
            if not cut or index == 0:
                number = f"frame {index}" + (f" of {image.frames}" if image.frames else "")
                raise ClipError(f"{file.name}: {number} ({_kind(file, data)}) cannot be decoded "
                                f"({_cause(error)}).", ANOTHER_COPY) from error
            warn(f"frame {index} is cut off and was left out")
        if messages:
            said[index] = messages[0]
        data, index = following, index + 1
    if said:
        first = min(said)
        warn(f"the decoder reports damage in {len(said)} of {index} frames, in frame {first}: {said[first]}")
    if index == 0:
        raise ClipError(f"{file.name} holds no compressed picture.", ANOTHER_COPY)


class _CutError(Exception):
    """A picture without an end, at the end of a file that is cut off."""


def _is_rle(file: DicomFile, fragments: Fragments) -> bool:
    if file.syntax == RLELossless:
        return True
    return not file.syntax.is_encapsulated and starts_rle(head_of(file, fragments))


def _cause(error: Exception) -> str:
    """What a decoder says; pydicom puts it into the second line of its own error."""
    lines = str(error).splitlines() or [""]
    text = lines[1].strip() if len(lines) > 1 and lines[0].endswith(":") else lines[0]
    return without_quotes(text) or type(error).__name__


def _kind(file: DicomFile, data: bytes) -> str:
    """What a picture is, for messages."""
    stream = read_codestream(data)
    if stream is None or stream.kind == "other JPEG":
        return str(file.syntax.name)
    return stream.kind if stream.bits == 8 else f"{stream.kind} ({stream.bits} bits)"


def _decoded(data: bytes, image: ImageModule, is_rle: bool, cut: bool, warn: Warn, messages: list[str]) -> Picture:
    if is_rle:
        return _stored(decode_rle(data, image), image, warn)
    stream = read_codestream(data)
    if stream is None:
        raise NoDecoderError
    if not stream.complete:
        if cut:
            raise _CutError
        warn("a compressed picture has no end marker: part of it may be missing")
    if not 0 < stream.height * stream.width <= MAX_PIXELS:
        raise ValueError(f"a picture of {stream.height} x {stream.width} pixels cannot be")
    values = decode_codestream(data, stream, messages)
    _compare(stream, image, warn)
    if values.ndim == 3:
        return Picture(values, stream.bits, stream.space, stream.kind == "JPEG")
    bits = _true_bits(values, stream, image, warn)
    return Picture(used_bits(values, bits, bits - 1, image.signed), bits)


def _compare(stream: Codestream, image: ImageModule, warn: Warn) -> None:
    """Mention where a picture and the header differ; the picture is right."""
    if (stream.height, stream.width) != (image.rows, image.columns):
        warn(f"pictures have {stream.height} x {stream.width} pixels, Rows and Columns say "
             f"{image.rows} x {image.columns}")
    if stream.samples != image.samples:
        warn(f"pictures have {stream.samples} samples a pixel, SamplesPerPixel says {image.samples}")
    if stream.kind == "JPEG 2000" and stream.samples == 1 and stream.signed != image.signed:
        said = "signed" if image.signed else "unsigned"
        warn(f"pictures are {'signed' if stream.signed else 'unsigned'}, PixelRepresentation says {said}: it was "
             "followed")


def _true_bits(values: NDArray[Any], stream: Codestream, image: ImageModule, warn: Warn) -> int:
    """Bits of a value: fewer by the header than by the picture, as long as all values fit into them."""
    if stream.bits == image.stored:
        return stream.bits
    if stream.bits > image.stored:
        whole = used_bits(values, stream.bits, stream.bits - 1, image.signed)
        low = -(1 << image.stored >> 1) if image.signed else 0
        if low <= int(whole.min()) and int(whole.max()) < low + (1 << image.stored):
            return image.stored
    warn(f"pictures have {stream.bits} bits, BitsStored says {image.stored}")
    return stream.bits
