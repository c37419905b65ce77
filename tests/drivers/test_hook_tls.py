"""What each driver is told about TLS: everything verified unless something else was said, nothing in clear."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from asyncpg.connect_utils import SSLMode

import pgiam
from certificate_authority import CertificateAuthority
from drivers.hooked import RDS, dialect_of, hooked

LIBPQ = ("psycopg", "psycopg2")
LOGIN: dict[str, Any] = {"host": RDS, "user": "app"}
WORD = {"psycopg": "sslmode", "psycopg2": "sslmode", "asyncpg": "ssl"}


@pytest.fixture
def own_roots(tmp_path: Path) -> Path:
    path = tmp_path / "own.pem"
    path.write_bytes(CertificateAuthority(name="own").pem)
    return path


def names(context: ssl.SSLContext) -> list[str]:
    subjects: Any = [certificate["subject"] for certificate in context.get_ca_certs()]
    return [value for subject in subjects for [(name, value)] in subject if name == "commonName"]


@pytest.mark.parametrize("driver", LIBPQ)
def test_libpq_verifies_fully_when_nothing_was_said(client: pgiam.Client, driver: str) -> None:
    cparams = hooked(client, driver, **LOGIN)
    assert (cparams["sslmode"], cparams["sslrootcert"]) == ("verify-full", pgiam.ca_file())


@pytest.mark.parametrize(("driver", "key"), [("asyncpg", "ssl"), ("pg8000", "ssl_context")])
def test_contexts_verify_fully_when_nothing_was_said(client: pgiam.Client, driver: str, key: str) -> None:
    context = hooked(client, driver, **LOGIN)[key]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert "Amazon Root CA 1" in names(context)


@pytest.mark.parametrize("driver", LIBPQ)
@pytest.mark.parametrize(
    ("said", "mode", "root"),
    [
        ({"sslmode": "require"}, "require", None),
        ({"sslmode": "require", "sslrootcert": "/own.pem"}, "require", "/own.pem"),
        ({"sslmode": "verify-ca"}, "verify-ca", "shipped"),
        ({"sslmode": "verify-ca", "sslrootcert": "/own.pem"}, "verify-ca", "/own.pem"),
        ({"sslrootcert": "/own.pem"}, "verify-full", "/own.pem"),
        ({"sslrootcert": Path("/own.pem")}, "verify-full", "/own.pem"),
        ({"sslrootcert": "system"}, "verify-full", "shipped"),
        ({"sslmode": "verify-full", "sslrootcert": "system"}, "verify-full", "shipped"),
    ],
)
def test_libpq_keeps_what_was_said(
    client: pgiam.Client, driver: str, said: dict[str, Any], mode: str, root: str | None
) -> None:
    cparams = hooked(client, driver, **LOGIN, **said)
    expected = pgiam.ca_file() if root == "shipped" else root
    assert (cparams["sslmode"], cparams.get("sslrootcert")) == (mode, expected)


@pytest.mark.parametrize("driver", LIBPQ)
def test_the_environment_counts_as_said(client: pgiam.Client, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    cparams = hooked(client, driver, **LOGIN)
    assert (cparams["sslmode"], "sslrootcert" in cparams) == ("require", False)
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    monkeypatch.setenv("PGSSLROOTCERT", "/own.pem")
    cparams = hooked(client, driver, **LOGIN)
    assert (cparams["sslmode"], cparams["sslrootcert"]) == ("verify-ca", "/own.pem")
    assert hooked(client, driver, **LOGIN, sslmode="verify-full")["sslmode"] == "verify-full"


@pytest.mark.parametrize("driver", ["asyncpg", "pg8000"])
def test_contexts_follow_the_environment(
    client: pgiam.Client, driver: str, monkeypatch: pytest.MonkeyPatch, own_roots: Path
) -> None:
    key = "ssl" if driver == "asyncpg" else "ssl_context"
    monkeypatch.setenv("PGSSLROOTCERT", str(own_roots))
    assert names(hooked(client, driver, **LOGIN)[key]) == ["own"]
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    context = hooked(client, driver, **LOGIN)[key]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    assert "Amazon Root CA 1" in names(hooked(client, driver, **LOGIN)[key])
    monkeypatch.setenv("PGSSLMODE", "require")
    assert hooked(client, driver, **LOGIN)[key] == ("require" if driver == "asyncpg" else True)


@pytest.mark.parametrize(
    ("said", "hostname"),
    [
        (True, True),
        ("verify-full", True),
        (SSLMode.verify_full, True),
        ("verify-ca", False),
        (SSLMode.verify_ca, False),
    ],
)
def test_asyncpg_modes_that_verify_become_contexts(client: pgiam.Client, said: object, hostname: bool) -> None:
    # asyncpg itself would look for ~/.postgresql/root.crt, or for True at the system's roots, which lack those of RDS.
    context = hooked(client, "asyncpg", **LOGIN, ssl=said)["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, hostname)
    assert "Amazon Root CA 1" in names(context)


@pytest.mark.parametrize(("driver", "key"), [("asyncpg", "ssl"), ("pg8000", "ssl_context")])
def test_a_context_of_ones_own_is_respected(client: pgiam.Client, driver: str, key: str) -> None:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own.check_hostname = False
    own.verify_mode = ssl.CERT_NONE  # as require
    assert hooked(client, driver, **LOGIN, **{key: own})[key] is own


def test_pg8000_may_be_told_to_encrypt_only(client: pgiam.Client) -> None:
    assert hooked(client, "pg8000", **LOGIN, ssl_context=True)["ssl_context"] is True


@pytest.mark.parametrize("driver", WORD)
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_mode_that_may_send_the_token_in_clear_is_refused(client: pgiam.Client, driver: str, mode: str) -> None:
    with pytest.raises(pgiam.ConfigurationError, match=mode) as raised:
        hooked(client, driver, **LOGIN, **{WORD[driver]: mode})
    assert 'tls="off"' in raised.value.hint
    assert client.stats().tokens == 0


@pytest.mark.parametrize("driver", [*WORD, "pg8000"])
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_such_a_mode_is_refused_from_the_environment_too(
    client: pgiam.Client, driver: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", mode)
    with pytest.raises(pgiam.ConfigurationError, match=f"={mode} "):
        hooked(client, driver, **LOGIN)


@pytest.mark.parametrize(
    ("driver", "said"),
    [("asyncpg", {"ssl": False}), ("asyncpg", {"ssl": SSLMode.prefer}), ("pg8000", {"ssl_context": False})],
)
def test_tls_turned_off_is_refused(client: pgiam.Client, driver: str, said: dict[str, Any]) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="unencrypted"):
        hooked(client, driver, **LOGIN, **said)


@pytest.mark.parametrize("driver", ["asyncpg", "pg8000"])
@pytest.mark.parametrize("word", ["sslmode", "sslrootcert", "sslnegotiation"])
def test_the_words_of_libpq_are_explained_to_other_drivers(client: pgiam.Client, driver: str, word: str) -> None:
    with pytest.raises(pgiam.ConfigurationError, match=f"{driver} has no parameter {word}"):
        hooked(client, driver, **LOGIN, **{word: "require"})


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ("psycopg", {"sslmode": "verify"}),
        ("psycopg", {"sslmode": b"require"}),
        ("asyncpg", {"ssl": "true"}),
        ("asyncpg", {"ssl": 7}),
        ("pg8000", {"ssl_context": "True"}),
        ("psycopg", {"sslrootcert": 7}),
    ],
)
def test_nonsense_is_refused(client: pgiam.Client, driver: str, said: dict[str, Any]) -> None:
    with pytest.raises(pgiam.ConfigurationError) as raised:
        hooked(client, driver, **LOGIN, **said)
    assert raised.value.hint


@pytest.mark.parametrize("driver", ["asyncpg", "pg8000"])
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_root_certificate_that_cannot_be_used_is_named(
    client: pgiam.Client, driver: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("PGSSLROOTCERT", str(path))
    with pytest.raises(pgiam.ConfigurationError, match=r"roots\.pem"):
        hooked(client, driver, **LOGIN)


def test_contexts_are_read_once_per_version_of_the_file(
    client: pgiam.Client, own_roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGIAM_CA_FILE", str(own_roots))
    first = hooked(client, "asyncpg", **LOGIN)["ssl"]
    assert hooked(client, "pg8000", **LOGIN)["ssl_context"] is first
    own_roots.write_bytes(CertificateAuthority(name="renewed").pem + b"\n")
    assert names(hooked(client, "asyncpg", **LOGIN)["ssl"]) == ["renewed"]


def test_direct_tls_gets_a_context_of_its_own(client: pgiam.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = hooked(client, "asyncpg", **LOGIN)["ssl"]
    direct = hooked(client, "asyncpg", **LOGIN, direct_tls=True)["ssl"]
    assert direct is not plain  # it offers ALPN, which SSLContext does not show
    monkeypatch.setenv("PGSSLNEGOTIATION", "direct")
    assert hooked(client, "asyncpg", **LOGIN)["ssl"] is direct
    assert hooked(client, "asyncpg", **LOGIN, direct_tls=False)["ssl"] is plain


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg", "pg8000"])
def test_off_leaves_tls_to_the_driver(client: pgiam.Client, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    engine = pgiam.sqlalchemy.attach(engine_of(driver), client=client, tls="off")
    cparams: dict[str, Any] = dict(LOGIN)
    for hook in engine.dialect.dispatch.do_connect:
        hook(dialect_of(driver), None, [], cparams)
    assert cparams.keys() - {"async_creator_fn"} == {"host", "port", "user", "password"}


def engine_of(driver: str) -> Any:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    create = create_async_engine if driver == "asyncpg" else sa.create_engine
    return create(f"postgresql+{driver}://app@{RDS}/app")
