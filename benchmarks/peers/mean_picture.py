"""What any codec of clips must beat: the clip's mean picture in every frame. No bytes are counted for it."""

from __future__ import annotations

from functools import partial

from lrmcodec import metrics
from lrmcodec.benchmarks.peers.coder import Coded, Job
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.formats.clip import Clip


def mean_picture(clip: Clip) -> list[Job]:
    """The one job, of rank 0."""
    return [Job(Setting(asked_rank=0), partial(_code, clip))]


def _code(clip: Clip) -> Coded:
    return Coded(0, metrics.mean_picture(clip.frames), 0.0, 0.0)
