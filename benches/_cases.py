"""What every bench signs, with which credentials, and the floors: what no implementation can leave out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from _measure import clean_environment

if TYPE_CHECKING:
    import pgiam

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
CLUSTER = "abcdefghij0123456789klmnop.dsql.us-east-1.on.aws"
SESSION_TOKEN = "IQoJb3JpZ2lu" * 113  # 1,356 characters, as long as STS makes them
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def use_example_credentials() -> None:
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]
    os.environ.update(KEYS)


def hook_call(client: pgiam.Client, dialect: Any, host: str, user: str) -> Callable[[], None]:
    """What SQLAlchemy does for one connection, apart from connecting."""

    def call() -> None:
        client.do_connect(dialect, None, [], {"host": host, "user": user, "port": 5432})  # type: ignore[arg-type]

    return call


def mint_floor(token: str) -> Callable[[], object]:
    """The token is part of what is signed: it must be hashed once, and made into a string once."""
    text = token.encode()
    return lambda: (hashlib.sha256(text).digest(), text.decode())


def hook_floor(token: str) -> Callable[[], object]:
    """One Python call with the connection's parameters, a password put among them, and the floor of minting it."""
    mint = mint_floor(token)

    def listener(dialect: object, record: object, cargs: list[Any], cparams: dict[str, Any]) -> None:
        cparams["password"] = mint()

    return lambda: listener(None, None, [], {"host": HOST, "user": "app", "port": 5432})
