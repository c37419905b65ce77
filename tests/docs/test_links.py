"""Internal links lead somewhere, anchors included. Foreign ones are left alone: tests have no network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import ROOT, pages

_FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def prose(path: Path) -> str:
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """As GitHub makes them: https://docs.github.com/en/get-started/writing-on-github (section links)."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found


def problem(page: Path, target: str) -> str | None:
    if re.match(r"[a-z]+:", target):
        return None
    place, _, anchor = target.partition("#")
    path = (page.parent / place).resolve() if place else page
    if not path.exists():
        return f"{target}: there is no such file"
    if not path.is_relative_to(ROOT):
        return f"{target}: this leads out of the repository"
    if anchor and anchor not in anchors(path):
        return f"{target}: there is no such heading"
    return None


WRITTEN = [*pages(), *(path for path in (ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md") if path.exists())]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    problems = [problem(page, match["target"]) for match in _LINK.finditer(prose(page))]
    assert [each for each in problems if each] == []


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / match["target"].partition("#")[0]).resolve() for match in _LINK.finditer(prose(index))}
    guides = {path for path in (ROOT / "docs").glob("**/*.md") if path != index}
    assert guides - linked == set()


@pytest.mark.parametrize("target", ["nowhere.md", "README.md#no-such-heading", "../../outside.md"])
def test_a_dead_link_is_a_problem(target: str) -> None:
    assert problem(ROOT / "docs" / "README.md", target)
