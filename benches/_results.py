"""What a bench finds: rows that compare, tables that show how something grows, and facts. As text, and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """`ratio` is the gain, bigger is better; but where the target is "<= ...x", ours to theirs.

    `met` is None where there is no target. `floor` is in the row's unit, like `ours` and `theirs`.
    """

    key: str
    what: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    low: float
    high: float
    target: str
    goal: float | None
    met: bool | None
    floor: float | None

    def floor_said(self) -> str:
        """The floor, and where the target is a gain, the gain that it would be: more than that cannot be reached."""
        if self.floor is None:
            return ""
        reach = f" = {times(self.theirs / self.floor)}" if self.target.startswith(">=") else ""
        return figure(self.floor, self.unit) + reach


@dataclass(frozen=True)
class Table:
    """`columns` are names with units; a cell of a column without a unit is text or a count."""

    key: str
    title: str
    columns: list[tuple[str, str]]
    rows: list[list[float | str]]
    note: str = ""


@dataclass
class Findings:
    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def write(self, path: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.write("\n")

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> Findings:
        tables = [
            Table(**{**table, "columns": [(name, unit) for name, unit in table["columns"]]}) for table in said["tables"]
        ]
        return cls([Row(**row) for row in said["rows"]], tables, said["facts"])


@dataclass(frozen=True)
class Options:
    pairs: int
    tiny: bool


def main(description: str | None, measure: Callable[[Options], Findings], *, pairs: int) -> int:
    """A bench's command line. A missed target is no failure: the machine may be busy. It is marked with "!"."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pairs", type=int, default=pairs, help=f"interleaved runs of each figure (default {pairs})")
    parser.add_argument("--tiny", action="store_true", help="only see that it runs: the figures mean nothing")
    parser.add_argument("--json", metavar="FILE", help="write what was found as JSON, too")
    said = parser.parse_args()
    found = measure(Options(1 if said.tiny else said.pairs, said.tiny))
    show(found)
    if said.json:
        found.write(said.json)
    return 0


def show(found: Findings) -> None:
    if found.rows:
        columns = f"{'ours':>12} {'theirs':>12} {'floor':>17}  {'ratio':>10} {'target':>12}"
        print(f"{'what':<48} {columns}   spread of the ratio")
    for row in found.rows:
        figures = f"{figure(row.ours, row.unit):>12} {figure(row.theirs, row.unit):>12} {row.floor_said():>17}"
        mark = "!" if row.met is False else " "
        spread = f"{times(row.low)} to {times(row.high)}"
        print(f"{row.what:<48} {figures}  {times(row.ratio):>10} {row.target:>12} {mark} {spread}")
    for table in found.tables:
        shown = [[name for name, _ in table.columns], *([*cells(table, row)] for row in table.rows)]
        widths = [max(len(line[index]) for line in shown) for index in range(len(table.columns))]
        print(f"\n{table.title}")
        for line in shown:
            print("  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
        if table.note:
            print(f"  {table.note}")
    if found.facts:
        print()
    for name, value in found.facts.items():
        print(f"{name}: {value}")


def cells(table: Table, row: list[float | str]) -> list[str]:
    return [
        cell if isinstance(cell, str) else figure(cell, unit) if unit else f"{cell:,.10g}"
        for cell, (_, unit) in zip(row, table.columns, strict=True)
    ]


def figure(value: float, unit: str) -> str:
    if unit == "ns" and abs(value) >= 1e6:
        return f"{value / 1e6:,.1f} ms"
    if unit == "ns" and abs(value) >= 1e3:
        return f"{value / 1e3:,.2f} us"
    return f"{value:,.2f} {unit}" if abs(value) < 100 else f"{value:,.0f} {unit}"


def times(ratio: float) -> str:
    """A ratio with three digits that count: 0.97x, 1.32x, 72.6x, 11,100x."""
    if ratio < 10:
        return f"{ratio:.2f}x"
    return f"{ratio:.1f}x" if ratio < 100 else f"{float(f'{ratio:.3g}'):,.0f}x"
