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

MEAN_PICTURE = "mean picture"
KNOWN = {**PEERS, MEAN_PICTURE: mean_picture}
"""All that can be asked for by name."""

__all__ = ["KNOWN", "MEAN_PICTURE", "PEERS", "Job"]
