"""The texts that docs/troubleshooting.md explains are those that pgiam says."""

from __future__ import annotations

import re

import pytest

from docs.pages import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^### (.+)$", PAGE.partition("\n## From pgiam\n")[2].partition("\n## ")[0], re.MULTILINE)


def _said() -> str:
    """What the sources hold: formatting aside, the platform's name is filled in."""
    files = [*(ROOT / "src").rglob("*.rs"), *(ROOT / "python" / "pgiam").glob("*.py")]
    text = " ".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r"\\\s+", "", text).replace("{} gave no identity token", "Vercel gave no identity token")


def test_there_are_headings() -> None:
    assert len(HEADINGS) >= 5


@pytest.mark.parametrize("heading", HEADINGS)
def test_pgiam_says_so(heading: str) -> None:
    said = _said()
    assert [part for part in heading.split("...") if part.strip() not in said] == []
