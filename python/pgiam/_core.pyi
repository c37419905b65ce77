"""The compiled module, as Python sees it. `tools/check_stub.py` holds it against the built one."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, NoReturn, final

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

class Client:
    def __new__(cls, source: Credentials | Profile | Callable[[], Any] | None = None, /) -> Self: ...
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
    def _credentials(self, entry: _Entry | None) -> Credentials | None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class _Entry: ...

@final
class _Resolver:
    def resolve(self, credentials: Credentials) -> None: ...
    def reject(self, error: BaseException) -> None: ...
    def abandon(self) -> None: ...

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
def _closing() -> None: ...
