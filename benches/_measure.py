"""Interleaved measurements: ours, theirs, ours, theirs ...; medians, and the ratio pair by pair.

A machine that others use drifts within seconds. Two figures taken a moment apart share the drift, so their ratio
holds where neither figure does.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is theirs to ours (bigger is better), or ours to a floor where `floor` is set."""

    what: str
    ours: float
    theirs: float
    ratio: float
    unit: str
    target: str
    met: bool
    spread: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def nanoseconds(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(count):
        call()
    return (time.perf_counter_ns() - start) / count


def compared(
    what: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    pairs: int,
    unit: str,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """`at_least`: theirs to ours. `at_most`: ours to theirs."""
    ours(), theirs()  # warm
    first, second = [], []
    for _ in range(pairs):
        first.append(ours())
        second.append(theirs())
    if at_most is not None:
        ratios = [mine / other for mine, other in zip(first, second, strict=True)]
        target, met = f"<= {at_most:g}x", statistics.median(ratios) <= at_most
    else:
        ratios = [other / mine for mine, other in zip(first, second, strict=True)]
        target, met = f">= {at_least or 0:,g}x", statistics.median(ratios) >= (at_least or 0)
    return Row(
        what,
        statistics.median(first),
        statistics.median(second),
        statistics.median(ratios),
        unit,
        target,
        met,
        f"{min(ratios):,.4g}-{max(ratios):,.4g}",
    )


def in_process(script: str, environment: dict[str, str] | None = None) -> float:
    """Runs a script in an interpreter of its own; what it prints last is the figure."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def whole_process(script: str, environment: dict[str, str] | None = None) -> float:
    """Milliseconds from start to end of an interpreter that runs a script."""
    arguments, variables = [sys.executable, "-c", script], {**clean_environment(), **(environment or {})}
    start = time.perf_counter_ns()
    subprocess.run(arguments, env=variables, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter_ns() - start) / 1e6


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG"))}


def show(rows: list[Row], extra: dict[str, object]) -> None:
    print(f"{'what':<44} {'ours':>12} {'theirs':>12}  {'ratio':>10} {'target':>10}  {'spread of the ratio'}")
    for row in rows:
        mark = " " if row.met else "!"
        print(
            f"{row.what:<44} {figure(row.ours, row.unit):>12} {figure(row.theirs, row.unit):>12}  "
            f"{row.ratio:>9,.4g}x {row.target:>10} {mark} {row.spread}"
        )
    for name, value in extra.items():
        print(f"{name:<44} {value}")


def figure(value: float, unit: str) -> str:
    if unit == "ns" and value >= 1e6:
        return f"{value / 1e6:,.1f} ms"
    if unit == "ns" and value >= 1e3:
        return f"{value / 1e3:,.2f} us"
    return f"{value:,.2f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def write_json(path: str, rows: list[Row], extra: dict[str, object]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"rows": [row.as_dict() for row in rows], **extra}, file, indent=1)
        file.write("\n")
