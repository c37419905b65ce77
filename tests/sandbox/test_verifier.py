"""The verifier against tokens that botocore made: every right one is taken, every altered one refused."""

from __future__ import annotations

import calendar
import datetime
import random
import time
from unittest import mock

import botocore.auth
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botocore_tokens import dsql_token, rds_token
from pgiam.sandbox import iam
from pgiam.sandbox.verifier import Accepted, Reason, Refused, Target, verify

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
CLUSTER = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
RDS = Target.rds("us-east-1", frozenset({HOST}), 5432, "arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-X/*")
DSQL = Target.dsql("us-east-1", frozenset({CLUSTER}), "arn:aws:dsql:us-east-1:123456789012:cluster/x")


@pytest.fixture
def directory() -> iam.Directory:
    directory = iam.Directory()
    directory.add_role("app", db_users={"app"}, dsql_admin=True)
    return directory


def parts(credential: iam.Credential) -> dict[str, str | None]:
    return {
        "access_key": credential.access_key,
        "secret_key": credential.secret_key,
        "session_token": credential.session_token,
    }


def issue(directory: iam.Directory, lifetime: float = 3600, size: int = 1024) -> iam.Credential:
    return directory.issue("app", "test", lifetime, time.time(), session_token_size=size)


def refused(verdict: Accepted | Refused) -> Reason:
    assert isinstance(verdict, Refused), "the token was accepted"
    return verdict.reason


@pytest.mark.parametrize("size", [64, 1024, 2048])
def test_accepts_what_botocore_signs(directory: iam.Directory, size: int) -> None:
    credential = issue(directory, size=size)
    assert credential.session_token is not None
    assert len(credential.session_token) == size
    verdict = verify(rds_token(HOST, 5432, "app", "us-east-1", parts(credential)), "app", RDS, directory, time.time())
    assert verdict == Accepted(credential, "rds-db:connect")
    admin = verify(dsql_token(CLUSTER, "us-east-1", parts(credential)), "admin", DSQL, directory, time.time())
    assert admin == Accepted(credential, "dsql:DbConnectAdmin")
    plain = dsql_token(CLUSTER, "us-east-1", parts(credential), admin=False)
    assert verify(plain, "app", DSQL, directory, time.time()) == Accepted(credential, "dsql:DbConnect")


def test_accepts_a_long_lived_key_without_a_session_token(directory: iam.Directory) -> None:
    credential = directory.add_user("developer", db_users={"app"})
    token = rds_token(HOST, 5432, "app", "us-east-1", parts(credential))
    assert "X-Amz-Security-Token" not in token
    assert verify(token, "app", RDS, directory, time.time()) == Accepted(credential, "rds-db:connect")


# From botocore's own unit tests, aws-sdk-rust's and ours: the signature is known, so is the time.
@pytest.mark.parametrize(
    ("key", "secret", "stamp", "host", "port", "user", "signature"),
    [
        (
            "akid",
            "skid",
            "20161107T173933Z",
            "prod-instance.us-east-1.rds.amazonaws.com",
            3306,
            "someusername",
            "d1138cdbc0ca63eec012ec0fc6c2267e03642168f5884a7795320d4c18374c61",
        ),
        (
            "akid",
            "secret",
            "20240826T220000Z",
            "prod-instance.us-east-1.rds.amazonaws.com",
            3306,
            "peccy",
            "dd0cba843009474347af724090233265628ace491ea17ce3eb3da098b983ad89",
        ),
        (
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "20260102T030405Z",
            HOST,
            443,
            "app_user",
            "5c79bb09795091bc9029e1feef37ebb373698fe22e9951c0274561c6b8d49564",
        ),
        (
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "20260102T030405Z",
            HOST,
            5432,
            "a+b c@d/é~-_.%",
            None,
        ),
    ],
)
def test_published_vectors(
    key: str, secret: str, stamp: str, host: str, port: int, user: str, signature: str | None
) -> None:
    at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    directory = iam.Directory()
    directory.add_role("r", db_users={iam.ANY})
    known = iam.Credential(key, secret, None, None, "arn:aws:sts::123456789012:assumed-role/r/s", "r", "AROA:s")
    directory.adopt(known)
    frozen = time.strptime(stamp, "%Y%m%dT%H%M%SZ")
    now = mock.Mock(return_value=datetime.datetime(*frozen[:6], tzinfo=datetime.timezone.utc))
    with mock.patch.object(botocore.auth, "get_current_datetime", now):
        token = rds_token(host, port, user, "us-east-1", parts(known))
    if signature is not None:
        assert token.endswith(signature)
    target = Target.rds("us-east-1", frozenset({host}), port, "arn")
    assert verify(token, user, target, directory, at) == Accepted(known, "rds-db:connect")
    assert verify(token, user, target, directory, at + 900) == Accepted(known, "rds-db:connect")
    assert refused(verify(token, user, target, directory, at + 901)) is Reason.EXPIRED


