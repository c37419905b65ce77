"""A workload in the sandbox: on a platform, trusted by a role, and never heard to say a secret."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aws_box import REGION, AwsBox
from identity.workload import HOST, ROLE
from pgiam.sandbox import verifier
from pgiam.sandbox.claim_shapes import SHAPES

# What would say that this is another platform than the test's: the checks run in CI themselves.
MARKERS = ("GITHUB_", "GITLAB_", "CIRCLE", "BITBUCKET_", "BUILDKITE", "TFC_", "VERCEL", "FLY_", "GCE_", "AZURE_")
MORE_MARKERS = ("PGIAM_ROLE_ARN", "PGIAM_OIDC_AUDIENCE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "K_SERVICE")


@pytest.fixture(scope="session")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        yield box


@pytest.fixture
def box(shared: AwsBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsBox]:
    """The AWS half of a sandbox as good as new, and this process pointed to it."""
    _renew(shared)
    for name in list(os.environ):
        if name.startswith((*MARKERS, "ACTIONS_", "AWS_")) or name in MORE_MARKERS:
            monkeypatch.delenv(name)
    for name, value in shared.common.items():
        monkeypatch.setenv(name, value)
    yield shared
    _renew(shared)


def _renew(box: AwsBox) -> None:
    box.clock.offset = 0.0
    box.control("clear_faults")
    box.control("reset_stats")
    box.control("session_lifetime", seconds=None)
    platforms = [platform for platform in SHAPES if platform != "eks_pod_identity"]
    trust = [box.services.trust(platform) for platform in platforms]
    box.directory.add_role(ROLE, trust=trust, db_users=["app"], max_session=7200)


@pytest.fixture
def role_arn(box: AwsBox) -> str:
    return box.directory.role_arn(ROLE)


@pytest.fixture
def on(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Puts this process on a platform; returns what that set."""

    def move(platform: str, **more: Any) -> dict[str, str]:
        variables: dict[str, str] = box.control("environment", platform=platform, role=ROLE, **more)["environment"]
        if platform in ("azure", "azure_app_service"):
            variables["PGIAM_OIDC_AUDIENCE"] = SHAPES["azure"].audience
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    return move


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(shared: AwsBox, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    for loud in ("botocore", "boto3", "urllib3"):  # not ours, and full of secrets
        caplog.set_level(logging.INFO, loud)
    yield
    text = "\n".join(record.getMessage() for phase in ("setup", "call") for record in caplog.get_records(phase))
    # The start of every JWT header that has `alg` or `kid` first, and of what SigV4 makes.
    for secret in ("eyJ", "X-Amz-Signature", "X-Amz-Security-Token"):
        assert secret not in text
    for credential in list(shared.directory._credentials.values())[-2000:]:
        assert credential.secret_key not in text


@pytest.fixture
def opens(box: AwsBox) -> Callable[[str], verifier.Accepted]:
    """Shows a token to the database's door, by the sandbox's clock."""
    target = verifier.Target.rds(REGION, frozenset({HOST}), 5432, "arn:aws:rds-db:eu-west-1:123456789012:dbuser:x/app")

    def show(token: str) -> verifier.Accepted:
        decision = verifier.verify(token, "app", target, box.directory, box.clock.now())
        assert isinstance(decision, verifier.Accepted), decision
        return decision

    return show
