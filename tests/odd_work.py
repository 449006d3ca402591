"""Work for processes that start anew and therefore import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lrmcodec.formats.errors import OutputError

DIES, FAULTY, FULL, SLOW = 13, 14, 15, 16


def work(place: str, item: int) -> int:
    """Square of an item; a few items do odd things instead."""
    Path(place, f"{os.getpid()}").touch()
    if item == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == FAULTY:
        raise ValueError(item)
    if item == FULL:
        raise OutputError("no space", "")
    if item == SLOW:
        time.sleep(60)
    return item * item
