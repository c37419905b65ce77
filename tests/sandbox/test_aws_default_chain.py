"""boto3's own credential chain and the aws command line in the environment of each platform."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import botocore.utils
import pytest
from botocore.exceptions import ClientError

from aws_box import REGION, WAIT, AwsBox, call
from pgiam.sandbox import jwt

ROLE = "app"
PLATFORMS = ["session", "lambda", "ec2", "ecs", "ecs_file", "eks", "eks_pod_identity", "fly_file"]
AWS = shutil.which("aws", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        box.directory.add_role(ROLE, trust=[box.services.trust("eks"), box.services.trust("fly")])
        yield box


@pytest.fixture
def box(shared: AwsBox) -> AwsBox:
    shared.clock.offset = 0.0
    shared.control("clear_faults")
    shared.control("reset_stats")
    shared.control("session_lifetime", seconds=None)
    return shared


def variables(box: AwsBox, platform: str, **more: Any) -> dict[str, str]:
    environment: dict[str, str] = box.control("environment", platform=platform, role=ROLE, **more)["environment"]
    return environment


def caller(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Any:
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment})
    return boto3.Session(botocore_session=botocore.session.Session()).client("sts").get_caller_identity


@pytest.mark.parametrize("platform", PLATFORMS)
def test_boto3_becomes_the_role(box: AwsBox, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    identity = caller(monkeypatch, variables(box, platform))()
    assert f":assumed-role/{ROLE}/" in identity["Arn"]
    assert box.calls("sts:AssumeRoleWithWebIdentity") == (1 if platform in ("eks", "fly_file") else 0)


def test_boto3_becomes_the_role_under_a_relative_uri(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = variables(box, "ecs_relative")
    authority = box.platform_url.removeprefix("http://")
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "IP_ADDRESS", authority)
    assert f":assumed-role/{ROLE}/" in caller(monkeypatch, environment)()["Arn"]


@pytest.mark.skipif(AWS is None, reason="the aws command line is not installed beside this interpreter")
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_aws_command_line_becomes_the_role(box: AwsBox, tmp_path: Path, platform: str) -> None:
    assert AWS is not None
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables(box, platform)}
    command = [AWS, "sts", "get-caller-identity", "--output", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=4 * WAIT, check=False)
    assert done.returncode == 0, done.stderr
    assert f":assumed-role/{ROLE}/" in json.loads(done.stdout)["Arn"]


@pytest.mark.skipif(AWS is None, reason="the aws command line is not installed beside this interpreter")
def test_the_aws_command_line_exchanges_and_assumes(box: AwsBox, tmp_path: Path) -> None:
    assert AWS is not None
    token = tmp_path / "token"
    token.write_text(box.token("eks"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **box.common}
    arn = box.directory.role_arn(ROLE)
    command = [AWS, "sts", "assume-role-with-web-identity", "--role-arn", arn, "--role-session-name", "cli"]
    command += ["--web-identity-token", f"file://{token}", "--output", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=4 * WAIT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{ROLE}/cli")
    command[command.index(arn)] = box.directory.role_arn("absent")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=4 * WAIT, check=False)
    assert done.returncode != 0
    assert (
        "(AccessDenied) when calling the AssumeRoleWithWebIdentity operation: Not authorized to perform" in done.stderr
    )


def test_the_token_file_is_read_anew_and_was_renewed(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = variables(box, "eks", lifetime=3600)
    file = Path(environment["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_text()
    assert box.control("renew_identity_files")["files"] >= 1
    assert file.read_text() != first
    box.control("rotate_keys", platform="eks", keep_old=False)
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        caller(monkeypatch, environment)()
    box.control("renew_identity_files")
    assert f":assumed-role/{ROLE}/" in caller(monkeypatch, environment)()["Arn"]


def test_token_files_are_renewed_before_they_end(box: AwsBox) -> None:
    # The renewal looks at the sandbox's clock: nine tenths of the hour go by at once.
    file = Path(variables(box, "fly_file", lifetime=3600)["AWS_WEB_IDENTITY_TOKEN_FILE"])
    first = file.read_text()
    box.clock.offset = 3240.0
    box.run(_renewed(box))
    assert file.read_text() != first


def test_token_files_survive_being_renewed_from_all_sides(box: AwsBox) -> None:
    file = Path(variables(box, "eks")["AWS_WEB_IDENTITY_TOKEN_FILE"])
    read: list[str] = []

    def project() -> None:
        for _ in range(25):
            box.services.environment("eks", ROLE)
            read.append(file.read_text())

    def renew() -> None:
        for _ in range(25):
            box.services.files.renew(all_of_them=True)
            read.append(file.read_text())

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for work in (project, renew) * 4]:
            done.result(WAIT)
    assert len(read) == 200
    assert all(jwt.parse(token).claims["sub"] for token in read)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


async def _renewed(box: AwsBox) -> None:
    box.services.files.renew()


def test_machine_credentials_are_kept_until_they_near_their_end(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = variables(box, "ecs")

    def access_key() -> str:
        monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], **environment})
        credentials = botocore.session.Session().get_credentials()
        assert credentials is not None
        return str(credentials.get_frozen_credentials().access_key)

    first = access_key()
    assert access_key() == first
    box.clock.offset = 6 * 3600 * 0.85
    second = access_key()
    assert second != first
    box.control("expire_credentials")
    third = access_key()
    assert third != second
    box.control("disable_key", access_key=third)
    assert access_key() != third
    fourth = access_key()
    assert box.control("rotate_machine_credentials")["rotated"] >= 1
    assert access_key() != fourth


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ({"lifetime": -1}, 400, "ExpiredTokenException"),
        ({"audience": "sts.amazonaws.com"}, 400, "InvalidTokenException"),
        ({"subject": "system:serviceaccount:default:other"}, 404, "ResourceNotFoundException"),
    ],
)
def test_pods_that_get_nothing(box: AwsBox, arguments: dict[str, Any], status: int, code: str) -> None:
    url = variables(box, "eks_pod_identity")["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    answer = call(url, headers={"Authorization": box.token("eks_pod_identity", **arguments)})
    assert (answer.status, answer.json()["code"]) == (status, code)
    genuine = box.token("eks_pod_identity")
    assert call(url, headers={"Authorization": genuine}).status == 200
    assert call(url, headers={"Authorization": genuine[:-8] + "AAAAAAAA"}).status == 400
    assert call(url).status == 400


def test_boto3_rides_out_what_it_may_retry(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("throttled", "internal_error", "unavailable", "idp_communication_error", "reset"):
        environment = variables(box, "eks")
        box.control("reset_stats")
        box.control("fault", target="sts", kind=kind, operation="AssumeRoleWithWebIdentity", count=1)
        assert f":assumed-role/{ROLE}/" in caller(monkeypatch, environment)()["Arn"]
        assert box.calls("sts:AssumeRoleWithWebIdentity") == 2, kind


def test_region_is_the_boxes(box: AwsBox) -> None:
    assert box.common["AWS_REGION"] == REGION == box.common["AWS_DEFAULT_REGION"]
