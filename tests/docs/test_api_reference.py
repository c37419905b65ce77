"""docs/api.md is what the docstrings say now, and leaves no public name out."""

from __future__ import annotations

import pytest

import build_api_reference


def test_the_page_is_up_to_date() -> None:
    assert build_api_reference.PAGE.read_text(encoding="utf-8") == build_api_reference.build(), (
        "run python tools/build_api_reference.py"
    )


def test_every_public_name_is_there() -> None:
    assert build_api_reference.missing() == set()


def test_a_name_without_a_definition_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    section = build_api_reference.Section("Nothing", "pgiam", ("client.py",), ("no_such_name",))
    monkeypatch.setattr(build_api_reference, "SECTIONS", (section,))
    with pytest.raises(LookupError, match="no_such_name is not defined"):
        build_api_reference.build()
