"""Interleaved measurements: ours, theirs, ours, theirs ...; medians, and the ratio pair by pair.

A machine that others use drifts within seconds. Two figures taken a moment apart share the drift, so their ratio
holds where neither figure does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from _results import Row


def nanoseconds(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(count):
        call()
    return (time.perf_counter_ns() - start) / count


def interleaved(calls: dict[str, Callable[[], float]], pairs: int) -> dict[str, list[float]]:
    """Every call in turn, `pairs` times; once before that, uncounted, to warm up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(pairs):
        for name, call in calls.items():
            found[name].append(call())
    return found


def compared(
    key: str,
    what: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    pairs: int,
    unit: str,
    at_least: float | None = None,
    at_most: float | None = None,
    rate: bool = False,
    floor: Callable[[], float] | None = None,
) -> Row:
    """The ratio is theirs to ours, the gain; with `rate`, where more is better, or `at_most`, ours to theirs.

    `floor` does only what no implementation can leave out.
    """
    calls = {"ours": ours, "theirs": theirs, **({"floor": floor} if floor else {})}
    found = interleaved(calls, pairs)
    pairwise = zip(found["ours"], found["theirs"], strict=True)
    if rate or at_most is not None:
        ratios = [mine / other for mine, other in pairwise]
    else:
        ratios = [other / mine for mine, other in pairwise]
    ratio = statistics.median(ratios)
    target, met = "", None
    if at_most is not None:
        target, met = f"<= {at_most:g}x", ratio <= at_most
    elif at_least is not None:
        target, met = f">= {at_least:,g}x", ratio >= at_least
    return Row(
        key=key,
        what=what,
        ours=statistics.median(found["ours"]),
        theirs=statistics.median(found["theirs"]),
        unit=unit,
        ratio=ratio,
        low=min(ratios),
        high=max(ratios),
        target=target,
        goal=at_least if at_most is None else at_most,
        met=met,
        floor=statistics.median(found["floor"]) if floor else None,
    )


def within(key: str, what: str, ours: list[float], theirs: list[float], *, unit: str, limit: float) -> Row:
    """Where the target is a limit on our own figure; theirs, and the gain, stand beside it."""
    ratios = [other / max(mine, 1e-3) for mine, other in zip(ours, theirs, strict=True)]
    mine = statistics.median(ours)
    return Row(
        key=key,
        what=what,
        ours=mine,
        theirs=statistics.median(theirs),
        unit=unit,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        target=f"<= {limit:g} {unit}",
        goal=None,
        met=mine <= limit,
        floor=None,
    )


def in_process(script: str, environment: dict[str, str] | None = None) -> float:
    """Runs a script in an interpreter of its own; what it prints last is the figure."""
    return float(output(script, environment).split()[-1])


def output(script: str, environment: dict[str, str] | None = None) -> str:
    variables = {**clean_environment(), **(environment or {})}
    return subprocess.run(
        [sys.executable, "-c", script], env=variables, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def whole_process(script: str, environment: dict[str, str] | None = None) -> float:
    """Milliseconds from start to end of an interpreter that runs a script."""
    arguments, variables = [sys.executable, "-c", script], {**clean_environment(), **(environment or {})}
    start = time.perf_counter_ns()
    subprocess.run(arguments, env=variables, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter_ns() - start) / 1e6


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG"))}
