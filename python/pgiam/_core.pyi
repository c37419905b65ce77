"""The compiled module, as Python sees it. `tools/check_stub.py` holds it against the built one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NoReturn, TypeAlias, final

from typing_extensions import Self

__version__: str

@final
class Credentials:
    """AWS credentials: given by hand, or as a client holds them."""

    def __new__(
        cls,
        access_key: str,
        secret_key: str,
        session_token: str | None = None,
        expires_at: datetime | None = None,
        *,
        account_id: str | None = None,
    ) -> Self: ...
    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def session_token(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def account_id(self) -> str | None: ...
    @property
    def source(self) -> str: ...
    def __copy__(self) -> Credentials: ...
    def __deepcopy__(self, _memo: Any) -> Credentials: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Profile:
    """A named AWS profile as the source of credentials."""

    def __new__(cls, name: str) -> Self: ...
    @property
    def name(self) -> str: ...

@final
class Endpoint:
    """What a host says: what is signed for it, for which service and region."""

    @staticmethod
    def parse(
        host: str,
        *,
        port: int | None = None,
        region: str | None = None,
        token_host: str | None = None,
    ) -> Endpoint: ...
    @property
    def kind(self) -> Literal["rds", "rds-proxy", "dsql"]: ...
    @property
    def region(self) -> str: ...
    @property
    def partition(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def token_host(self) -> str: ...
    @property
    def token_port(self) -> int: ...
    @property
    def cluster_id(self) -> str | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Stats:
    """What a client has done so far."""

    @property
    def tokens(self) -> int: ...
    @property
    def refreshes(self) -> int: ...
    @property
    def refresh_failures(self) -> int: ...
    @property
    def waits(self) -> int: ...
    @property
    def last_refresh(self) -> datetime | None: ...
    @property
    def expires_at(self) -> datetime | None: ...

@final
class WebIdentity:
    """An identity token, exchanged at STS for the credentials of a role."""

    def __new__(
        cls,
        *,
        role_arn: str,
        identity_token: IdentitySource | str | Callable[[], str | Awaitable[str]],
        session_name: str | None = None,
        duration: int | None = None,
        policy: str | None = None,
        policy_arns: Sequence[str] | None = None,
        region: str | None = None,
    ) -> WebIdentity: ...
    @property
    def role_arn(self) -> str: ...
    def __reduce__(self) -> NoReturn: ...

@final
class AssumeRole:
    """A role, assumed with the credentials of any other source."""

    def __new__(
        cls,
        *,
        role_arn: str,
        source: Client | _Source | None = None,
        external_id: str | None = None,
        session_name: str | None = None,
        duration: int | None = None,
        tags: Mapping[str, str] | None = None,
        source_identity: str | None = None,
        policy: str | None = None,
        policy_arns: Sequence[str] | None = None,
        region: str | None = None,
    ) -> AssumeRole: ...
    @property
    def role_arn(self) -> str: ...
    def __reduce__(self) -> NoReturn: ...

_Source: TypeAlias = Credentials | Profile | WebIdentity | AssumeRole | Callable[[], Any]

@final
class Diagnosis:
    """What the doctor found at one stage of a login."""

    @property
    def stage(
        self,
    ) -> Literal[
        "environment", "credentials", "clock", "endpoint", "dns", "tcp", "tls", "token", "login", "session"
    ]: ...
    @property
    def status(self) -> Literal["ok", "warning", "failure", "skipped"]: ...
    @property
    def name(self) -> str:
        """The cause, such as "tls.expired"."""

    @property
    def title(self) -> str: ...
    @property
    def detail(self) -> tuple[str, ...]: ...
    @property
    def why(self) -> str: ...
    @property
    def fix(self) -> str: ...
    @property
    def snippets(self) -> tuple[tuple[str, str], ...]:
        """Things to copy: (label, text)."""

    @property
    def data(self) -> dict[str, Any]: ...
    @property
    def exit_status(self) -> int:
        """What a program exits with if this is its first failure."""

@final
class _Examination:
    def __new__(
        cls,
        client: Client,
        *,
        on_loop: bool,
        host: str | None,
        port: int | None,
        user: str | None,
        database: str,
        region: str | None,
        token_host: str | None,
        expires_in: int | None,
        ca_file: str,
        missing_ca: str | None,
        timeout: float,
        name_server: tuple[str, int] | None = None,
    ) -> _Examination: ...
    def next(self) -> Diagnosis | None: ...
    def next_async(self) -> Awaitable[Diagnosis | None]: ...

def _doctor_stages() -> list[tuple[str, int]]: ...
def _explain(
    message: str,
    *,
    sqlstate: str | None,
    hint: str | None,
    host: str | None,
    port: int | None,
    user: str | None,
    database: str | None,
    region: str | None,
    token_host: str | None,
) -> Diagnosis | None: ...

@final
class CallerIdentity:
    """Who STS says the credentials belong to."""

    @property
    def arn(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Finding:
    """One place that credentials could come from, and what came of it."""

    @property
    def source(self) -> str: ...
    @property
    def state(self) -> Literal["taken", "passed over", "pending", "not reached"]: ...
    @property
    def reason(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class IdentitySource:
    """Where identity tokens come from: a platform, a file, a variable."""

    @property
    def name(self) -> str: ...
    def fetch(self) -> str:
        """A fresh identity token, as the platform issues it."""

    def fetch_async(self) -> Awaitable[str]:
        """As `fetch`, without blocking the event loop."""

    @staticmethod
    def _vercel() -> IdentitySource: ...
    @staticmethod
    def _github_actions(audience: str | None) -> IdentitySource: ...
    @staticmethod
    def _web_identity_file(path: str | None) -> IdentitySource: ...
    @staticmethod
    def _env(name: str) -> IdentitySource: ...
    @staticmethod
    def _gitlab(name: str | None) -> IdentitySource: ...
    @staticmethod
    def _gcp(audience: str | None) -> IdentitySource: ...
    @staticmethod
    def _azure(resource: str | None) -> IdentitySource: ...
    @staticmethod
    def _fly(audience: str | None) -> IdentitySource: ...
    @staticmethod
    def _circleci() -> IdentitySource: ...
    @staticmethod
    def _bitbucket() -> IdentitySource: ...
    @staticmethod
    def _buildkite(audience: str | None) -> IdentitySource: ...
    @staticmethod
    def _terraform_cloud(tag: str | None) -> IdentitySource: ...
    def __reduce__(self) -> NoReturn: ...

class Client:
    def __new__(cls, source: _Source | None = None, /) -> Self: ...
    def generate_auth_token(
        self,
        *,
        host: str | None = None,
        user: str | None = None,
        port: int | None = None,
        region: str | None = None,
        token_host: str | None = None,
        expires_in: int | None = None,
    ) -> str:
        """A fresh auth token. Waits only if there is nothing valid to sign with."""

    def ready(self) -> bool:
        """True if the next token needs no waiting."""

    def credentials(self) -> Credentials:
        """The credentials that sign now."""

    def refresh(self) -> Credentials:
        """Fetches new credentials now; the present ones serve until those are here."""

    def invalidate(self) -> None:
        """Forgets the credentials: the next call fetches new ones."""

    def whoami(self) -> CallerIdentity:
        """Whose the credentials are, by STS's own word."""

    def explain(self) -> list[Finding]:
        """Every place that credentials could come from, in order, and what came of it. Asks none of them."""

    def stats(self) -> Stats: ...
    def _mint(
        self,
        entry: _Entry | None,
        host: str | None,
        user: str | None,
        port: int | None,
        region: str | None,
        token_host: str | None,
        expires_in: int | None,
    ) -> str | None: ...
    def _wait(self) -> Awaitable[_Entry | None]: ...
    def _wait_newer(self) -> Awaitable[_Entry | None]: ...
    def _whoami(self, credentials: Credentials) -> Awaitable[CallerIdentity]: ...
    def _credentials(self, entry: _Entry | None) -> Credentials | None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class _Entry: ...

@final
class _Resolver:
    def resolve(self, answer: Credentials | str) -> None: ...
    def reject(self, error: BaseException) -> None: ...
    def abandon(self) -> None: ...

def exchange_oidc_token(
    identity_token: str,
    *,
    role_arn: str,
    session_name: str | None = None,
    duration: int | None = None,
    policy: str | None = None,
    policy_arns: Sequence[str] | None = None,
    region: str | None = None,
) -> Credentials:
    """Exchanges an identity token for the credentials of a role, once."""

def exchange_oidc_token_async(
    identity_token: str,
    *,
    role_arn: str,
    session_name: str | None = None,
    duration: int | None = None,
    policy: str | None = None,
    policy_arns: Sequence[str] | None = None,
    region: str | None = None,
) -> Awaitable[Credentials]:
    """As `exchange_oidc_token`, without blocking the event loop."""

def _sign_at(
    credentials: Credentials,
    now: float,
    *,
    host: str,
    user: str,
    port: int | None = None,
    region: str | None = None,
    token_host: str | None = None,
    expires_in: int | None = None,
) -> tuple[str, datetime]: ...
def _variable(name: str) -> str | None: ...
def _vercel_saw(token: str) -> bool: ...
