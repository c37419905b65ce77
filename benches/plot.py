"""The gains as one SVG: a bar each on a logarithmic scale, its target as a tick, the spread of its runs as a line."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from _results import Row, figure, times

WIDTH, LABELS, VALUES, STEP = 1000, 330, 240, 28
TOP, BOTTOM = 92, 66
LEFT, RIGHT = LABELS + 10, WIDTH - VALUES - 10

STYLE = """
  :root { color-scheme: light dark; }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; }
  .page { fill: #ffffff; stroke: #d1d9e0; }
  .title { font-size: 17px; font-weight: 600; }
  .faint { fill: #59636e; font-size: 12px; }
  .ratio { font-weight: 600; }
  .grid { stroke: #d1d9e0; }
  .one { stroke: #818b98; }
  .bar { fill: #2f81c7; }
  .missed { fill: #c2701c; }
  .target { stroke: #1f2328; stroke-width: 2.5; }
  .spread { stroke: #1f2328; stroke-opacity: 0.55; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .page { fill: #0d1117; stroke: #3d444d; }
    .faint { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .one { stroke: #9198a1; }
    .bar { fill: #4493d8; }
    .missed { fill: #d98a38; }
    .target { stroke: #f0f6fc; }
    .spread { stroke: #f0f6fc; }
  }
"""


def plotted(rows: list[Row]) -> list[Row]:
    """Gains over others: not what is measured against a floor or against itself."""
    return [row for row in rows if row.goal is None or row.target.startswith(">=") if row.key != "noise"]


def svg(rows: list[Row]) -> str:
    shown = plotted(rows)
    if not shown:
        raise ValueError("there is nothing to plot")
    low, high = limits(shown)

    def x(ratio: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log10(ratio) - low) / (high - low)

    height = TOP + STEP * len(shown) + BOTTOM
    bottom = TOP + STEP * len(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">How many times less than others pgiam costs</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        text(20, 32, "How many times less than others pgiam costs", "title"),
        text(20, 54, "Beside what stands in brackets. Logarithmic scale: longer is better, at 1x both are the same."),
        text(RIGHT + 12, TOP - 12, "ratio", "faint"),
        text(WIDTH - 20, TOP - 12, "pgiam, theirs", "faint", "end"),
    ]
    for power in range(math.ceil(low), math.floor(high) + 1):
        place = x(10**power)
        kind = "one" if power == 0 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{place:.1f}" y1="{TOP - 4}" x2="{place:.1f}" y2="{bottom}"/>'
            + text(place, bottom + 18, f"{10.0**power:,.10g}x", "faint", "middle")
        )
    for number, row in enumerate(shown):
        parts.append(bar(row, TOP + STEP * number, x))
    parts.append(legend(height - 22))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def limits(rows: list[Row]) -> tuple[float, float]:
    """Powers of ten: whole ones on the right, and on the left only as far as anything goes below 1x."""
    values = [value for row in rows for value in (row.low, row.high, row.ratio, row.goal or 1) if value > 0]
    return min(-0.15, math.log10(min(values)) - 0.1), max(1, math.ceil(math.log10(max(values))))


def bar(row: Row, y: float, x: Callable[[float], float]) -> str:
    start, end = sorted((x(1), x(row.ratio)))
    middle = y + STEP / 2
    kind = "missed" if row.met is False else "bar"
    parts = [
        text(LABELS, middle + 4.5, row.what, "", "end"),
        f'<rect class="{kind}" x="{start:.1f}" y="{y + 5}" width="{max(end - start, 1):.1f}" height="{STEP - 10}"/>',
        f'<line class="spread" x1="{x(row.low):.1f}" y1="{middle}" x2="{x(row.high):.1f}" y2="{middle}"/>',
    ]
    if row.goal is not None:
        goal = x(row.goal)
        parts.append(f'<line class="target" x1="{goal:.1f}" y1="{y + 2}" x2="{goal:.1f}" y2="{y + STEP - 2}"/>')
    parts.append(text(RIGHT + 12, middle + 4.5, times(row.ratio), "ratio"))
    both = f"{figure(row.ours, row.unit)}, {figure(row.theirs, row.unit)}"
    parts.append(text(WIDTH - 20, middle + 4.5, both, "faint", "end"))
    return "\n".join(parts)


def legend(y: float) -> str:
    return "\n".join(
        [
            f'<line class="target" x1="26" y1="{y - 12}" x2="26" y2="{y + 4}"/>',
            text(36, y, "target", "faint"),
            f'<rect class="missed" x="98" y="{y - 11}" width="22" height="13" rx="2"/>',
            text(127, y, "target missed", "faint"),
            f'<line class="spread" x1="226" y1="{y - 4}" x2="250" y2="{y - 4}"/>',
            text(258, y, "lowest and highest ratio of the runs", "faint"),
        ]
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{of_kind} x="{x:g}" y="{y:g}"{anchored}>{escape(words)}</text>'
