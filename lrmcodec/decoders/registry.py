"""Decoder architectures by their frozen ids, and the shipped packs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lrmcodec.decoders.base import Decoder
from lrmcodec.formats.container import PACK_ID_BYTES
from lrmcodec.formats.errors import PackError
from lrmcodec.formats.pack import CARD, Pack, load_pack

SIREN_ID = 1
SPATIAL_ID = 2
GRID_SIREN_ID = 3
AUTOENCODER_ID = 4
DEFAULT_PACK = "spatial"
PACK_FOLDER = Path(__file__).resolve().parent.parent / "packs"


def make_decoder(pack: Pack, device: str = "auto") -> Decoder:
    """Decoder of a pack on a device ('auto', 'cpu' or 'cuda'); torch is imported only where it is needed.

    Raises
    ------
    PackError
        When the pack's architecture is unknown.
    """
    if pack.arch_id == SPATIAL_ID:
        from lrmcodec.decoders.spatial import SpatialDecoder

        return SpatialDecoder(pack)
    if pack.arch_id == SIREN_ID:
        from lrmcodec.decoders.siren import SirenDecoder

        return SirenDecoder.from_pack(pack, device)
    if pack.arch_id == GRID_SIREN_ID:
        from lrmcodec.decoders.grid_siren import GridSirenDecoder

        return GridSirenDecoder.from_pack(pack, device)
    if pack.arch_id == AUTOENCODER_ID:
        from lrmcodec.decoders.autoencoder import AutoencoderDecoder

        return AutoencoderDecoder.from_pack(pack, device)
    raise PackError(f"pack '{pack.name}' has architecture {pack.arch_id}, known are {SIREN_ID} to {AUTOENCODER_ID}.",
                    "Use a newer lrmcodec.")


def shipped_packs() -> list[Pack]:
    """Packs that come with lrmcodec, by name."""
    return [load_pack(card.parent) for card in sorted(PACK_FOLDER.glob(f"*/{CARD}"))]


def find_pack(name_or_path: str) -> Pack:
    """Pack by the name of a shipped one or by its folder.

    Raises
    ------
    PackError
        When there is neither.
    """
    if "/" not in name_or_path and (PACK_FOLDER / name_or_path / CARD).exists():
        return load_pack(PACK_FOLDER / name_or_path)
    if Path(name_or_path).is_dir():
        return load_pack(Path(name_or_path))
    names = ", ".join(pack.name for pack in shipped_packs())
    raise PackError(f"no decoder pack '{name_or_path}'.", f"Shipped: {names}; or give the path of a pack folder.")


def pack_of_file(pack_id: bytes, extra: str | None = None) -> Pack:
    """Pack that a file names, among the shipped ones and the folder `extra`.

    Raises
    ------
    PackError
        When no pack has that digest.
    """
    for pack in _candidates(extra):
        if pack.pack_id == pack_id[:PACK_ID_BYTES]:
            return pack
    looked = f"{PACK_FOLDER}" + (f" and {extra}" if extra else "")
    raise PackError(f"the file needs the decoder pack with digest {pack_id.hex()}..., not found in {looked}.",
                    "Give its folder with --pack, or install the lrmcodec version that ships it.")


def _candidates(extra: str | None) -> Iterator[Pack]:
    """The folder given, the default pack, the others: a digest takes reading all weights."""
    if extra:
        yield find_pack(extra)
    yield find_pack(DEFAULT_PACK)
    yield from (pack for pack in shipped_packs() if pack.name != DEFAULT_PACK)
