"""The benches run, and what the documentation shows is what they found. No figure is asserted: machines differ."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _results import Row

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benches")


def row(**said: Any) -> Row:
    from _results import Row

    plain: dict[str, Any] = {"key": "mint", "what": "mint (boto3)", "ours": 2000.0, "theirs": 180000.0, "unit": "ns"}
    plain |= {"ratio": 90.0, "low": 80.0, "high": 100.0, "target": ">= 80x", "goal": 80.0, "met": True, "floor": None}
    return Row(**{**plain, **said})


def series(*values: float) -> Callable[[], float]:
    left = iter(values)
    return lambda: next(left)


# --- measuring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "ratio", "spread", "target", "met"),
    [
        ({"at_least": 80}, 100, (50, 200), ">= 80x", True),
        ({"at_least": 101}, 100, (50, 200), ">= 101x", False),
        ({"at_most": 0.01}, 0.01, (0.005, 0.02), "<= 0.01x", True),
        ({"at_most": 0.009}, 0.01, (0.005, 0.02), "<= 0.009x", False),
        ({"at_least": 0.97, "rate": True}, 0.01, (0.005, 0.02), ">= 0.97x", False),
        ({}, 100, (50, 200), "", None),
    ],
)
def test_the_ratio_is_the_median_of_the_pairs(
    options: dict[str, Any], ratio: float, spread: tuple[float, float], target: str, met: bool | None
) -> None:
    from _measure import compared

    # The first of each only warms up. The medians themselves, 3 and 300, are of different runs than the ratio's.
    ours, theirs = series(1e9, 1, 3, 4), series(1e9, 200, 300, 200)
    found = compared("key", "what", ours, theirs, pairs=3, unit="ns", **options)
    assert (found.ours, found.theirs) == (3, 200)
    assert found.ratio == pytest.approx(ratio)
    assert (found.low, found.high) == pytest.approx(spread)
    assert (found.target, found.met) == (target, met)


def test_runs_are_interleaved() -> None:
    from _measure import interleaved

    order: list[str] = []

    def noted(name: str) -> Callable[[], float]:
        def call() -> float:
            order.append(name)
            return len(order)

        return call

    calls = {name: noted(name) for name in "ab"}
    assert interleaved(calls, 2) == {"a": [3, 5], "b": [4, 6]}
    assert order == list("ababab")


def test_a_limit_is_on_our_own_figure() -> None:
    from _measure import within

    assert within("key", "what", [4, 6, 5], [400, 600, 500], unit="ms", limit=5).met is True
    missed = within("key", "what", [4, 6, 5.1], [400, 600, 510], unit="ms", limit=5)
    assert (missed.met, missed.ratio, missed.target) == (False, 100, "<= 5 ms")


def test_a_floor_says_how_far_a_gain_could_go() -> None:
    assert row(floor=1500.0).floor_said() == "1.50 us = 120x"
    assert row(floor=1500.0, target="<= 5 ms").floor_said() == "1.50 us"
    assert row().floor_said() == ""


@pytest.mark.parametrize(
    ("ratio", "said"), [(0.974, "0.97x"), (1.0, "1.00x"), (72.58, "72.6x"), (252.4, "252x"), (11_083, "11,100x")]
)
def test_ratios_are_said_with_three_digits(ratio: float, said: str) -> None:
    from _results import times

    assert times(ratio) == said


def test_contention_counts_every_call_of_every_thread() -> None:
    import threads

    calls: list[None] = []
    rate, *percentiles = threads.contend(lambda: calls.append(None), count=4, seconds=0.02)
    assert len(calls) >= 4
    assert rate > 0
    assert percentiles == sorted(percentiles)


# --- showing ----------------------------------------------------------------------------------------------------------


def places(element: ET.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def test_bars_are_as_long_as_the_logarithm_of_the_ratio() -> None:
    import plot

    drawn = ET.fromstring(plot.svg([row(ratio=10.0), row(ratio=1000.0), row(ratio=0.5, met=False)]))
    bars = [each for each in drawn.iter(f"{SVG}rect") if "height" in each.attrib and each.get("rx") is None]
    assert [bar.get("class") for bar in bars] == ["bar", "bar", "missed"]
    (ten, thousand, half) = (places(bar, "x", "width") for bar in bars)
    assert thousand[1] == pytest.approx(3 * ten[1], abs=0.3)
    assert ten[0] == thousand[0]
    assert half[0] + half[1] == pytest.approx(ten[0], abs=0.2)  # to the left of 1x
    assert half[1] == pytest.approx(ten[1] * math.log10(2), abs=0.2)


def test_targets_and_spreads_are_on_the_same_scale() -> None:
    import plot

    drawn = ET.fromstring(plot.svg([row(ratio=100.0, low=10.0, high=100.0, goal=10.0)]))
    lines = [each for each in drawn.iter(f"{SVG}line") if each.get("class") in ("target", "spread")]
    target, spread = lines[0:2] if lines[0].get("class") == "target" else (lines[1], lines[0])
    (bar,) = (each for each in drawn.iter(f"{SVG}rect") if each.get("class") == "bar" and each.get("rx") is None)
    x, width = places(bar, "x", "width")
    assert places(target, "x1")[0] == pytest.approx(places(spread, "x1")[0], abs=0.1)
    assert places(spread, "x2")[0] == pytest.approx(x + width, abs=0.2)


def test_only_gains_are_plotted() -> None:
    import plot

    over_floor = row(key="mint-floor", what="mint (its floor)", target="<= 2x", goal=2.0)
    noise = row(key="noise", what="noise", target="", goal=None)
    assert plot.plotted([row(), over_floor, noise]) == [row()]
    with pytest.raises(ValueError, match="nothing to plot"):
        plot.svg([noise])


def test_names_are_escaped_and_texts_stay_in_their_columns() -> None:
    import plot
    import report

    said = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    rows = [*report.all_rows(said), row(what="a < b & c")]
    drawn = ET.fromstring(plot.svg(rows))
    labels = [each for each in drawn.iter(f"{SVG}text") if each.get("x") == f"{plot.LABELS}"]
    assert "a < b & c" in [label.text for label in labels]
    wide = [label.text for label in labels if len(label.text or "") * 7 > plot.LABELS - 10]
    assert wide == []


def test_the_page_shows_what_was_found() -> None:
    """After an edit of the page or of what draws it: python benches/report.py"""
    import plot
    import report

    said = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert report.filled(page, report.markdown(said)) == page
    assert plot.svg(report.all_rows(said)) == (ROOT / "docs" / "benchmarks.svg").read_text(encoding="utf-8")
    shown = [line.split(" | ")[0] for line in page.splitlines()]
    for found in report.all_rows(said):
        assert f"| {found.what}" in shown


def test_a_page_without_markers_is_refused() -> None:
    import report

    with pytest.raises(ValueError, match="benchmarks: begin"):
        report.filled("# What it costs\n", "")


# --- running ----------------------------------------------------------------------------------------------------------


def parts() -> list[str]:
    said = (ROOT / "benches" / "run.py").read_text(encoding="utf-8")
    listed = re.search(r"^PARTS = \((.*)\)$", said, re.MULTILINE)
    assert listed
    return re.findall(r'"(\w+)"', listed[1])


@pytest.mark.parametrize("part", parts())
def test_it_runs(part: str, tmp_path: Path) -> None:
    import report

    script = [sys.executable, str(ROOT / "benches" / "run.py"), "--tiny", "--only", part, "--out", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    assert list(said["parts"]) == [part]
    found = report.parts(said)[0]
    assert found.rows or found.tables
    figures = [value for each in found.rows for value in (each.ours, each.theirs, each.ratio)]
    figures += [cell for table in found.tables for line in table.rows for cell in line if isinstance(cell, float)]
    assert all(math.isfinite(value) for value in figures)
    assert all(each.what in done.stdout for each in found.rows)
    assert (tmp_path / "benchmarks.md").read_text(encoding="utf-8").count("| ") > 0


def test_a_bench_that_breaks_is_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import run

    monkeypatch.setattr(run, "HERE", tmp_path)
    (tmp_path / "core.py").write_text("raise SystemExit('no boto3')\n", encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        run.measured("core", [])
