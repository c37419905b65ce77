"""Session policies: what narrows the credentials that STS hands out. Pure.

Evaluated are Effect, Action and Resource, for the database actions. Anything that would change the answer and
is not evaluated (Condition, NotAction, NotResource) is refused, rather than passed over.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pgiam.sandbox.sts_protocol import StsError

_STATEMENT_KEYS: Final = {"Sid", "Effect", "Action", "Resource"}


@dataclass(frozen=True)
class Statement:
    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def concerns(self, action: str, db_user: str) -> bool:
        named = any(fnmatch.fnmatchcase(action.lower(), _literal(pattern.lower())) for pattern in self.actions)
        return named and any(_names_user(pattern, action, db_user) for pattern in self.resources)


Policy = tuple[Statement, ...]


def parse(document: str) -> Policy:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        raise _malformed("This policy contains invalid Json") from None
    if not isinstance(value, dict):
        raise _malformed("Syntax errors in policy.")
    if value.get("Version") not in ("2012-10-17", "2008-10-17"):
        raise _malformed("The policy must contain a valid version string")
    statements = value.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise _malformed("Missing required field Statement")
    return tuple(_statement(each) for each in statements)


def allows(policies: tuple[Policy, ...], action: str, db_user: str) -> bool:
    """Whether some statement allows it and none denies it."""
    concerned = [statement for policy in policies for statement in policy if statement.concerns(action, db_user)]
    return bool(concerned) and all(statement.allow for statement in concerned)


def _statement(value: Any) -> Statement:
    if not isinstance(value, Mapping):
        raise _malformed("Syntax errors in policy.")
    if unknown := set(value) - _STATEMENT_KEYS:
        raise _malformed(f"The sandbox does not evaluate {', '.join(sorted(unknown))} in session policies")
    if value.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Invalid effect: it must be Allow or Deny")
    return Statement(value["Effect"] == "Allow", _texts(value, "Action"), _texts(value, "Resource"))


def _texts(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    entry = value.get(name)
    entries = [entry] if isinstance(entry, str) else entry
    if not isinstance(entries, list) or not entries or not all(isinstance(each, str) for each in entries):
        raise _malformed(f"Policy statement must contain {'actions' if name == 'Action' else 'resources'}.")
    return tuple(entries)


def _names_user(pattern: str, action: str, db_user: str) -> bool:
    # RDS: arn:aws:rds-db:REGION:ACCOUNT:dbuser:DBI-RESOURCE-ID/DB-USER. The sandbox is one database, so only
    # the user counts. DSQL's resource is the cluster, whoever the user is.
    if pattern == "*" or not action.startswith("rds-db:"):
        return True
    resource, slash, user = pattern.partition("/")
    if not resource.startswith(("arn:", "*")):
        return False
    return fnmatch.fnmatchcase(db_user, _literal(user)) if slash else resource.endswith("*")


def _literal(pattern: str) -> str:
    # IAM knows * and ?, but not fnmatch's character classes.
    return pattern.replace("[", "[[]")


def _malformed(message: str) -> StsError:
    return StsError("MalformedPolicyDocument", message)
