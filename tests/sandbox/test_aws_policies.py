"""Session policies: what each allows, and what is refused rather than passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgiam.sandbox.iam import CONNECT, DB_CONNECT, DB_CONNECT_ADMIN
from pgiam.sandbox.session_policy import allows, parse
from pgiam.sandbox.sts_protocol import StsError

USER = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABC/app"
CLUSTER = "arn:aws:dsql:eu-west-1:123456789012:cluster/abc"


def statement(effect: str, action: Any, resource: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.mark.parametrize(
    ("statements", "action", "user", "expected"),
    [
        ([statement("Allow", "rds-db:connect", USER)], CONNECT, "app", True),
        ([statement("Allow", "rds-db:connect", USER)], CONNECT, "App", False),
        ([statement("Allow", "rds-db:connect", USER)], CONNECT, "other", False),
        ([statement("Allow", "RDS-DB:Connect", USER)], CONNECT, "app", True),
        ([statement("Allow", "rds-db:*", "*")], CONNECT, "anyone", True),
        ([statement("Allow", "*", "*")], DB_CONNECT_ADMIN, "admin", True),
        ([statement("Allow", ["s3:*", "rds-db:connect"], [CLUSTER, USER])], CONNECT, "app", True),
        ([statement("Allow", "rds-db:connect", USER[:-3] + "a*")], CONNECT, "admin", True),
        ([statement("Allow", "rds-db:connect", USER[:-3] + "a?p")], CONNECT, "app", True),
        ([statement("Allow", "rds-db:connect", USER[:-3] + "[a]pp")], CONNECT, "app", False),
        ([statement("Allow", "rds-db:connect", USER[:-3] + "[a]pp")], CONNECT, "[a]pp", True),
        ([statement("Allow", "rds-db:connect", "arn:aws:rds-db:*")], CONNECT, "app", True),
        ([statement("Allow", "rds-db:connect", "nonsense/app")], CONNECT, "app", False),
        ([statement("Allow", "dsql:DbConnect", CLUSTER)], DB_CONNECT, "app", True),
        ([statement("Allow", "dsql:DbConnect", CLUSTER)], DB_CONNECT_ADMIN, "admin", False),
        ([statement("Allow", "s3:*", "*")], CONNECT, "app", False),
        ([statement("Allow", "*", "*"), statement("Deny", "rds-db:connect", USER)], CONNECT, "app", False),
        ([statement("Allow", "*", "*"), statement("Deny", "rds-db:connect", USER)], CONNECT, "other", True),
        ([statement("Deny", "s3:*", "*")], CONNECT, "app", False),
    ],
)
def test_what_a_policy_allows(statements: list[dict[str, Any]], action: str, user: str, *, expected: bool) -> None:
    assert allows((parse(policy(*statements)),), action, user) is expected


def test_policies_add_up_and_a_denial_in_one_counts_for_all() -> None:
    first = parse(policy(statement("Allow", "rds-db:connect", USER)))
    second = parse(policy(statement("Allow", "dsql:DbConnect", "*")))
    third = parse(policy(statement("Deny", "rds-db:*", "*")))
    assert allows((first, second), CONNECT, "app")
    assert allows((first, second), DB_CONNECT, "app")
    assert not allows((first, second, third), CONNECT, "app")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"Version": "2012-10-17"}',
        '{"Version": "2020-01-01", "Statement": []}',
        '{"Version": "2012-10-17", "Statement": []}',
        '{"Version": "2012-10-17", "Statement": ["x"]}',
        policy({"Effect": "Allow", "Action": "*"}),
        policy({"Effect": "Allow", "Resource": "*"}),
        policy(statement("Permit", "*", "*")),
        policy(statement("Allow", [], "*")),
        policy(statement("Allow", [7], "*")),
        policy({**statement("Allow", "*", "*"), "Condition": {"Bool": {"aws:SecureTransport": "true"}}}),
        policy({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}),
        policy({**statement("Allow", "*", "*"), "Principal": "*"}),
        "[" * 100_000,
    ],
)
def test_documents_that_are_refused(document: str) -> None:
    with pytest.raises(StsError) as caught:
        parse(document)
    assert (caught.value.code, caught.value.status) == ("MalformedPolicyDocument", 400)
