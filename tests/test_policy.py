"""tools/check_policy.py must refuse what deny.toml does not allow."""

from __future__ import annotations

from typing import Any

import pytest

from check_policy import CRATES_IO, permits, violations

POLICY: dict[str, Any] = {
    "licenses": {"allow": ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]},
    "bans": {"deny": [{"crate": "openssl"}, {"crate": "rustls", "deny-multiple-versions": True}]},
}


@pytest.mark.parametrize(
    ("expression", "permitted"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0", True),
        ("GPL-3.0 OR MIT", True),
        ("MIT/GPL-3.0", True),
        ("MIT AND Apache-2.0", True),
        ("MIT AND GPL-3.0", False),
        ("MIT AND (GPL-3.0 OR Apache-2.0)", True),
        ("MIT OR GPL-3.0 AND GPL-2.0", True),
        ("(MIT OR GPL-3.0) AND GPL-2.0", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH LLVM-exception", False),
        ("GPL-3.0", False),
        ("LGPL-2.1", False),
        ("", False),
        ("MIT AND", False),
        ("(MIT", False),
        ("MIT)", False),
        ("MIT Apache-2.0", False),
        ("MIT WITH", False),
    ],
)
def test_licence_expression(expression: str, permitted: bool) -> None:
    assert permits(expression, set(POLICY["licenses"]["allow"])) is permitted


def crate(name: str, *, version: str = "1.0.0", license: str | None = "MIT", source: str = CRATES_IO) -> dict[str, Any]:
    return {"name": name, "version": version, "license": license, "source": source, "manifest_path": ""}


@pytest.mark.parametrize(
    ("crates", "problem"),
    [
        ([crate("serde")], None),
        ([crate("rustls")], None),
        ([crate("openssl")], "openssl: banned"),
        ([crate("rustls"), crate("rustls", version="2.0.0")], "rustls: 2 versions at once (1.0.0, 2.0.0)"),
        ([crate("serde"), crate("serde", version="2.0.0")], None),
        ([crate("x", license=None)], "x 1.0.0: licence None is not covered by deny.toml"),
        (
            [crate("x", source="git+https://example.org/x")],
            "x 1.0.0: comes from git+https://example.org/x, not from crates.io",
        ),
        (
            [crate("x", source="registry+https://example.org/x")],
            "x 1.0.0: comes from registry+https://example.org/x, not from crates.io",
        ),
    ],
)
def test_violation(crates: list[dict[str, Any]], problem: str | None) -> None:
    found = violations(POLICY, {str(number): each for number, each in enumerate(crates)})
    assert found == ([problem] if problem else [])


def test_folder_outside_the_repository_is_refused() -> None:
    local = crate("x") | {"source": None, "manifest_path": "/elsewhere/Cargo.toml"}
    assert violations(POLICY, {"x": local}) == ["x 1.0.0: comes from a folder outside this repository"]