@pytest.mark.parametrize("flavor", ["rds", "dsql"])
def test_a_token_altered_in_any_one_byte_is_refused(directory: iam.Directory, flavor: str) -> None:
    credential = issue(directory, size=256)
    if flavor == "rds":
        token, user, target = rds_token(HOST, 5432, "app", "us-east-1", parts(credential)), "app", RDS
    else:
        token, user, target = dsql_token(CLUSTER, "us-east-1", parts(credential)), "admin", DSQL
    now = time.time()
    assert isinstance(verify(token, user, target, directory, now), Accepted)
    chance = random.Random(3)
    for position, old in enumerate(token):
        others = {chr(ord(old) ^ 1), old.swapcase(), chr(chance.randrange(33, 127)), "\0", "é"} - {old}
        for other in others:
            altered = token[:position] + other + token[position + 1 :]
            refused(verify(altered, user, target, directory, now))
        inserted = token[:position] + chr(chance.randrange(33, 127)) + token[position:]
        refused(verify(inserted, user, target, directory, now))
        # The one other spelling that is right: the Go SDK leaves out the slash of a DSQL token.
        if not (flavor == "dsql" and token[position : position + 2] == "/?"):
            refused(verify(token[:position] + token[position + 1 :], user, target, directory, now))


# botocore takes its time to make a client, so the sessions are few.
ANYONE = iam.Directory()
ANYONE.add_role("app", db_users={iam.ANY})
SESSIONS = [issue(ANYONE, size=size) for size in (32, 1024, 3000)]

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=63)


@settings(max_examples=300, deadline=None)
@given(
    user=NAMES,
    other=NAMES,
    port=st.integers(1, 65535),
    other_port=st.integers(1, 65535),
    credential=st.sampled_from(SESSIONS),
)
def test_a_token_opens_its_own_door_and_no_other(
    user: str, other: str, port: int, other_port: int, credential: iam.Credential
) -> None:
    directory = ANYONE
    token = rds_token(HOST, port, user, "us-east-1", parts(credential))
    now = time.time()
    target = Target.rds("us-east-1", frozenset({HOST}), port, "arn")
    assert verify(token, user, target, directory, now) == Accepted(credential, "rds-db:connect")
    if other != user:
        assert refused(verify(token, other, target, directory, now)) is Reason.WRONG_USER
    if other_port != port:
        elsewhere = Target.rds("us-east-1", frozenset({HOST}), other_port, "arn")
        assert refused(verify(token, user, elsewhere, directory, now)) is Reason.WRONG_PORT
    another = Target.rds("us-east-1", frozenset({"x" + HOST}), port, "arn")
    assert refused(verify(token, user, another, directory, now)) is Reason.WRONG_HOST
    abroad = Target.rds("eu-west-1", frozenset({HOST}), port, "arn")
    assert refused(verify(token, user, abroad, directory, now)) is Reason.WRONG_REGION
    assert refused(verify(token, user, target, directory, now + 902)) is Reason.EXPIRED
    assert refused(verify(token, user, target, directory, now - 302)) is Reason.NOT_YET_VALID


def test_an_upper_case_endpoint_is_the_same_endpoint(directory: iam.Directory) -> None:
    credential = issue(directory)
    token = rds_token(HOST.upper(), 5432, "app", "us-east-1", parts(credential))
    assert token.startswith(HOST.upper())
    assert isinstance(verify(token, "app", RDS, directory, time.time()), Accepted)


def test_parameters_may_come_in_any_order(directory: iam.Directory) -> None:
    token = rds_token(HOST, 5432, "app", "us-east-1", parts(issue(directory)))
    address, _, query = token.partition("?")
    reordered = f"{address}?{'&'.join(sorted(query.split('&'), reverse=True))}"
    assert isinstance(verify(reordered, "app", RDS, directory, time.time()), Accepted)


@pytest.mark.parametrize(
    "extra", ["&X-Amz-Foo=1", "&Action=connect", "&DBUser=app", "&", "&X-Amz-Expires=900", "#fragment", " ", "\n"]
)
def test_nothing_may_be_added(directory: iam.Directory, extra: str) -> None:
    token = rds_token(HOST, 5432, "app", "us-east-1", parts(issue(directory)))
    refused(verify(token + extra, "app", RDS, directory, time.time()))
    refused(verify(extra + token, "app", RDS, directory, time.time()))


