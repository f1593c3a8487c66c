"""How much memory a process has used."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

MIB = 2**20


def peak_bytes() -> int:
    """This process' largest resident memory so far.

    Linux counts into ru_maxrss what the process that started this one had; VmHWM is this one's.
    """
    if sys.platform == "linux":
        return _status("VmHWM:")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> int:
    """Begin to count the peak anew, where the system can; what is resident now, or the old peak."""
    if sys.platform != "linux":
        return peak_bytes()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # not everywhere allowed
        return peak_bytes()
    return _status("VmRSS:")


def _status(key: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(key)[2].split()[0]) * 1024
