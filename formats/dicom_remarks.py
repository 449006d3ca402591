"""What pydicom and its decoders say, without what they quote: it may be a patient's name."""

from __future__ import annotations

import re
from warnings import WarningMessage

from pydicom.datadict import dictionary_description, keyword_for_tag, tag_for_keyword
from pydicom.pixels.common import PhotometricInterpretation

MAX_CHARACTERS = 160

_QUOTE = re.compile(r"(?<!\w)['\"]")
_NAME = re.compile(r"(?<!\w)'([A-Za-z0-9_ ]{2,64})'(?!\w)")
_KNOWN = {str(name) for name in PhotometricInterpretation}
_ADDRESS = re.compile(r"\s*Please see <\S+>.*")


def without_quotes(text: str) -> str:
    """The first line of a message, cut where it quotes anything but the name of an element or a color space."""
    line = _ADDRESS.sub("", (text.splitlines() or [""])[0])
    plain = _NAME.sub(lambda name: name[1] if _is_known(name[1]) else name[0], line)
    quote = _QUOTE.search(plain)
    if quote:
        plain = plain[: quote.start()] + "..."
    return plain[:MAX_CHARACTERS].rstrip(" .")


def _is_known(name: str) -> bool:
    if name in _KNOWN:
        return True
    tag = tag_for_keyword(name.replace(" ", ""))
    return tag is not None and name in (keyword_for_tag(tag), dictionary_description(tag))


def remarks(caught: list[WarningMessage]) -> list[str]:
    """Sentences for a user of all warnings that were caught, each once."""
    texts = [f"pydicom reports: {without_quotes(str(warning.message))}" for warning in caught]
    return list(dict.fromkeys(texts))
