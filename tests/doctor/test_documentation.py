"""docs/doctor.md names every cause and every exit status, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from pgiam import _core

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
STAGES = dict(_core._doctor_stages())
NAME = re.compile(r"\b(" + "|".join(STAGES) + r")\.[a-z_]+\b")


def test_every_name_is_explained() -> None:
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "src" / "doctor").rglob("*.rs")]
    said = {match[0].strip('"') for text in sources for match in re.finditer(f'"{NAME.pattern}"', text)}
    ordinary = {f"{stage}.{end}" for stage in STAGES for end in ("ok", "skipped")}
    explained = {match[0] for match in NAME.finditer(PAGE.partition("## Names")[2])}
    assert explained == said - ordinary
    assert len(explained) > 60


def test_exit_statuses() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", PAGE.partition("## The stages")[2], re.MULTILINE)
    assert {stage: int(status) for stage, status in rows} == STAGES
