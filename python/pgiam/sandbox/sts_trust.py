"""Who may assume which role, and for how long: the decisions of STS, without its network. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pgiam.sandbox.iam import Credential, Directory, Role, TrustRule
from pgiam.sandbox.sts_identity import Identity
from pgiam.sandbox.sts_protocol import StsError

CHAINED_LIMIT: Final = 3600
WEB_IDENTITY_REFUSED: Final = "Not authorized to perform sts:AssumeRoleWithWebIdentity"


@dataclass(frozen=True)
class Grant:
    """The role that was assumed and the seconds that the session lasts."""

    role: Role
    duration: int


def role_named(arn: str, directory: Directory) -> Role | None:
    """The role of a well-formed ARN; None when there is none such, which STS does not tell from 'not trusted'."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2:4] != ["iam", ""] or not parts[5].startswith("role/"):
        raise StsError("ValidationError", f"{arn} is invalid")
    # An ARN of another partition is no ARN of this account.
    return directory.role_by_arn(arn) if parts[1] == directory.partition else None


def decide_web_identity(role: Role | None, identity: Identity, duration: int) -> Grant:
    if role is None or not any(_admits(rule, identity) for rule in role.trust):
        raise StsError("AccessDenied", WEB_IDENTITY_REFUSED, 403)
    check_duration(role, duration)
    return Grant(role, duration)


def decide_assume_role(
    role: Role | None,
    arn: str,
    caller: Credential,
    directory: Directory,
    external_id: str | None,
    duration: int,
) -> Grant:
    names = caller_names(caller, directory)
    trusted = role is not None and any(rule.admits_principal(name) for rule in role.trust for name in names)
    if role is None or not trusted or (role.external_id is not None and role.external_id != external_id):
        raise not_authorized(caller, "sts:AssumeRole", arn)
    if caller.role is not None and duration > CHAINED_LIMIT:
        raise StsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        )
    check_duration(role, duration)
    return Grant(role, duration)


def check_duration(role: Role, duration: int) -> None:
    if duration > role.max_session:
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise StsError("ValidationError", text)


def not_authorized(caller: Credential, action: str, resource: str) -> StsError:
    text = f"User: {caller.principal} is not authorized to perform: {action} on resource: {resource}"
    return StsError("AccessDenied", text, 403)


def caller_names(caller: Credential, directory: Directory) -> list[str]:
    """Every way in which a trust policy may name this caller: itself, its role, its account."""
    names = [caller.principal, f"arn:{directory.partition}:iam::{directory.account}:root", directory.account]
    if caller.role is not None:
        names.append(directory.role_arn(caller.role))
    return names


def _admits(rule: TrustRule, identity: Identity) -> bool:
    if rule.original_audience is not None and rule.original_audience not in identity.original_audiences:
        return False
    # Trust policies name Google, and condition keys name every issuer, without the scheme.
    issuers = (identity.issuer, identity.issuer.removeprefix("https://"))
    return any(rule.admits_identity(issuer, identity.audiences, identity.subject) for issuer in issuers)