@pytest.mark.parametrize("text", ["", "?", "x", "%", "a?b=c", "é?" * 9, "?" + "&" * 70_000, HOST + ":5432/?Action"])
def test_garbage_is_malformed(directory: iam.Directory, text: str) -> None:
    assert refused(verify(text, "app", RDS, directory, time.time())) is Reason.MALFORMED


def test_a_service_is_not_the_other(directory: iam.Directory) -> None:
    credential = issue(directory)
    rds = rds_token(HOST, 5432, "app", "us-east-1", parts(credential))
    dsql = dsql_token(CLUSTER, "us-east-1", parts(credential), admin=False)
    refused(verify(rds, "app", DSQL, directory, time.time()))
    refused(verify(dsql, "app", RDS, directory, time.time()))


def test_dsql_maps_admin_to_its_own_action(directory: iam.Directory) -> None:
    credential = issue(directory)
    admin = dsql_token(CLUSTER, "us-east-1", parts(credential), admin=True)
    plain = dsql_token(CLUSTER, "us-east-1", parts(credential), admin=False)
    wrong = verify(plain, "admin", DSQL, directory, time.time())
    assert isinstance(wrong, Refused)
    assert wrong.detail == "Wrong user to action mapping. user: admin, action: DbConnect"
    assert refused(verify(admin, "app", DSQL, directory, time.time())) is Reason.WRONG_ACTION


@pytest.mark.parametrize(("lifetime", "right"), [(1, True), (604_800, True), (604_801, False), (0, False)])
def test_dsql_tokens_live_at_most_a_week(directory: iam.Directory, lifetime: int, right: bool) -> None:
    token = dsql_token(CLUSTER, "us-east-1", parts(issue(directory)), lifetime=lifetime)
    verdict = verify(token, "admin", DSQL, directory, time.time())
    assert isinstance(verdict, Accepted) is right


def test_credentials_count_besides_the_signature(directory: iam.Directory) -> None:
    credential = issue(directory, lifetime=60)
    token = rds_token(HOST, 5432, "app", "us-east-1", parts(credential))
    now = time.time()
    assert isinstance(verify(token, "app", RDS, directory, now), Accepted)
    assert refused(verify(token, "app", RDS, directory, now + 61)) is Reason.CREDENTIALS_EXPIRED
    directory.disable(credential.access_key)
    assert refused(verify(token, "app", RDS, directory, now)) is Reason.UNKNOWN_KEY
    directory.enable(credential.access_key)
    directory.expire_all(now - 1)
    assert refused(verify(token, "app", RDS, directory, now)) is Reason.CREDENTIALS_EXPIRED


def test_the_session_token_of_another_session_is_refused(directory: iam.Directory) -> None:
    mine, other = issue(directory), issue(directory)
    mixed = {**parts(mine), "session_token": other.session_token}
    token = rds_token(HOST, 5432, "app", "us-east-1", mixed)
    assert refused(verify(token, "app", RDS, directory, time.time())) is Reason.WRONG_SESSION_TOKEN
    without = rds_token(HOST, 5432, "app", "us-east-1", {**parts(mine), "session_token": None})
    assert refused(verify(without, "app", RDS, directory, time.time())) is Reason.WRONG_SESSION_TOKEN


def test_policy_decides_last(directory: iam.Directory) -> None:
    directory.add_role("outsider")
    credential = directory.issue("outsider", "s", 900, time.time())
    token = rds_token(HOST, 5432, "app", "us-east-1", parts(credential))
    verdict = verify(token, "app", RDS, directory, time.time())
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.NOT_AUTHORIZED
    assert verdict.detail.startswith(f"User: {credential.principal} is not authorized to perform: rds-db:connect")


def test_a_refusal_names_no_secret(directory: iam.Directory) -> None:
    credential = issue(directory)
    token = rds_token(HOST, 5432, "app", "us-east-1", parts(credential))
    signature = token.rpartition("=")[2]
    for altered in (token[:-1], token.replace("app", "bpp"), token + "0", token.replace("us-east-1", "us-east-2")):
        verdict = verify(altered, "app", RDS, directory, time.time())
        assert isinstance(verdict, Refused)
        shown = repr(verdict)
        assert credential.secret_key not in shown
        assert str(credential.session_token)[:40] not in shown
        assert signature not in shown
