"""Who exists in the sandbox's AWS account, which keys they hold and what they may do.

Pure and thread-safe: no I/O, and the time is always an argument.
"""

from __future__ import annotations

import base64
import fnmatch
import re
import secrets
import string
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

ANY: Final = "*"
CONNECT: Final = "rds-db:connect"
DB_CONNECT: Final = "dsql:DbConnect"
DB_CONNECT_ADMIN: Final = "dsql:DbConnectAdmin"

# AWS access keys are 20 characters of base32: a four-letter kind and sixteen more.
_KEY_ALPHABET = string.ascii_uppercase + "234567"
_ROLE_ARN = re.compile(r"arn:[a-z-]+:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]+)")


@dataclass(frozen=True)
class Credential:
    """One access key. The secret parts stay out of `repr`."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    expires_at: float | None
    principal: str  # the ARN as GetCallerIdentity shows it
    role: str | None  # the role's name; None for an IAM user
    user_id: str
    session_name: str | None = None


@dataclass(frozen=True)
class TrustRule:
    """One statement of a role's trust policy: a federated issuer, or a principal."""

    issuer: str | None = None
    audience: str | None = None
    subject: str = ANY  # may hold * wildcards
    principal: str | None = None  # an ARN (may hold * wildcards) or "*"
    original_audience: str | None = None  # `:oaud`: the token's aud, where azp stands in for it (Google)

    def admits_identity(self, issuer: str, audiences: Iterable[str], subject: str) -> bool:
        """Whether this statement trusts the bearer of such an identity token."""
        if self.issuer is None or self.issuer.rstrip("/") != issuer.rstrip("/"):
            return False
        if self.audience is not None and self.audience not in set(audiences):
            return False
        return fnmatch.fnmatchcase(subject, _literal_brackets(self.subject))

    def admits_principal(self, arn: str) -> bool:
        """Whether this statement trusts that caller of AssumeRole."""
        return self.principal is not None and fnmatch.fnmatchcase(arn, _literal_brackets(self.principal))


def _literal_brackets(pattern: str) -> str:
    # IAM's StringLike knows * and ?, but not fnmatch's character classes.
    return pattern.replace("[", "[[]")


@dataclass
class Role:
    """An IAM role and what it allows."""

    name: str
    trust: list[TrustRule] = field(default_factory=list)
    max_session: int = 3600
    db_users: set[str] = field(default_factory=set)  # may connect as these; "*" means anyone
    dsql_admin: bool = False
    external_id: str | None = None


@dataclass
class User:
    """An IAM user with what it allows."""

    name: str
    user_id: str
    db_users: set[str] = field(default_factory=set)
    dsql_admin: bool = False


class UnknownRole(LookupError):
    """No role of that name."""


