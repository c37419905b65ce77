"""Which STS is asked, and by which way. A proxy that lets nobody through notes where they wanted to go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgiam
from aws_box import AwsBox
from certificate_authority import CertificateAuthority
from identity.workload import run_python

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"


class Proxy:
    """Takes CONNECT, notes its target and answers 403."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(65536).decode("latin-1")
                self.targets.append(request.split(" ")[1] if request.startswith("CONNECT ") else request[:40])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


ASK = """
import os, pgiam
try:
    pgiam.exchange_oidc_token(os.environ["TOKEN"], role_arn=os.environ["ROLE"], region=os.environ.get("REGION"))
except pgiam.TransportError as error:
    assert "HTTPS_PROXY" in error.hint, error.hint
    print("refused by the proxy")
"""


@pytest.mark.parametrize(
    ("role", "environment", "host"),
    [
        (ROLE, {"AWS_REGION": "eu-central-1"}, "sts.eu-central-1.amazonaws.com"),
        (ROLE, {"AWS_DEFAULT_REGION": "eu-central-2"}, "sts.eu-central-2.amazonaws.com"),
        (ROLE, {"AWS_REGION": "eu-central-1", "REGION": "us-west-2"}, "sts.us-west-2.amazonaws.com"),
        (ROLE, {}, "sts.us-east-1.amazonaws.com"),
        (ROLE.replace("aws:", "aws-cn:", 1), {}, "sts.cn-north-1.amazonaws.com.cn"),
        (ROLE.replace("aws:", "aws-cn:", 1), {"AWS_REGION": "us-east-1"}, "sts.cn-north-1.amazonaws.com.cn"),
        (ROLE.replace("aws:", "aws-us-gov:", 1), {"AWS_REGION": "us-gov-east-1"}, "sts.us-gov-east-1.amazonaws.com"),
        (ROLE, {"AWS_REGION": "us-east-2", "AWS_USE_FIPS_ENDPOINT": "true"}, "sts-fips.us-east-2.amazonaws.com"),
        (ROLE, {"AWS_REGION": "us-east-2", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, "sts.us-east-2.api.aws"),
        (ROLE, {"AWS_ENDPOINT_URL": "https://all.example"}, "all.example"),
        (
            ROLE,
            {"AWS_ENDPOINT_URL": "https://all.example", "AWS_ENDPOINT_URL_STS": "https://sts.example"},
            "sts.example",
        ),
    ],
)
def test_where_the_exchange_goes(
    box: AwsBox, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, role: str, environment: dict[str, str], host: str
) -> None:
    token = box.token("github_actions")
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    proxied = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "", "AWS_MAX_ATTEMPTS": "1"}
    assert run_python(ASK, {"TOKEN": token, "ROLE": role, **proxied, **environment}) == "refused by the proxy"
    assert set(proxy.targets) == {f"{host}:443"}


def test_the_region_of_the_profile(box: AwsBox, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    file = tmp_path / "config"
    file.write_text("[profile shop]\nregion = ap-southeast-2\n")
    environment = {"AWS_CONFIG_FILE": str(file), "AWS_PROFILE": "shop", "HTTPS_PROXY": proxy.url}
    run_python(ASK, {"TOKEN": box.token("github_actions"), "ROLE": ROLE, **environment})
    assert set(proxy.targets) == {"sts.ap-southeast-2.amazonaws.com:443"}


def test_a_region_of_another_partition_is_refused(box: AwsBox) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="is not in partition aws,"):
        pgiam.exchange_oidc_token(box.token("github_actions"), role_arn=ROLE, region="cn-north-1")


def test_no_metadata_service_is_asked_for_the_region(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", box.platform_url)
    role_arn = box.directory.role_arn("app")
    assert pgiam.exchange_oidc_token(box.token("github_actions"), role_arn=role_arn).account_id
    assert {name for name in box.control("stats")["calls"] if name.startswith("imds")} == set()


def test_tls(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.pem)
    context = authority.server_context(tmp_path)
    context.set_alpn_protocols(["http/1.1"])
    with AwsBox(tls=context) as box:
        box.directory.add_role("app", trust=[box.services.trust("github_actions")])
        environment = {
            "AWS_ENDPOINT_URL_STS": box.services.secure_sts_url,
            "AWS_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "TOKEN": box.token("github_actions"),
            "ROLE": box.directory.role_arn("app"),
        }
        code = """
        import os, pgiam
        try:
            print(pgiam.exchange_oidc_token(os.environ["TOKEN"], role_arn=os.environ["ROLE"]).source)
        except pgiam.Error as error:
            print(type(error).__name__, error)
        """
        trusted = {**environment, "AWS_CA_BUNDLE": str(bundle)}
        assert run_python(code, trusted) == "web identity (given)"
        refused = run_python(code, environment)
        assert refused.startswith("TransportError")
        assert "certificate" in refused.lower()
        wrong = run_python(code, {**environment, "AWS_CA_BUNDLE": str(tmp_path / "nowhere.pem")})
        assert wrong.startswith("ConfigurationError AWS_CA_BUNDLE=")
