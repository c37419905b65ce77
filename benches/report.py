"""Puts what the benches found, docs/benchmarks.json, into docs/benchmarks.md and docs/benchmarks.svg."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from _results import Findings, Row, Table, cells, figure, times
from plot import plotted, svg

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def write(folder: Path) -> None:
    """From `folder`/benchmarks.json, with docs/benchmarks.md as the text around the figures."""
    said: dict[str, Any] = json.loads((folder / "benchmarks.json").read_text(encoding="utf-8"))
    page = filled((DOCS / "benchmarks.md").read_text(encoding="utf-8"), markdown(said))
    (folder / "benchmarks.md").write_text(page, encoding="utf-8")
    if plotted(all_rows(said)):  # a part alone may have no gains
        (folder / "benchmarks.svg").write_text(svg(all_rows(said)), encoding="utf-8")


def filled(page: str, figures: str) -> str:
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{figures}\n{END}{after}"


def markdown(said: dict[str, Any]) -> str:
    found = parts(said)
    facts = {name: value for part in found for name, value in part.facts.items()}
    sections = [
        comparison(all_rows(said)),
        *(section(table) for part in found for table in part.tables),
        "### Counted\n\n" + "".join(f"- {name}: {value}\n" for name, value in facts.items()),
        "### Where\n\n" + "".join(f"- {name}: {value}\n" for name, value in said["machine"].items()),
    ]
    return "\n".join(sections)


def parts(said: dict[str, Any]) -> list[Findings]:
    return [Findings.from_dict(part) for part in said["parts"].values()]


def all_rows(said: dict[str, Any]) -> list[Row]:
    return [row for part in parts(said) for row in part.rows]


def comparison(rows: list[Row]) -> str:
    columns = ["what (beside what)", "pgiam", "theirs", "floor", "ratio", "its spread", "target", "met"]
    lines = [columns, ["---", *["--:"] * 6, "---"]]
    for row in rows:
        ours, theirs = figure(row.ours, row.unit), figure(row.theirs, row.unit)
        spread = f"{times(row.low)} to {times(row.high)}"
        met = "" if row.met is None else "yes" if row.met else "**no**"
        lines.append([row.what, ours, theirs, row.floor_said(), times(row.ratio), spread, row.target, met])
    return table_of(lines)


def section(table: Table) -> str:
    lines = [[name for name, _ in table.columns], ["--:"] * len(table.columns)]
    lines += [cells(table, row) for row in table.rows]
    note = f"\n{table.note}\n" if table.note else ""
    return f"### {table.title}\n\n{table_of(lines)}{note}"


def table_of(lines: list[list[str]]) -> str:
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
