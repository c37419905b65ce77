"""A service's surroundings: a sandbox of each flavour, whose endpoint lies behind a tunnel, and its account."""

from __future__ import annotations

import pytest

from drivers.account import Account
from pgiam.sandbox import Sandbox


@pytest.fixture
def account(pgiam_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("PGIAM_TOKEN_HOST", pgiam_sandbox.token_host)
    monkeypatch.setenv("PGIAM_CA_FILE", pgiam_sandbox.ca_file)
    return Account(pgiam_sandbox)
