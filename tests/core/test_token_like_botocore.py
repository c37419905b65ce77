"""Whole tokens, byte for byte those of botocore at the same instant."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import botocore.auth
import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgiam
from pgiam._core import _sign_at

KEY_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
TOKEN_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
REGIONS = ["us-east-1", "eu-central-2", "ap-southeast-5", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"]
SUFFIX = {"cn-north-1": "amazonaws.com.cn", "eusc-de-east-1": "amazonaws.eu"}

users = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("a+b c@d/é~-_.%&=#?:;,'\"\\*!()[]{}|^`<>$"),
    min_size=1,
    max_size=63,
).filter(lambda user: len(user.encode()) <= 63)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001 - made aware here
    lambda instant: instant.replace(tzinfo=timezone.utc, microsecond=0)
)
labels = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)
keys = st.text(KEY_CHARACTERS, min_size=1, max_size=128)
secrets = st.text(TOKEN_CHARACTERS, min_size=1, max_size=128)
session_tokens = st.none() | st.builds(
    lambda text, length: (text * (length // len(text) + 1))[:length],
    st.text(TOKEN_CHARACTERS, min_size=1, max_size=60),
    st.integers(1, 4096),
)


@st.composite
def cased(draw: st.DrawFn, host: str) -> str:
    return draw(st.sampled_from([host, host.upper(), host.title(), host.swapcase()]))


@pytest.fixture(scope="module")
def session() -> botocore.session.Session:
    return botocore.session.get_session()


class Frozen:
    """botocore reads its clock through this one function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(timezone.utc)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", self.read)

    def read(self, remove_tzinfo: bool = True) -> datetime:
        return self.now.replace(tzinfo=None) if remove_tzinfo else self.now


def reference_client(
    session: botocore.session.Session, service: str, region: str, keys: tuple[str, str, str | None]
) -> object:
    return session.create_client(
        service,
        region_name=region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        aws_session_token=keys[2],
    )


@pytest.fixture
def clients(session: botocore.session.Session) -> dict[str, object]:
    """botocore's clients are slow to make: one a service, whose signer is given other keys by each case."""
    return {service: reference_client(session, service, "us-east-1", ("a", "b", None)) for service in ("rds", "dsql")}


def use_keys(client: object, keys: tuple[str, str, str | None]) -> None:
    from botocore.credentials import Credentials

    client._request_signer._credentials = Credentials(*keys)  # type: ignore[attr-defined]


def test_rds_tokens(clients: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = Frozen(monkeypatch)
    compared = 0

    @settings(max_examples=1500, deadline=None, derandomize=True, database=None)
    @given(st.data(), users, instants, labels, labels, st.sampled_from(REGIONS), keys, secrets, session_tokens)
    def compare(
        data: st.DataObject,
        user: str,
        now: datetime,
        name: str,
        hash_: str,
        region: str,
        access_key: str,
        secret_key: str,
        session_token: str | None,
    ) -> None:
        nonlocal compared
        host = data.draw(cased(f"{name}.{hash_}.{region}.rds.{SUFFIX.get(region, 'amazonaws.com')}"))
        port = data.draw(st.integers(1, 65535) | st.sampled_from([80, 443, 5432, 3306]))
        frozen.now = now
        use_keys(clients["rds"], (access_key, secret_key, session_token))
        theirs = clients["rds"].generate_db_auth_token(host, port, user, region)  # type: ignore[attr-defined]
        credentials = pgiam.Credentials(access_key, secret_key, session_token)
        ours, expires_at = _sign_at(credentials, now.timestamp(), host=host, user=user, port=port)
        assert ours == theirs
        assert expires_at == now + timedelta(seconds=900)
        compared += 1

    compare()
    assert compared >= 1500


def test_dsql_tokens(clients: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = Frozen(monkeypatch)
    compared = 0

    @settings(max_examples=1000, deadline=None, derandomize=True, database=None)
    @given(st.data(), instants, keys, secrets, session_tokens, st.integers(1, 604_800), st.booleans())
    def compare(
        data: st.DataObject,
        now: datetime,
        access_key: str,
        secret_key: str,
        session_token: str | None,
        expires_in: int,
        is_admin: bool,
    ) -> None:
        nonlocal compared
        cluster = data.draw(st.from_regex(r"[a-z0-9]{26}", fullmatch=True))
        service = data.draw(st.sampled_from(["dsql", "dsql-fnh4"]))
        region = data.draw(st.sampled_from(["us-east-1", "eu-west-2", "ap-northeast-3"]))
        host = data.draw(cased(f"{cluster}.{service}.{region}.on.aws"))
        user = "admin" if is_admin else data.draw(users.filter(lambda user: user != "admin"))
        frozen.now = now
        client = clients["dsql"]
        use_keys(client, (access_key, secret_key, session_token))
        if is_admin:
            theirs = client.generate_db_connect_admin_auth_token(host, region, expires_in)  # type: ignore[attr-defined]
        else:
            theirs = client.generate_db_connect_auth_token(host, region, expires_in)  # type: ignore[attr-defined]
        credentials = pgiam.Credentials(access_key, secret_key, session_token)
        ours, expires_at = _sign_at(credentials, now.timestamp(), host=host, user=user, expires_in=expires_in)
        assert ours == theirs
        assert expires_at == now + timedelta(seconds=expires_in)
        compared += 1

    compare()
    assert compared >= 1000


def test_partitions_are_botocores(session: botocore.session.Session) -> None:
    seen = 0
    loader = session.get_component("data_loader")
    for partition in loader.load_data("partitions")["partitions"]:
        for region in partition["regions"]:
            if region.endswith("-global"):
                continue
            suffix = partition["outputs"]["dnsSuffix"]
            endpoint = pgiam.Endpoint.parse(f"db.cluster-abc123.{region}.rds.{suffix}")
            assert (endpoint.region, endpoint.partition) == (region, partition["id"])
            seen += 1
    assert seen > 40