class Directory:
    """The account: roles, users and every access key ever issued."""

    def __init__(self, account: str = "123456789012", partition: str = "aws") -> None:
        self.account = account
        self.partition = partition
        self._lock = threading.RLock()
        self._roles: dict[str, Role] = {}
        self._role_ids: dict[str, str] = {}
        self._users: dict[str, User] = {}
        self._credentials: dict[str, Credential] = {}
        self._disabled: set[str] = set()
        self._restrictions: dict[str, Callable[[str, str], bool]] = {}

    # --- principals -------------------------------------------------------------------------------

    def add_role(
        self,
        name: str,
        *,
        trust: Iterable[TrustRule] = (),
        max_session: int = 3600,
        db_users: Iterable[str] = (),
        dsql_admin: bool = False,
        external_id: str | None = None,
    ) -> Role:
        """Add a role, or replace the one of that name."""
        role = Role(name, list(trust), max_session, set(db_users), dsql_admin, external_id)
        with self._lock:
            self._roles[name] = role
            self._role_ids.setdefault(name, _identifier("AROA", 21))
        return role

    def add_user(self, name: str, *, db_users: Iterable[str] = (), dsql_admin: bool = False) -> Credential:
        """Add an IAM user and return its long-lived access key."""
        with self._lock:
            self._users[name] = User(name, _identifier("AIDA", 21), set(db_users), dsql_admin)
            return self._new_user_key(name)

    def role(self, name: str) -> Role | None:
        with self._lock:
            return self._roles.get(name)

    def role_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def role_by_arn(self, arn: str) -> Role | None:
        """The role an ARN names, if it is in this account."""
        match = _ROLE_ARN.fullmatch(arn)
        return self.role(match[2]) if match and match[1] == self.account else None

    # --- keys -------------------------------------------------------------------------------------

    def issue(
        self,
        role: str,
        session_name: str,
        lifetime: float,
        now: float,
        *,
        session_token_size: int | None = None,
    ) -> Credential:
        """Temporary credentials of a role, as STS hands them out."""
        with self._lock:
            if role not in self._roles:
                raise UnknownRole(role)
            credential = Credential(
                access_key=_identifier("ASIA", 20),
                secret_key=_secret_key(),
                session_token=_session_token(1024 if session_token_size is None else session_token_size),
                expires_at=now + lifetime,
                principal=f"arn:{self.partition}:sts::{self.account}:assumed-role/{role}/{session_name}",
                role=role,
                user_id=f"{self._role_ids[role]}:{session_name}",
                session_name=session_name,
            )
            self._credentials[credential.access_key] = credential
            return credential

    def adopt(self, credential: Credential) -> None:
        """Know a credential that was made elsewhere, such as a published test vector's."""
        with self._lock:
            self._credentials[credential.access_key] = credential

    def find(self, access_key: str) -> Credential | None:
        """The credential of an access key, expired or not; None if unknown or disabled."""
        with self._lock:
            return None if access_key in self._disabled else self._credentials.get(access_key)

    def disable(self, access_key: str) -> None:
        """Refuse this key from now on."""
        with self._lock:
            self._disabled.add(access_key)

    def enable(self, access_key: str) -> None:
        with self._lock:
            self._disabled.discard(access_key)

    def rotate(self, user: str) -> Credential:
        """Give an IAM user a new key and disable its old ones."""
        with self._lock:
            if user not in self._users:
                raise LookupError(f"no IAM user {user!r}")
            for credential in self._credentials.values():
                if credential.role is None and credential.principal == self._user_arn(user):
                    self._disabled.add(credential.access_key)
            return self._new_user_key(user)

    def expire_all(self, now: float) -> int:
        """End every temporary credential at `now`; returns how many were still valid."""
        ended = 0
        with self._lock:
            for key, credential in self._credentials.items():
                if credential.expires_at is not None and credential.expires_at > now:
                    self._credentials[key] = _ending(credential, now)
                    ended += 1
        return ended

    def revoke_all(self) -> int:
        """Disable every temporary credential, as 'revoke active sessions' does; returns how many."""
        with self._lock:
            temporary = {key for key, value in self._credentials.items() if value.expires_at is not None}
            new = temporary - self._disabled
            self._disabled |= new
            return len(new)

    # --- permissions ------------------------------------------------------------------------------

    def restrict(self, access_key: str, allows: Callable[[str, str], bool]) -> None:
        """Narrow what a key may do, as a session policy does: `allows(action, db_user)` must hold too."""
        with self._lock:
            self._restrictions[access_key] = allows

    def may_connect(self, credential: Credential, db_user: str, action: str) -> bool:
        """Whether the principal's policies allow this database action."""
        with self._lock:
            holder: Role | User | None
            if credential.role is not None:
                holder = self._roles.get(credential.role)
            else:
                holder = self._users.get(credential.principal.rpartition("/")[2])
            if holder is None:
                return False
            restriction = self._restrictions.get(credential.access_key)
            if restriction is not None and not restriction(action, db_user):
                return False
            if action == DB_CONNECT_ADMIN:
                return holder.dsql_admin
            if action in (CONNECT, DB_CONNECT):
                return ANY in holder.db_users or db_user in holder.db_users
            return False

    def _user_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:user/{name}"

    def _new_user_key(self, name: str) -> Credential:
        credential = Credential(
            access_key=_identifier("AKIA", 20),
            secret_key=_secret_key(),
            session_token=None,
            expires_at=None,
            principal=self._user_arn(name),
            role=None,
            user_id=self._users[name].user_id,
        )
        self._credentials[credential.access_key] = credential
        return credential


def _ending(credential: Credential, at: float) -> Credential:
    values = {name: getattr(credential, name) for name in Credential.__dataclass_fields__}
    return Credential(**{**values, "expires_at": at})


def _identifier(prefix: str, length: int) -> str:
    return prefix + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(length - len(prefix)))


def _secret_key() -> str:
    return base64.b64encode(secrets.token_bytes(30)).decode()


def _session_token(size: int) -> str:
    """Base64 of `size` characters: real ones hold '/', '+' and '=', which is what breaks encoders."""
    prefix = "IQoJb3JpZ2luX2VjE"
    body = base64.b64encode(secrets.token_bytes(size)).decode()[: max(size - len(prefix) - 4, 0)]
    return (prefix + body + "+/==")[:size] if size < len(prefix) + 4 else prefix + body + "+/=="
