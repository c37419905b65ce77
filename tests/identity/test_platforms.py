"""Every platform, driven for real: recognised by itself, named by hand, and as boto3 sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

import pgiam
from aws_box import AwsBox
from identity.workload import ROLE, mint, run_python
from pgiam import oidc
from pgiam.sandbox.claim_shapes import SHAPES

Move = Callable[..., dict[str, str]]
AWS_OWN = ["session", "lambda", "ec2", "ecs", "ecs_file", "eks", "eks_pod_identity", "fly_file"]
TAKEN = {
    "session": "environment",
    "lambda": "environment",
    "ec2": "instance metadata (EC2)",
    "ecs": "container credentials (ECS, EKS Pod Identity)",
    "ecs_file": "container credentials (ECS, EKS Pod Identity)",
    "eks_pod_identity": "container credentials (ECS, EKS Pod Identity)",
    "eks": "web identity file",
    "fly_file": "web identity file",
    "vercel": "Vercel",
    "vercel_global": "Vercel",
    "vercel_file": "Vercel",
    "github_actions": "GitHub Actions",
    "gitlab": "GitLab CI",
    "circleci": "CircleCI",
    "bitbucket": "Bitbucket Pipelines",
    "buildkite": "Buildkite",
    "terraform_cloud": "HCP Terraform",
    "fly": "Fly.io",
    "gcp": "Google Cloud",
    "azure": "Azure",
    "azure_app_service": "Azure",
    "aks": "Azure",
}
BY_HAND: dict[str, Callable[[], oidc.IdentitySource]] = {
    "vercel": oidc.vercel,
    "vercel_file": oidc.vercel,
    "github_actions": lambda: oidc.github_actions(audience="sts.amazonaws.com"),
    "gitlab": lambda: oidc.gitlab("GITLAB_OIDC_TOKEN"),
    "circleci": oidc.circleci,
    "bitbucket": oidc.bitbucket,
    "buildkite": lambda: oidc.buildkite(audience="sts.amazonaws.com"),
    "terraform_cloud": oidc.terraform_cloud,
    "fly": lambda: oidc.fly(audience="sts.amazonaws.com"),
    "gcp": lambda: oidc.gcp(audience="sts.amazonaws.com"),
    "azure": lambda: oidc.azure(resource="api://acme-aws"),
    "azure_app_service": lambda: oidc.azure(resource="api://acme-aws"),
    "aks": oidc.azure,
    "eks": oidc.web_identity_file,
    "fly_file": oidc.web_identity_file,
}
SHAPE_OF = {"vercel_file": "vercel", "azure_app_service": "azure", "fly_file": "fly"}


def test_no_platform_of_the_sandbox_is_left_out(box: AwsBox) -> None:
    # 169.254.170.2, where relative URIs are asked for, is nowhere to be had without a route.
    assert {*TAKEN, "ecs_relative"} == set(box.control("platforms")["platforms"])


@pytest.mark.parametrize("platform", TAKEN)
def test_is_recognised_and_served(box: AwsBox, on: Move, opens: Callable[[str], object], platform: str) -> None:
    on(platform)
    client = pgiam.Client()
    before = [(finding.source, finding.state) for finding in client.explain()]
    assert client.whoami().arn.startswith(f"arn:aws:sts::{box.directory.account}:assumed-role/{ROLE}/")
    opens(mint(client))
    taken = [finding for finding in client.explain() if finding.state == "taken"]
    assert [finding.source for finding in taken] == [TAKEN[platform]]
    # What was foreseen without any network is what came.
    assert (TAKEN[platform], "pending" if platform == "ec2" else "taken") in before


@pytest.mark.parametrize("platform", AWS_OWN)
def test_boto3_reads_the_same_identity(box: AwsBox, on: Move, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    on(platform)
    if platform == "eks":
        # Without one each makes up its own.
        monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "shop")
    ours = pgiam.Client().whoami()
    theirs = boto3.Session().client("sts").get_caller_identity()
    assert (ours.arn, ours.account, ours.user_id) == (theirs["Arn"], theirs["Account"], theirs["UserId"])


@pytest.mark.parametrize("platform", BY_HAND)
def test_is_named_by_hand(box: AwsBox, on: Move, role_arn: str, platform: str) -> None:
    on(platform)
    source = BY_HAND[platform]()
    shape = SHAPES[SHAPE_OF.get(platform, platform)]
    claims = oidc.decode(source.fetch())
    assert (claims["iss"], claims["sub"]) == (shape.issuer, shape.subject)
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=source))
    assert client.whoami().arn.startswith(f"arn:aws:sts::{box.directory.account}:assumed-role/{ROLE}/")
    assert [(found.source, found.state) for found in client.explain()] == [(source.name, "taken")]


@pytest.mark.parametrize("platform", ["github_actions", "fly", "buildkite", "gcp"])
async def test_the_audience_that_is_asked_for(box: AwsBox, on: Move, platform: str) -> None:
    on(platform)
    make = getattr(oidc, platform)
    assert oidc.decode(await make().fetch_async())["aud"] == "sts.amazonaws.com"
    odd = 'https://audience.example/?a=b&c="d"\\\u00e9 +'
    assert oidc.decode(await make(audience=odd).fetch_async())["aud"] == odd


@pytest.mark.parametrize(
    ("platform", "missing", "hint"),
    [
        ("github_actions", "ACTIONS_ID_TOKEN_REQUEST_URL", "permissions: id-token: write"),
        ("gitlab", "GITLAB_OIDC_TOKEN", "id_tokens"),
        ("bitbucket", "BITBUCKET_STEP_OIDC_TOKEN", "oidc: true"),
        ("terraform_cloud", "TFC_WORKLOAD_IDENTITY_TOKEN", "TFC_WORKLOAD_IDENTITY_AUDIENCE"),
        ("eks", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ],
)
def test_here_and_broken(on: Move, monkeypatch: pytest.MonkeyPatch, platform: str, missing: str, hint: str) -> None:
    on(platform)
    monkeypatch.delenv(missing)
    with pytest.raises(pgiam.IdentityTokenError) as caught:
        BY_HAND[platform]().fetch()
    assert hint in caught.value.hint
    if platform != "eks":
        # And the machine's own identity is no stand-in for the job's.
        with pytest.raises(pgiam.IdentityTokenError) as ambient:
            pgiam.Client().credentials()
        assert any(outcome != "not here" for _, outcome in ambient.value.attempts)


@pytest.mark.parametrize("platform", ["github_actions", "gcp", "azure", "fly"])
def test_an_endpoint_that_stumbles(box: AwsBox, on: Move, platform: str) -> None:
    on(platform)
    source = BY_HAND[platform]()
    box.control("fault", target=platform, kind="not_found", count=1)
    with pytest.raises(pgiam.IdentityTokenError, match="HTTP 404"):
        source.fetch()
    for kind in ("garbage", "truncated", "reset"):
        box.control("fault", target=platform, kind=kind)
        with pytest.raises((pgiam.IdentityTokenError, pgiam.TransportError)):
            source.fetch()
        box.control("clear_faults")
    if platform != "fly":
        box.control("reset_stats")
        box.control("fault", target=platform, kind="unavailable", count=1)
        assert oidc.decode(source.fetch())
        assert box.calls(f"{platform}:token") == 2


def test_nobody_listens(on: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    on("github_actions")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:9/?secret-of-the-url=1")
    with pytest.raises(pgiam.TransportError) as caught:
        oidc.github_actions().fetch()
    assert "GitHub Actions" in str(caught.value)
    assert "secret-of-the-url" not in str(caught.value)


def test_a_file_is_read_anew_for_each_exchange(box: AwsBox, on: Move) -> None:
    path = Path(on("eks")["AWS_WEB_IDENTITY_TOKEN_FILE"])
    client = pgiam.Client()
    client.credentials()
    first = path.read_text()
    time.sleep(1.1)  # `iat` has whole seconds
    box.control("renew_identity_files")
    assert path.read_text() != first
    box.control("rotate_keys", platform="eks", keep_old=False)
    box.control("renew_identity_files")
    client.refresh()
    path.unlink()
    with pytest.raises(pgiam.IdentityTokenError, match="cannot be read"):
        client.refresh()
    box.control("renew_identity_files")


def test_a_token_file_without_its_role_is_said_to_be_broken(on: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    on("eks")
    monkeypatch.delenv("AWS_ROLE_ARN")
    with pytest.raises(pgiam.ConfigurationError, match="AWS_ROLE_ARN"):
        pgiam.Client().credentials()


def test_once_a_platform_has_answered_nothing_else_is_taken(
    box: AwsBox, on: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("github_actions")
    client = pgiam.Client()
    client.credentials()
    for name in ("AWS_ROLE_ARN", "GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name)
    on("session")
    client.invalidate()
    with pytest.raises(pgiam.IdentityTokenError):
        client.credentials()


def test_a_variable_of_any_name(box: AwsBox, role_arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", f"  {box.token('gitlab')}\n")
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=oidc.env("MY_TOKEN")))
    assert client.credentials().source == "web identity (variable MY_TOKEN)"


def test_explaining_asks_nobody(box: AwsBox, on: Move) -> None:
    for platform in TAKEN:
        on(platform)
        findings = pgiam.Client().explain()
        assert len(findings) == 15
        assert all(finding.reason for finding in findings)
        assert "eyJ" not in repr(findings)
    assert box.control("stats")["calls"] == {}


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "eyJhbGciOiJub25lIn0.W10.c2ln", "a.!.c"])
def test_decode_shows_nothing_of_what_it_cannot_read(text: str) -> None:
    with pytest.raises(pgiam.IdentityTokenError) as caught:
        oidc.decode(text)
    assert caught.value.__suppress_context__
    with pytest.raises(pgiam.WrongTypeError):
        oidc.decode(text.encode())  # type: ignore[arg-type]


def test_importing_pgiam_imports_none_of_this() -> None:
    code = "import sys, pgiam; print(sorted({'pgiam.oidc', 'logging', 'asyncio', 'typing', 'json'} & set(sys.modules)))"
    assert run_python(code) == "[]"
