"""The AWS default chain where it needs no network, and fallbacks from the environment."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import pgiam

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
CLUSTER = "abcdefghij0123456789klmnop"


def mint(client: pgiam.Client) -> str:
    return client.generate_auth_token(host=HOST, user="app")


def use_keys(monkeypatch: pytest.MonkeyPatch, access_key: str = "AKIDENV") -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def write_profile(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> Path:
    path = folder / "config"
    path.write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    return path


def test_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "from the environment".replace(" ", "+"))
    client = pgiam.Client()
    assert "Credential=AKIDENV%2F" in mint(client)
    assert "Security-Token=from%2Bthe%2Benvironment" in mint(client)
    assert client.credentials().source == "environment"
    assert client.stats().waits == 0


def test_the_default_client_serves_the_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    pgiam.default_client().invalidate()
    assert "Credential=AKIDENV%2F" in pgiam.generate_auth_token(host=HOST, user="app")
    pgiam.default_client().invalidate()


def test_a_profile_with_keys_is_read_anew_after_invalidate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "[profile prod]\naws_access_key_id = {}\naws_secret_access_key = s\nregion = eu-west-2\n"
    path = write_profile(monkeypatch, tmp_path, text.format("AKIDONE"))
    client = pgiam.Client(pgiam.Profile("prod"))
    assert "Credential=AKIDONE%2F" in mint(client)
    path.write_text(text.format("AKIDTWO"))
    assert "Credential=AKIDONE%2F" in mint(client)
    client.invalidate()
    assert "Credential=AKIDTWO%2F" in mint(client)
    assert client.credentials().source == "profile prod"
    # The profile's region serves a bare cluster id, and the environment's comes before it.
    assert f"{CLUSTER}.dsql.eu-west-2.on.aws/" in client.generate_auth_token(host=CLUSTER, user="app")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert f"{CLUSTER}.dsql.eu-north-1.on.aws/" in client.generate_auth_token(host=CLUSTER, user="app")
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    assert f"{CLUSTER}.dsql.eu-south-1.on.aws/" in client.generate_auth_token(host=CLUSTER, user="app")


def test_the_default_profile_and_aws_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(
        monkeypatch,
        tmp_path,
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s\n"
        "[profile other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\n",
    )
    assert "AKIDDEFAULT" in mint(pgiam.Client())
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert "AKIDOTHER" in mint(pgiam.Client())


def test_credential_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    end = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat(timespec="seconds")
    answer = {"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end}
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    script = tmp_path / "process.py"
    script.write_text(f"print(open({str(tmp_path / 'answer.json')!r}).read())\n")
    write_profile(monkeypatch, tmp_path, f"[profile tool]\ncredential_process = {sys.executable} {script}\n")
    client = pgiam.Client(pgiam.Profile("tool"))
    assert "AKIDPROC" in mint(client)
    assert client.credentials().expires_at == datetime.fromisoformat(end)


def test_nothing_found_lists_every_attempt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(monkeypatch, tmp_path, "")
    with pytest.raises(pgiam.CredentialsError) as raised:
        mint(pgiam.Client())
    looked_at = [source for source, _ in raised.value.attempts]
    assert [name.split(" ")[0] for name in looked_at] == ["environment", "profile", "web", "container", "instance"]
    assert all(outcome for _, outcome in raised.value.attempts)
    assert raised.value.hint


def test_a_broken_source_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit(3)\n")
    write_profile(monkeypatch, tmp_path, f"[default]\ncredential_process = {sys.executable} {script}\n")
    with pytest.raises(pgiam.CredentialsError, match="profile gave no credentials") as raised:
        mint(pgiam.Client())
    assert [source for source, _ in raised.value.attempts] == ["environment", "profile"]


def test_a_source_that_answered_is_never_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(monkeypatch, tmp_path, "[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\n")
    use_keys(monkeypatch)
    client = pgiam.Client()
    assert "AKIDENV" in mint(client)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    client.invalidate()
    with pytest.raises(pgiam.CredentialsError, match=r"looked at environment\. "):
        mint(client)
    use_keys(monkeypatch, "AKIDNEW")
    client.invalidate()
    assert "AKIDNEW" in mint(client)


def test_a_missing_profile_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(monkeypatch, tmp_path, "[default]\n")
    with pytest.raises(pgiam.CredentialsError, match="nobody") as raised:
        mint(pgiam.Client(pgiam.Profile("nobody")))
    assert "profile" in raised.value.hint


def test_pg_variables_fill_in(monkeypatch: pytest.MonkeyPatch) -> None:
    client = pgiam.Client(pgiam.Credentials("AKID", "s"))
    for missing in ("PGHOST", "PGUSER"):
        with pytest.raises(pgiam.ConfigurationError, match="is missing") as raised:
            client.generate_auth_token()
        assert missing in raised.value.hint
        monkeypatch.setenv("PGHOST", HOST)
    monkeypatch.setenv("PGUSER", "someone")
    monkeypatch.setenv("PGPORT", "6543")
    assert client.generate_auth_token().startswith(f"{HOST}:6543/?Action=connect&DBUser=someone&")
    assert client.generate_auth_token(user="me", port=1).startswith(f"{HOST}:1/?Action=connect&DBUser=me&")
    monkeypatch.setenv("PGPORT", "many")
    with pytest.raises(pgiam.ConfigurationError, match="PGPORT"):
        client.generate_auth_token()


def test_token_host_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    client = pgiam.Client(pgiam.Credentials("AKID", "s"))
    monkeypatch.setenv("PGIAM_TOKEN_HOST", f"{HOST}:5432")
    token = client.generate_auth_token(host="localhost", port=15432, user="app")
    assert token.startswith(f"{HOST}:5432/?Action=connect&DBUser=app&")
    other = "db.abc123.eu-west-1.rds.amazonaws.com"
    token = client.generate_auth_token(host="localhost", port=15432, user="app", token_host=other)
    assert token.startswith(f"{other}:15432/")


def test_an_unusable_ca_bundle_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import subprocess

    write_profile(monkeypatch, tmp_path, "")
    script = "import pgiam; pgiam.Client().credentials()"
    environment = {**os.environ, "AWS_CA_BUNDLE": str(tmp_path / "none.pem")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ConfigurationError: AWS_CA_BUNDLE=" in done.stderr
