"""What others get on the same clip, every byte counted the same way: standard codecs and the plainest low-rank one.

Each peer is a function from a clip to its jobs; a job codes and decodes the clip at one setting when it is run.
"""

from __future__ import annotations

from collections.abc import Callable

from lrmcodec.benchmarks.peers import envelope, floor, jpeg, lossless
from lrmcodec.benchmarks.peers.coder import Job
from lrmcodec.benchmarks.peers.mean_picture import mean_picture
from lrmcodec.formats.clip import Clip

PEERS: dict[str, Callable[[Clip], list[Job]]] = {
    "av1": envelope.av1,
    "x265": envelope.x265,
    "x264": envelope.x264,
    "vp9": envelope.vp9,
    "jpeg2000": jpeg.jpeg2000,
    "jpeg": jpeg.jpeg,
    "ffv1": lossless.ffv1,
    "x265-lossless": lossless.x265,
    "lowrank-av1": floor.low_rank_av1,
}
"""Peers by the name that rows carry, those of a usual run."""

AV1_ENVELOPE = {"av1": envelope.av1, "av1-10bit": envelope.av1_10bit, "av1-preset5": envelope.av1_preset5}
"""Settings of AV1 whose best is what our files must not lie below."""

LOSSLESS_PEERS = {"av1-lossless": lossless.av1, "x265-lossless": lossless.x265, "ffv1": lossless.ffv1,
                  "jpeg2000": jpeg.jpeg2000, "jpeg-ls": lossless.jpeg_ls}
WHOLE_RANGE_PEERS = (*AV1_ENVELOPE, *LOSSLESS_PEERS, "x265")
"""Names of the peers of a run over the whole range of ratios."""

MEAN_PICTURE = "mean picture"
KNOWN = {**PEERS, **AV1_ENVELOPE, **LOSSLESS_PEERS, MEAN_PICTURE: mean_picture}
"""All that can be asked for by name."""

__all__ = ["AV1_ENVELOPE", "KNOWN", "LOSSLESS_PEERS", "MEAN_PICTURE", "PEERS", "WHOLE_RANGE_PEERS", "Job"]
