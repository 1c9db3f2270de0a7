"""The process's peak memory, on any system."""

from __future__ import annotations

import sys

import psutil


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far; on Windows its peak working set."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
