"""Whatever is passed: a typed error with a hint, and nothing half done."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgiam
from pgiam._answer import as_credentials

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
DSQL = "abcdefghij0123456789klmnop.dsql.us-east-1.on.aws"
GOOD = {"host": HOST, "user": "app", "port": 5432}
ONE_MB = "x" * (1 << 20)

BAD: list[tuple[str, object]] = [
    *(("host", bad) for bad in (1, b"db", [HOST], object(), "", " ", ONE_MB, "a\0b", "a\nb", "\ud800", "db:5432", "é")),
    *(("user", bad) for bad in (1, b"app", ["app"], "", ONE_MB, "a\0b", "a\x1bb", "\ud800")),
    *(("port", bad) for bad in (0, -1, 65536, 1 << 70, -(1 << 70), "5432", 5432.0, True, b"1", [5432])),
    *(("region", bad) for bad in (1, b"us-east-1", "", "nowhere", ONE_MB, "us-east-1\0", "us-west-2", "\ud800")),
    *(("token_host", bad) for bad in (1, b"db", "", ONE_MB, "a\0b", "db:", "db:99999", "localhost")),
    *(("expires_in", bad) for bad in (0, -1, 901, 1 << 40, 1 << 70, "60", 60.0, True, [60])),
]


def client() -> pgiam.Client:
    return pgiam.Client(pgiam.Credentials("AKIDEXAMPLE", "secret"))


@pytest.mark.parametrize(("option", "value"), BAD, ids=lambda value: repr(value)[:30])
def test_every_call_refuses(option: str, value: object) -> None:
    options: dict[str, Any] = {**GOOD, option: value}
    signer = client()
    calls: list[Callable[[], object]] = [
        lambda: signer.generate_auth_token(**options),
        lambda: asyncio.run(signer.generate_auth_token_async(**options)),
    ]
    if option not in ("user", "expires_in"):
        calls.append(lambda: pgiam.Endpoint.parse(options.pop("host"), **_without(options, "user")))
    for call in calls:
        with pytest.raises(pgiam.Error) as raised:
            call()
        error = raised.value
        assert isinstance(error, (pgiam.ConfigurationError, pgiam.EndpointError))
        assert isinstance(error, ValueError)
        assert 10 < len(error.hint) < 400
        assert len(str(error)) < 800
        if not isinstance(value, (str, int)) or isinstance(value, bool) or (option == "port" and value == "5432"):
            assert isinstance(error, TypeError)
    assert signer.stats().tokens == 0


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}


def test_dsql_has_its_own_range() -> None:
    assert "X-Amz-Expires=604800" in client().generate_auth_token(host=DSQL, user="app", expires_in=604_800)
    with pytest.raises(pgiam.ConfigurationError, match="out of range for dsql"):
        client().generate_auth_token(host=DSQL, user="app", expires_in=604_801)


def test_unknown_keywords_and_positions_are_type_errors() -> None:
    for call in (
        lambda: client().generate_auth_token(hots=HOST),  # type: ignore[call-arg]
        lambda: client().generate_auth_token(HOST),  # type: ignore[call-arg]
        lambda: pgiam.Endpoint.parse(HOST, user="app"),  # type: ignore[call-arg]
        lambda: pgiam.Client(source=None),  # type: ignore[call-arg]
        lambda: pgiam.Endpoint.parse(),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("source", [1, "AKID", b"", {}, [], object(), pgiam.Client, dict], ids=repr)
def test_a_source_that_is_none(source: Any) -> None:
    with pytest.raises(pgiam.WrongTypeError) as raised:
        pgiam.Client(source)
    assert raised.value.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "s"),
        ("a", ""),
        ("a", "s", ""),
        (None, "s"),
        ("a", None),
        (b"a", "s"),
        ("a", 1),
        ("a", "s", b"t"),
        ("a b", "s"),
        ("a", "s\n"),
        ("a", "s", "t\0"),
        ("a" * 300, "s"),
        ("a", "s" * 300),
        ("a", "s", ONE_MB),
        ("a", "s", "\ud800"),
        ("a", "s", None, "2030-01-01"),
        ("a", "s", None, 1893456000),
        ("a", "s", None, datetime(2030, 1, 1)),  # noqa: DTZ001 - that is what must be refused
    ],
)
def test_credentials_that_cannot_sign(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(pgiam.ConfigurationError) as raised:
        pgiam.Credentials(*arguments)
    assert raised.value.hint
    assert len(str(raised.value)) < 400


def test_credentials_show_and_write_no_secret() -> None:
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    credentials = pgiam.Credentials("AKIDEXAMPLE", "hunter2", "token+", end)
    assert repr(credentials) == "<pgiam.Credentials AKIDEXAMPLE from given until 2030-01-02T03:04:05Z>"
    assert "hunter2" not in f"{credentials!s}{credentials!r}{credentials}"
    assert (credentials.secret_key, credentials.token, credentials.expires_at) == ("hunter2", "token+", end)
    assert copy.copy(credentials) is copy.deepcopy(credentials) is credentials
    for secret in (credentials, client()):
        with pytest.raises(pgiam.Error, match="pickled"):
            pickle.dumps(secret)
    with pytest.raises(AttributeError):
        credentials.secret_key = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        1,
        "AKID",
        b"",
        (),
        [],
        {},
        object(),
        {"access_key": "a"},
        {"access_key": "a", "secret_key": 1},
        {"AccessKeyId": "a", "SecretAccessKey": ""},
        {"access_key": "a", "secret_key": "s", "expires_at": "soon"},
        {"access_key": "a", "secret_key": "s", "expires_at": 5},
        {"access_key": "a", "secret_key": "s", "token": b"t"},
        {"Credentials": {"AccessKeyId": ""}},
    ],
    ids=repr,
)
def test_what_a_callable_must_not_return(answer: object) -> None:
    signer = pgiam.Client(lambda: answer)
    with pytest.raises(pgiam.ConfigurationError) as raised:
        signer.generate_auth_token(host=HOST, user="app")
    assert raised.value.hint
    assert signer.stats().tokens == signer.stats().refreshes == 0
    signer.invalidate()
    with pytest.raises(pgiam.ConfigurationError):
        asyncio.run(signer.generate_auth_token_async(host=HOST, user="app"))


def test_every_spelling_of_an_answer() -> None:
    import boto3
    import botocore.credentials

    iso = "2030-01-02T03:04:05Z"
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    sts = {"AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end}
    botocore_metadata = {"access_key": "a", "secret_key": "s", "token": "t", "expiry_time": iso}
    for answer in (
        pgiam.Credentials("a", "s", "t", end),
        sts,
        {**sts, "Expiration": iso},
        {"Credentials": sts, "ResponseMetadata": {}},
        botocore_metadata,
        botocore.credentials.RefreshableCredentials.create_from_metadata(
            botocore_metadata, refresh_using=lambda: botocore_metadata, method="test"
        ),
    ):
        credentials = as_credentials(answer)
        found = (credentials.access_key, credentials.secret_key, credentials.session_token, credentials.expires_at)
        assert found == ("a", "s", "t", end)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "aws_session_token": "t"}
    for open_ended in (keys, boto3.Session(**keys).get_credentials()):
        credentials = as_credentials(open_ended)
        assert (credentials.access_key, credentials.session_token, credentials.expires_at) == ("a", "t", None)
    long_term = as_credentials({"access_key": "a", "secret_key": "s", "token": ""})
    assert long_term.session_token is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
names = st.sampled_from(
    ["access_key", "AccessKeyId", "secret_key", "SecretAccessKey", "token", "SessionToken", "Expiration", "Credentials"]
)


@settings(max_examples=1000, deadline=None)
@given(st.dictionaries(names, anything | st.dictionaries(names, anything)) | anything)
def test_any_answer_is_credentials_or_a_typed_error(answer: object) -> None:
    try:
        credentials = as_credentials(answer)
    except pgiam.ConfigurationError as error:
        assert error.hint  # noqa: PT017 - either outcome is right
    else:
        assert credentials.access_key
        assert credentials.secret_key


@settings(max_examples=2000, deadline=None)
@given(st.text() | st.from_regex(r"[A-Za-z0-9.:%/@-]{0,80}(amazonaws\.com|on\.aws)?"), st.none() | st.text(max_size=20))
def test_any_host_is_an_endpoint_or_a_typed_error(host: str, region: str | None) -> None:
    try:
        endpoint = pgiam.Endpoint.parse(host, region=region)
    except pgiam.EndpointError as error:
        assert error.hint  # noqa: PT017 - either outcome is right
    else:
        assert endpoint.region
        assert endpoint.host


def test_an_endpoint_is_a_value() -> None:
    proxy = "p.proxy-abc123.us-east-2.rds.amazonaws.com"
    endpoint = pgiam.Endpoint.parse("localhost", port=15432, token_host=f"{proxy}:5432")
    assert (endpoint.kind, endpoint.region, endpoint.partition) == ("rds-proxy", "us-east-2", "aws")
    assert (endpoint.host, endpoint.port, endpoint.token_host, endpoint.token_port) == ("localhost", 15432, proxy, 5432)
    assert endpoint.cluster_id is None
    assert repr(endpoint) == f"<pgiam.Endpoint rds-proxy localhost:15432 signed as {proxy} in us-east-2>"
    same = pgiam.Endpoint.parse("localhost", port=15432, token_host=f"{proxy}:5432")
    assert endpoint == same
    assert hash(endpoint) == hash(same)
    assert endpoint != pgiam.Endpoint.parse(proxy)
    assert pgiam.Endpoint.parse(DSQL).cluster_id == DSQL[:26]
