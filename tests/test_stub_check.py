"""tools/check_stub.py must see a stub that drifted."""

from __future__ import annotations

import pytest

from check_stub import STUB, check


@pytest.mark.parametrize(
    ("true", "drifted", "complaint"),
    [
        ("    session_token: str | None = None,", "    session_tokn: str | None = None,", "session_tokn"),
        ("    @property\n    def access_key(self)", "    def access_key(self)", "access_key"),
        ("__version__: str", "version: str", "pgiam._core.version"),
        (
            "    def source(self) -> str: ...",
            "    def source(self) -> str: ...\n    def more(self) -> None: ...",
            "more",
        ),
    ],
)
def test_drift_is_seen(true: str, drifted: str, complaint: str) -> None:
    stub = STUB.read_text()
    assert true in stub
    status, said = check(stub.replace(true, drifted, 1))
    assert status != 0
    assert complaint in said
