"""Clients with credentials that no account knows: enough for whatever needs no server."""

from __future__ import annotations

import pytest

import pgiam

KEYS = pgiam.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.fixture
def client() -> pgiam.Client:
    return pgiam.Client(KEYS)
