"""Peak memory of this process between two moments."""

from __future__ import annotations

import sys
from pathlib import Path

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5): sets the peak resident set size to the present one


def reset_peak() -> None:
    """Begin anew, where the system allows it (Linux); elsewhere `peak_mib` covers the whole life of the process."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return


def peak_mib() -> float:
    """Largest resident size since `reset_peak` in MiB, interpreter and libraries included."""
    try:
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError):
        return _life_peak_mib()


def _life_peak_mib() -> float:
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1 << 20) if sys.platform == "darwin" else size / 1024
