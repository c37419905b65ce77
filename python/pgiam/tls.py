"""Which certificate authorities a database may be vouched for by, and the verifying context made of them."""

from __future__ import annotations

import os
from functools import lru_cache

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of pgiam
if TYPE_CHECKING:
    # Importing it for real costs several times what the rest of the package does, and libpq's drivers need only a path.
    from ssl import SSLContext

__all__ = ["ca_file", "missing_ca_hint", "rds_regions", "ssl_context"]

_DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
_OVERRIDE = "PGIAM_CA_FILE"
_BEGINNINGS = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN TRUSTED CERTIFICATE-----")
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
_PUBLISHED = (
    ("us-gov-", "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem"),
    ("cn-", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem"),
    ("", "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"),
)


def ca_file() -> str:
    """The path of the trust file: `PGIAM_CA_FILE` where that is set, else the one that comes with pgiam."""
    override = os.environ.get(_OVERRIDE)
    path = os.path.abspath(os.path.expanduser(override)) if override else os.path.join(_DATA, "trust.pem")
    try:
        status = os.stat(path)
        holds_certificates = _holds_certificates(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unusable(path, getattr(error, "strerror", None) or str(error)) from error
    if not holds_certificates:
        raise _unusable(path, "it holds no PEM certificate")
    return path


def ssl_context(direct: bool = False) -> SSLContext:
    """A context that verifies the server's certificate and host name against `ca_file()`, for asyncpg and pg8000.

    `direct=True` is for `direct_tls=True` (PostgreSQL 17 and Aurora DSQL), which needs ALPN. Each call reads the
    trust file (milliseconds) and returns a context of the caller's own: make one per pool, not per connection.
    """
    return verifying_context(ca_file(), direct=direct)


def rds_regions() -> frozenset[str]:
    """The regions whose RDS certificate authorities are in the file that comes with pgiam.

    RDS Proxy and Aurora DSQL need none of these: Amazon Trust Services vouches for them.
    """
    import json

    with open(os.path.join(_DATA, "trust.json"), encoding="ascii") as inventory:
        return frozenset(json.load(inventory)["rds_regions"])


def missing_ca_hint(region: str) -> str | None:
    """What to do about a certificate that could not be verified, if the region is one that pgiam's file lacks."""
    if os.environ.get(_OVERRIDE) or region in rds_regions():
        return None
    url = next(url for prefix, url in _PUBLISHED if region.startswith(prefix))
    return (
        f"The trust file that comes with pgiam has no RDS certificate authority for {region}: "
        f"download {url} and name that file in {_OVERRIDE}."
    )


def verifying_context(path: str, *, check_hostname: bool = True, direct: bool = False) -> SSLContext:
    """The same with a given file, for the integrations; without `check_hostname` it is what libpq calls verify-ca."""
    import ssl

    # Not ssl.create_default_context(): that adds the system's roots where it is given none, writes session keys to
    # SSLKEYLOGFILE, and verifies by other rules from Python 3.13 on (VERIFY_X509_STRICT) than libpq does.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED
    context.check_hostname = check_hostname
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _unusable(path, str(error)) from error
    if direct:
        context.set_alpn_protocols(["postgresql"])
    return context


@lru_cache(maxsize=8)
def _holds_certificates(path: str, _changed: int, _size: int) -> bool:
    with open(path, "rb") as file:
        content = file.read()
    return any(beginning in content for beginning in _BEGINNINGS)


def _unusable(path: str, reason: str) -> Exception:
    from .errors import ConfigurationError

    if os.environ.get(_OVERRIDE):
        hint = f"Name a readable PEM file of certificate authorities in {_OVERRIDE}, or unset it to use pgiam's own."
    else:
        hint = "Reinstall pgiam: its trust file is missing or damaged."
    return ConfigurationError(f"the trust file {path!r} cannot be used: {reason}", hint=hint)
