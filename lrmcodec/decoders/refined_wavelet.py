"""Wavelet pictures that a frozen network refines once they are decoded (decoder architecture 7).

    clip --mean, SVD--> v, B, phi --wavelet--> v', B' --refined by the pack's network--> v", B" --least squares--> phi

All else is as in `wavelet`. What is refined is not looked at while later pictures are decoded, so that integers rest on
exact arithmetic alone; the network is exact too (`refine_net`). Neither encoding nor decoding needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from lrmcodec.decoders.base import PackLike
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.refine_net import MAX_WIDTH, SCALE_BITS, RefineNet, Refiner, needed_tensors, refined
from lrmcodec.decoders.wavelet import AGAIN, WaveletDecoder, checked_tensors
from lrmcodec.decoders.wavelet_transform import Array
from lrmcodec.formats.errors import PackError

DEPTHS = range(2, 17)


class RefinedWaveletDecoder(WaveletDecoder):
    """Wavelet pictures and a network behind them; implements `decoders.base.Decoder`."""

    arch_id: int = Architecture.REFINED_WAVELET

    def __init__(self, pack: PackLike) -> None:
        super().__init__(pack)
        self.net = _checked_net(pack)

    def finish(self, pictures: Iterator[Array], q: float) -> Iterator[Array]:
        """See `WaveletDecoder`."""
        return refined(pictures, q, self.net)

    def refiner(self, q: float) -> Refiner:
        """See `WaveletDecoder`."""
        return Refiner(self.net, q)


def _checked_net(pack: PackLike) -> RefineNet:
    """Network of a pack; PackError where something is missing or out of its range."""
    card = pack.card["architecture"]
    width, depth = (card.get(key) for key in ("refine_width", "refine_depth"))
    if type(width) is not int or type(depth) is not int or not 0 < width <= MAX_WIDTH or depth not in DEPTHS:
        raise PackError(f"the card of pack '{pack.name}' lacks 'refine_width' or 'refine_depth'.", AGAIN)
    tensors = checked_tensors(pack, needed_tensors(width, depth))
    for name, tensor in tensors.items():
        if name.endswith(".scale") and not (tensor.min() >= 0 and tensor.max() < 1 << SCALE_BITS):
            raise PackError(f"tensor '{name}' of pack '{pack.name}' is out of its range.", AGAIN)
    return RefineNet.from_tensors(tensors, depth)
