"""What a process holds, measured when it is idle, and whether that stays the same."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

import psutil

MIB: Final = 1 << 20
# An allocator's arenas fill up unevenly; what leaks with every connection or exchange grows far beyond this.
MEMORY_SLACK: Final = 8 * MIB
# A kept-alive connection to STS, a worker thread of the runtime: they come and go, but do not add up.
THREADS_SLACK: Final = 2
FILES_SLACK: Final = 4
WARM_UP: Final = 2  # measurements before everything has been used once


@dataclass(frozen=True)
class Sample:
    memory: int
    threads: int
    files: int

    @staticmethod
    def of(pid: int) -> Sample:
        process = psutil.Process(pid)
        with process.oneshot():
            return Sample(process.memory_info().rss, process.num_threads(), process.num_fds())

    def __str__(self) -> str:
        return f"{self.memory / MIB:6.1f} MiB, {self.threads:2} threads, {self.files:2} files"


def growth(samples: list[Sample]) -> Sample:
    """The median of the last third over that of the first, without the warm-up."""
    steady = samples[WARM_UP:]
    third = len(steady) // 3
    if third < 2:
        raise ValueError(f"{len(samples)} samples are too few to tell")
    first, last = steady[:third], steady[-third:]
    return Sample(
        int(statistics.median(sample.memory for sample in last) - statistics.median(s.memory for s in first)),
        int(statistics.median(sample.threads for sample in last) - statistics.median(s.threads for s in first)),
        int(statistics.median(sample.files for sample in last) - statistics.median(s.files for s in first)),
    )


def problems(name: str, samples: list[Sample]) -> list[str]:
    """What grew although it must be flat."""
    grown = growth(samples)
    found = []
    if grown.memory > MEMORY_SLACK:
        found.append(f"the memory of {name} grew by {grown.memory / MIB:.1f} MiB")
    if grown.threads > THREADS_SLACK:
        found.append(f"{name} has {grown.threads} threads more than at first")
    if grown.files > FILES_SLACK:
        found.append(f"{name} has {grown.files} files more open than at first")
    return found
