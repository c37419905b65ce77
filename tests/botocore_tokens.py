"""Auth tokens made by botocore, the reference that is not ours, for tests of the sandbox's door."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import botocore.session

from pgiam.sandbox import Sandbox


@functools.lru_cache(maxsize=64)
def _client(service: str, region: str, access_key: str, secret_key: str, session_token: str | None) -> Any:
    session = botocore.session.Session()
    session.set_credentials(access_key, secret_key, session_token)
    return session.create_client(service, region_name=region)


def rds_token(host: str, port: int, user: str, region: str, credentials: Mapping[str, Any]) -> str:
    token: str = _client("rds", region, *_parts(credentials)).generate_db_auth_token(host, port, user, Region=region)
    return token


def dsql_token(
    host: str, region: str, credentials: Mapping[str, Any], *, admin: bool = True, lifetime: int = 900
) -> str:
    client = _client("dsql", region, *_parts(credentials))
    make = client.generate_db_connect_admin_auth_token if admin else client.generate_db_connect_auth_token
    token: str = make(host, Region=region, ExpiresIn=lifetime)
    return token


def token_for(box: Sandbox, user: str | None = None, credentials: Mapping[str, Any] | None = None) -> str:
    """A token that opens the sandbox's door; of its role 'app' unless told otherwise."""
    user = box.user if user is None else user
    credentials = box.issue_credentials() if credentials is None else credentials
    if box.flavor == "dsql":
        return dsql_token(box.token_host, box.region, credentials, admin=user == "admin")
    return rds_token(box.token_host, box.port, user, box.region, credentials)


def _parts(credentials: Mapping[str, Any]) -> tuple[str, str, str | None]:
    return credentials["access_key"], credentials["secret_key"], credentials["session_token"]
