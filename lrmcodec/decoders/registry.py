"""From a pack to its decoder, and packs by name, folder or the digest that a file names."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path

from lrmcodec.decoders.base import Decoder, PackLike
from lrmcodec.decoders.ids import RETIRED, Architecture
from lrmcodec.formats.container import PACK_ID_BYTES
from lrmcodec.formats.errors import DeviceError, PackError
from lrmcodec.formats.pack import CARD, Pack, load_pack

DEFAULT_PACK = "refined"
DEVICES = ("auto", "cpu", "cuda")
PACK_FOLDER = Path(__file__).resolve().parent.parent / "packs"


def make_decoder(pack: PackLike, device: str = "auto") -> Decoder:
    """Decoder of a pack on a device ('auto', 'cpu' or 'cuda'); torch is imported only where it is needed.

    Raises
    ------
    PackError
        When the pack's architecture is unknown or retired.
    DeviceError
        When the device does not exist or is not here.
    """
    check_known(pack.arch_id, f"pack '{pack.name}'")
    if device not in DEVICES:
        raise DeviceError(f"there is no device {device!r}.", f"Choose one of {', '.join(DEVICES)}.")
    if pack.arch_id == Architecture.SPATIAL:
        from lrmcodec.decoders.spatial import SpatialDecoder

        return SpatialDecoder(pack)
    if pack.arch_id == Architecture.WAVELET:
        from lrmcodec.decoders.wavelet import WaveletDecoder

        return WaveletDecoder(pack)
    if pack.arch_id == Architecture.REFINED_WAVELET:
        from lrmcodec.decoders.refined_wavelet import RefinedWaveletDecoder

        return RefinedWaveletDecoder(pack)
    if pack.arch_id == Architecture.GRID_SIREN:
        from lrmcodec.decoders.grid_siren import GridSirenDecoder

        return GridSirenDecoder.from_pack(pack, device)
    if pack.arch_id == Architecture.GATED_SIREN:
        from lrmcodec.decoders.gated_siren import GatedSirenDecoder

        return GatedSirenDecoder.from_pack(pack, device)
    from lrmcodec.decoders.autoencoder import AutoencoderDecoder

    return AutoencoderDecoder.from_pack(pack, device)


def check_known(arch_id: int, name: str) -> None:
    """Refuse an architecture that this version does not decode; `name` says what names it.

    Raises
    ------
    PackError
        With what can be done about it.
    """
    if arch_id in RETIRED:
        raise PackError(f"{name} has architecture {arch_id} ('{RETIRED[arch_id]}'), which was given up before the "
                        "first release.", "Encode the clip again with a shipped pack.")
    if arch_id not in list(Architecture):
        known = ", ".join(str(int(item)) for item in Architecture)
        raise PackError(f"{name} has architecture {arch_id}, known are {known}.", "Use a newer lrmcodec.")


def shipped_packs() -> list[Pack]:
    """Packs that come with lrmcodec, by name."""
    return [load_pack(card.parent) for card in sorted(PACK_FOLDER.glob(f"*/{CARD}"))]


def find_pack(name_or_path: str | PathLike[str]) -> Pack:
    """Pack by the name of a shipped one or by its folder; a shipped one's name goes before a folder's.

    Raises
    ------
    PackError
        When there is neither.
    """
    name = fspath(name_or_path)
    shipped = PACK_FOLDER / name
    if isinstance(name_or_path, str) and Path(name).name == name and (shipped / CARD).exists():
        return load_pack(shipped)
    if Path(name).is_dir():
        return load_pack(Path(name))
    names = ", ".join(pack.name for pack in shipped_packs())
    raise PackError(f"no decoder pack '{name}'.", f"Shipped: {names}; or give the path of a pack folder.")


def pack_of_file(pack_id: bytes, extra: str | PathLike[str] | None = None) -> Pack:
    """Pack that a file names, among the shipped ones and `extra`, a pack's folder or a shipped one's name.

    Raises
    ------
    PackError
        When no pack has that digest.
    """
    for pack in _candidates(extra):
        if pack.pack_id == pack_id[:PACK_ID_BYTES]:
            return pack
    looked = f"{PACK_FOLDER}" + (f" and {fspath(extra)}" if extra else "")
    raise PackError(f"the file needs the decoder pack with digest {pack_id.hex()}..., not found in {looked}.",
                    "Give its folder with --pack, or install the lrmcodec version that ships it.")


def _candidates(extra: str | PathLike[str] | None) -> Iterator[Pack]:
    """The folder given, the default pack, the others: a digest takes reading all weights."""
    if extra:
        yield find_pack(extra)
    yield find_pack(DEFAULT_PACK)
    yield from (pack for pack in shipped_packs() if pack.name != DEFAULT_PACK)
