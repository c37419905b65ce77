"""pgiam.tls, by real handshakes on loopback and by what it ships."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from certificate_authority import DAY, NOW, CertificateAuthority
from pgiam import tls
from pgiam.errors import ConfigurationError

HOSTNAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
UNKNOWN_ISSUER = 20  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CertificateAuthority:
    """An authority that PGIAM_CA_FILE names."""
    authority = CertificateAuthority()
    file = tmp_path / "authority.pem"
    file.write_bytes(authority.pem)
    monkeypatch.setenv("PGIAM_CA_FILE", str(file))
    return authority


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A server that does one handshake and waits for the client to go."""

    def serve() -> None:
        # A refused handshake is the client's to report; here it only ends the connection.
        with suppress(OSError):
            plain, _ = listener.accept()
            plain.settimeout(30)
            with plain, context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Where the client never came, this is what the server is waiting for.
            socket.create_connection(listener.getsockname(), timeout=30).close()
            thread.join()


@contextmanager
def connected(context: ssl.SSLContext, port: int) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        yield secured


def test_server_under_the_named_authority_is_accepted(authority: CertificateAuthority, tmp_path: Path) -> None:
    with listening(authority.server_context(tmp_path)) as port, connected(tls.ssl_context(), port) as secured:
        assert secured.version() == "TLSv1.3"
        assert secured.selected_alpn_protocol() is None


def test_the_same_under_strict_rules(authority: CertificateAuthority, tmp_path: Path) -> None:
    """Python 3.13's own contexts apply them; an authority shaped like RDS's must pass."""
    context = tls.ssl_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with listening(authority.server_context(tmp_path)) as port, connected(context, port) as secured:
        assert secured.getpeercert()


def test_direct_tls_names_its_protocol(authority: CertificateAuthority, tmp_path: Path) -> None:
    with (
        listening(authority.server_context(tmp_path)) as port,
        connected(tls.ssl_context(direct=True), port) as secured,
    ):
        assert secured.selected_alpn_protocol() == "postgresql"


@pytest.mark.parametrize(
    ("host", "until", "code"),
    [("db.example.org", None, HOSTNAME_MISMATCH), ("localhost", NOW - DAY, EXPIRED)],
)
def test_certificate_that_does_not_hold_is_refused(
    authority: CertificateAuthority, tmp_path: Path, host: str, until: datetime.datetime | None, code: int
) -> None:
    with listening(authority.server_context(tmp_path, host, until=until)) as port:
        with pytest.raises(ssl.SSLCertVerificationError) as refused, connected(tls.ssl_context(), port):
            pass
    assert refused.value.verify_code == code


@pytest.mark.usefixtures("authority")
def test_foreign_authority_of_the_same_name_is_refused(tmp_path: Path) -> None:
    with listening(CertificateAuthority().server_context(tmp_path)) as port:
        with pytest.raises(ssl.SSLCertVerificationError), connected(tls.ssl_context(), port):
            pass


def test_authority_that_nobody_named_is_refused(tmp_path: Path) -> None:
    with listening(CertificateAuthority().server_context(tmp_path)) as port:
        with pytest.raises(ssl.SSLCertVerificationError) as refused, connected(tls.ssl_context(), port):
            pass
    assert refused.value.verify_code == UNKNOWN_ISSUER


def test_old_protocol_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    context = authority.server_context(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = tls.ssl_context()
    client.set_ciphers("ALL:@SECLEVEL=0")  # so that the version alone decides
    with listening(context) as port, pytest.raises((ssl.SSLError, ConnectionError)), connected(client, port):
        pass


def test_verify_ca_leaves_out_the_name_only(authority: CertificateAuthority, tmp_path: Path) -> None:
    context = tls.verifying_context(tls.ca_file(), check_hostname=False)
    with listening(authority.server_context(tmp_path, "db.example.org")) as port, connected(context, port) as secured:
        assert secured.getpeercert()
    with listening(CertificateAuthority().server_context(tmp_path)) as port:
        with pytest.raises(ssl.SSLCertVerificationError), connected(context, port):
            pass


def test_each_context_is_the_callers_own() -> None:
    first, second = tls.ssl_context(), tls.ssl_context()
    first.check_hostname = False
    assert second.check_hostname
    assert second.verify_mode is ssl.CERT_REQUIRED


def test_system_roots_and_key_log_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    context = tls.ssl_context()
    assert not context.keylog_filename
    assert len(context.get_ca_certs()) == Path(tls.ca_file()).read_text().count("BEGIN CERTIFICATE")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "no PEM certificate"), (b"-----BEGIN PRIVATE KEY-----\n", "no PEM certificate")],
)
def test_unusable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("PGIAM_CA_FILE", str(file))
    with pytest.raises(ConfigurationError, match=reason) as refused:
        tls.ca_file()
    assert "PGIAM_CA_FILE" in refused.value.hint


def test_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGIAM_CA_FILE", str(tmp_path))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        tls.ca_file()


def test_damaged_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "authority.pem"
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("PGIAM_CA_FILE", str(file))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        tls.ssl_context()


def test_corrected_file_is_read_again(authority: CertificateAuthority) -> None:
    file = Path(os.environ["PGIAM_CA_FILE"])
    file.write_bytes(b"")
    with pytest.raises(ConfigurationError):
        tls.ca_file()
    file.write_bytes(authority.pem)
    assert tls.ca_file() == str(file)


@pytest.mark.usefixtures("authority")
def test_override_holds_after_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGIAM_CA_FILE", "authority.pem")
    assert tls.ca_file() == str(tmp_path / "authority.pem")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGIAM_CA_FILE", "~/authority.pem")
    assert tls.ca_file() == str(tmp_path / "authority.pem")


def test_empty_override_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tls.ca_file()
    monkeypatch.setenv("PGIAM_CA_FILE", "")
    assert tls.ca_file() == shipped


def test_ssl_is_imported_on_use_only() -> None:
    code = "import sys, pgiam.tls; pgiam.tls.ca_file(); print('ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("us-gov-east-1", "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/"),
        ("cn-north-1", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/"),
        ("ca-west-1", "https://truststore.pki.rds.amazonaws.com/"),
    ],
)
def test_hint_for_a_region_that_is_not_covered(region: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hint = tls.missing_ca_hint(region)
    assert hint is not None
    assert region in hint
    assert address in hint
    monkeypatch.setenv("PGIAM_CA_FILE", "chosen.pem")
    assert tls.missing_ca_hint(region) is None


def test_no_hint_for_a_region_that_is_covered() -> None:
    assert tls.missing_ca_hint("eu-west-1") is None
