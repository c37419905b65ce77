"""What every test stands on: the installed wheel, and an environment that says nothing about the machine."""

from __future__ import annotations

import os
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgiam

# A setting of the test run itself; everything else under these prefixes would leak into results.
KEPT = {"PGIAM_POSTGRES_BIN"}
PREFIXES = (
    *("AWS_", "PG", "SSL_CERT_", "SSLKEYLOGFILE"),
    # Where hosting platforms say who a workload is.
    *(
        "ACTIONS_ID_TOKEN_",
        "BITBUCKET_STEP_OIDC_",
        "BUILDKITE_AGENT_",
        "CIRCLE_OIDC_",
        "FLY_",
        "TFC_WORKLOAD_",
        "VERCEL",
    ),
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlalchemy", metavar="VERSION", help="stop unless SQLAlchemy is of this line")


def pytest_configure(config: pytest.Config) -> None:
    installed = Path(sysconfig.get_path("platlib"))
    if not Path(pgiam.__file__).is_relative_to(installed):
        pytest.exit(f"pgiam comes from {pgiam.__file__}, not from the wheel installed in {installed}", returncode=4)
    if line := config.getoption("--sqlalchemy"):
        import sqlalchemy

        if not sqlalchemy.__version__.startswith(f"{line}."):
            pytest.exit(f"SQLAlchemy is {sqlalchemy.__version__}, not {line}", returncode=4)
    for name in list(os.environ):
        if (name.startswith(PREFIXES) and name not in KEPT) or name.lower() in PROXIES:
            del os.environ[name]
    home = tempfile.TemporaryDirectory(prefix="pgiam-home-")
    config.add_cleanup(home.cleanup)
    os.environ["HOME"] = home.name
    os.environ["USERPROFILE"] = home.name
    # A test machine may be an EC2 instance with a role of its own.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """Whatever a test, or what it drives, sets in the environment is gone after it."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)
