"""What a benchmark asks of the machine and the system. Linux tells all of it; others a part."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

# Which of the cores that this process may use; both are the same on a machine of one.
CLIENT = 0
SERVER = -1


def pin(which: int) -> None:
    """Keep this process on one core, where the system lets us."""
    if sys.platform == "linux":
        # Of all that there are: whoever started this process may have kept itself on one.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[which]})


def raise_descriptor_limit() -> int:
    """Allow as many open files as the system lets us; return how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def cpu_seconds() -> float:
    """Return the CPU time of this process so far, that of the system for it included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def waited_seconds() -> float:
    """Return how long this process could have run but other processes had its core."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def resident_bytes() -> int | None:
    """Return how much of this process is in memory; None if the system doesn't tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * resource.getpagesize()


def open_sockets() -> int:
    """Return how many sockets this process has open; 0 if the system doesn't tell."""
    count = 0
    folder = Path("/proc/self/fd")
    if folder.is_dir():
        for entry in folder.iterdir():
            try:
                count += os.readlink(entry).startswith("socket:")
            except OSError:
                continue
    return count
