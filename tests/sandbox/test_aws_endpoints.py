"""The endpoints that hand out credentials and identity tokens: what they demand and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws_box import REGION, WAIT, Answer, AwsBox, call
from pgiam.sandbox import jwt
from pgiam.sandbox.iam import TrustRule
from pgiam.sandbox.identity_endpoints import Azure, Buildkite, Fly, Gcp, GithubActions, Vercel
from pgiam.sandbox.sts_identity import verify


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        yield box


@pytest.fixture
def box(shared: AwsBox) -> AwsBox:
    shared.clock.offset = 0.0
    shared.control("clear_faults")
    shared.directory.add_role("app")
    return shared


def variables(box: AwsBox, platform: str) -> dict[str, str]:
    environment: dict[str, str] = box.control("environment", platform=platform, role="app")["environment"]
    return environment


def claims(box: AwsBox, token: str) -> Mapping[str, Any]:
    """The claims of a token, which has to be a genuine one."""
    parsed = jwt.parse(token)
    jwt.verify(parsed, box.services.issuer.jwks(parsed.claims["iss"]))
    return parsed.claims


# --- IMDS -----------------------------------------------------------------------------------------

TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
ROLE_PATH = "/latest/meta-data/iam/security-credentials/"


def imds_token(box: AwsBox) -> dict[str, str]:
    answer = call(f"{box.platform_url}/latest/api/token", method="PUT", headers=TTL)
    assert answer.status == 200
    assert answer.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "60"
    return {"X-aws-ec2-metadata-token": answer.body.decode()}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", TTL, 405),
        ("PUT", {}, 400),
        ("PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "0"}, 400),
        ("PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "21601"}, 400),
        ("PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "soon"}, 400),
        ("PUT", {**TTL, "X-Forwarded-For": "10.0.0.1"}, 403),
    ],
)
def test_imds_sessions_that_are_refused(box: AwsBox, method: str, headers: dict[str, str], status: int) -> None:
    assert call(f"{box.platform_url}/latest/api/token", method=method, headers=headers).status == status


def test_imds_version_1_is_off_and_sessions_end(box: AwsBox) -> None:
    variables(box, "ec2")
    url = box.platform_url + ROLE_PATH
    assert call(url).status == 401
    assert call(url, headers={"X-aws-ec2-metadata-token": "made-up"}).status == 401
    session = imds_token(box)
    assert call(url, headers=session).body == b"app"
    box.clock.offset = 61.0
    assert call(url, headers=session).status == 401


def test_imds_documents(box: AwsBox) -> None:
    variables(box, "ec2")
    session = imds_token(box)
    document = call(f"{box.platform_url}{ROLE_PATH}app", headers=session).json()
    assert document["Code"] == "Success"
    credential = box.directory.find(document["AccessKeyId"])
    assert credential is not None
    assert (credential.secret_key, credential.session_token) == (document["SecretAccessKey"], document["Token"])
    assert call(f"{box.platform_url}{ROLE_PATH}other", headers=session).status == 404
    assert call(f"{box.platform_url}/latest/meta-data/placement/region", headers=session).body.decode() == REGION
    identity = call(f"{box.platform_url}/latest/dynamic/instance-identity/document", headers=session).json()
    assert (identity["region"], identity["accountId"]) == (REGION, box.directory.account)
    assert call(f"{box.platform_url}/latest/user-data", headers=session).status == 404


def test_an_instance_without_a_role(box: AwsBox) -> None:
    box.services.endpoints.imds.role = None
    assert call(box.platform_url + ROLE_PATH, headers=imds_token(box)).status == 404


# --- ECS ------------------------------------------------------------------------------------------


def test_ecs_demands_its_token_and_knows_its_tasks(box: AwsBox) -> None:
    environment = variables(box, "ecs")
    url = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    authorization = {"Authorization": environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]}
    document = call(url, headers=authorization).json()
    assert document["RoleArn"] == box.directory.role_arn("app")
    assert call(url).status == 401
    assert call(url, headers={"Authorization": "Bearer x"}).status == 401
    assert call(url[:-1], headers=authorization).status == 404
    assert call(url, method="POST", headers=authorization).status == 405


# --- identity tokens --------------------------------------------------------------------------------


def test_github_actions(box: AwsBox) -> None:
    environment = variables(box, "github_actions")
    url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
    authorization = {"Authorization": f"Bearer {environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    answer = call(f"{url}&audience=sts.amazonaws.com", headers=authorization)
    assert claims(box, answer.json()["value"])["aud"] == "sts.amazonaws.com"
    assert claims(box, call(url, headers=authorization).json()["value"])["aud"] == "https://github.com/acme"
    assert claims(box, call(f"{url}&audience=a%2Fb%20c", headers=authorization).json()["value"])["aud"] == "a/b c"
    assert call(url).status == 401
    assert call(url, headers={"Authorization": "Bearer wrong"}).status == 401
    assert call(url, method="POST", headers=authorization, body=b"{}").status == 405


def test_gcp(box: AwsBox) -> None:
    host = variables(box, "gcp")["GCE_METADATA_HOST"]
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/identity"
    flavor = {"Metadata-Flavor": "Google"}
    answer = call(f"{url}?audience=https://acme.example&format=full", headers=flavor)
    assert answer.headers["metadata-flavor"] == "Google"
    full = claims(box, answer.body.decode())
    assert full["aud"] == "https://acme.example"
    assert full["azp"] == full["sub"]
    assert full["google"]["compute_engine"]["project_id"] == "acme"
    assert "google" not in claims(box, call(f"{url}?audience=a", headers=flavor).body.decode())
    assert call(f"{url}?audience=a").status == 403
    assert call(f"{url}?audience=a", headers={**flavor, "X-Forwarded-For": "1.2.3.4"}).status == 403
    assert call(url, headers=flavor).status == 400
    assert call(url.replace("default", "other") + "?audience=a", headers=flavor).status == 404


def test_azure(box: AwsBox) -> None:
    host = variables(box, "azure")["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
    url = f"{host}/metadata/identity/oauth2/token?api-version=2018-02-01"
    document = call(f"{url}&resource=api://acme-aws", headers={"Metadata": "true"}).json()
    token = claims(box, document["access_token"])
    assert token["aud"] == "api://acme-aws" == document["resource"]
    assert int(document["expires_on"]) == token["exp"]
    assert call(f"{url}&resource=a").json()["error"] == "bad_request_102"
    assert call(url, headers={"Metadata": "true"}).json()["error"] == "invalid_resource"
    assert call(url.replace("2018", "1999") + "&resource=a", headers={"Metadata": "true"}).status == 400

    environment = variables(box, "azure_app_service")
    url = f"{environment['IDENTITY_ENDPOINT']}?api-version=2019-08-01&resource=a"
    answer = call(url, headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]})
    assert claims(box, answer.json()["access_token"])["aud"] == "a"
    assert call(url).status == 401


def test_fly(box: AwsBox) -> None:
    path = variables(box, "fly")["PGIAM_FLY_SOCKET"]

    async def ask(body: bytes, method: str = "POST", target: str = "/v1/tokens/oidc") -> Answer:
        reader, writer = await asyncio.open_unix_connection(path)
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        received = await asyncio.wait_for(reader.read(), WAIT)
        writer.close()
        await writer.wait_closed()
        return Answer(int(received.split()[1]), {}, received.partition(b"\r\n\r\n")[2])

    def run(*arguments: Any) -> Answer:
        return asyncio.run(ask(*arguments))

    assert claims(box, run(b'{"aud": "sts.amazonaws.com"}').body.decode())["aud"] == "sts.amazonaws.com"
    assert claims(box, run(b"").body.decode())["aud"] == "https://fly.io/acme"
    assert run(b"[]").status == 400
    assert run(b'{"aud": 7}').status == 400
    assert run(b"", "GET").status == 405
    assert run(b"", "POST", "/v1/apps").status == 404


def test_vercel(box: AwsBox) -> None:
    url = f"{box.platform_url}/v1/projects/prj_1/token?source=vercel-oidc-refresh&teamId=team_1"
    authorization = {"Authorization": f"Bearer {box.services.endpoints.vercel.token}"}
    token = claims(box, call(url, method="POST", headers=authorization).json()["token"])
    assert (token["project_id"], token["environment"]) == ("prj_1", "development")
    assert token["exp"] - token["iat"] == 12 * 3600
    assert call(url, method="POST").status == 403
    assert call(url, headers=authorization).status == 405
    assert call(f"{box.platform_url}/v1/projects/prj_1", method="POST", headers=authorization).status == 404


def test_buildkite_agent(box: AwsBox) -> None:
    environment = {**os.environ, **variables(box, "buildkite")}
    command = ["buildkite-agent", "oidc", "request-token"]

    def agent(*options: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options],
            env={**environment, **changes},
            executable=environment["PATH"].split(os.pathsep)[0] + "/buildkite-agent",
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )

    done = agent("--audience", "sts.amazonaws.com", "--lifetime", "600")
    assert done.returncode == 0, done.stderr
    token = claims(box, done.stdout.strip())
    assert (token["aud"], token["exp"] - token["iat"]) == ("sts.amazonaws.com", 600)
    assert claims(box, agent().stdout.strip())["aud"] == "https://buildkite.com/acme"
    refused = agent(BUILDKITE_AGENT_ACCESS_TOKEN="wrong")
    assert refused.returncode != 0
    assert "401" in refused.stderr
    assert agent("--lifetime", "99999").returncode != 0


@pytest.mark.parametrize(
    ("platform", "variable"),
    [
        ("vercel", "VERCEL_OIDC_TOKEN"),
        ("vercel_global", "VERCEL_OIDC_TOKEN"),
        ("gitlab", "GITLAB_OIDC_TOKEN"),
        ("circleci", "CIRCLE_OIDC_TOKEN_V2"),
        ("bitbucket", "BITBUCKET_STEP_OIDC_TOKEN"),
        ("terraform_cloud", "TFC_WORKLOAD_IDENTITY_TOKEN"),
    ],
)
def test_tokens_in_the_environment_are_exchanged(box: AwsBox, platform: str, variable: str) -> None:
    box.directory.add_role("app", trust=[box.services.trust(platform)])
    environment = variables(box, platform)
    assert environment["AWS_ROLE_ARN"] == box.directory.role_arn("app")
    assert box.exchange(environment[variable])["Credentials"]


@pytest.mark.parametrize(
    ("platform", "variable"), [("vercel_file", "VERCEL_OIDC_TOKEN_FILE"), ("aks", "AZURE_FEDERATED_TOKEN_FILE")]
)
def test_tokens_in_files_are_exchanged(box: AwsBox, platform: str, variable: str) -> None:
    box.directory.add_role("app", trust=[box.services.trust(platform.removesuffix("_file"))])
    with open(variables(box, platform)[variable]) as file:
        assert box.exchange(file.read())["Credentials"]


def test_every_platform_has_an_environment(box: AwsBox) -> None:
    platforms = box.control("platforms")["platforms"]
    assert len(platforms) == len(set(platforms)) >= 20
    for platform in platforms:
        environment = variables(box, platform)
        disabled = "false" if platform == "ec2" else "true"
        assert environment.items() >= {**box.common, "AWS_EC2_METADATA_DISABLED": disabled}.items()
        assert "" not in environment.values()


def test_issuers_publish_and_others_do_not_exist(box: AwsBox) -> None:
    for platform in ("vercel", "azure", "eks"):
        issuer = box.services.issuer.shape(platform).issuer
        document = call(box.services.issuer.discovery_url(issuer)).json()
        keys = call(document["jwks_uri"]).json()["keys"]
        assert keys == box.services.issuer.jwks(issuer)["keys"]
        assert not any("d" in key for key in keys)
    assert call(f"{box.platform_url}/oidc/unknown.example/.well-known/jwks").status == 404
    assert call(f"{box.platform_url}/oidc/", method="GET").status == 404
    assert call(f"{box.platform_url}/").status == 404


PATHS = [
    "/latest/api/token",
    "/latest/meta-data/iam/security-credentials/app",
    "/v2/credentials/x",
    "/v1/credentials",
    GithubActions.PATH,
    f"{Gcp.PREFIX}default/identity",
    Azure.PATH,
    Azure.APP_SERVICE_PATH,
    f"{Vercel.PREFIX}p/token",
    f"{Buildkite.PREFIX}{Buildkite.JOB}/oidc/tokens",
    Fly.PATH,
    "/oidc/x/.well-known/jwks",
    "/",
]
NAMES = ["authorization", "metadata", "metadata-flavor", "x-aws-ec2-metadata-token-ttl-seconds"]


@settings(max_examples=80, deadline=None)
@given(
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD"]),
    headers=st.dictionaries(st.sampled_from(NAMES), st.text("abc =/.%123", max_size=20), max_size=3),
    body=st.one_of(st.binary(max_size=60), st.just(json.dumps({"aud": None}).encode()), st.just(b"[" * 5000)),
)
def test_noise_gets_an_answer_below_500(
    shared: AwsBox, path: str, method: str, headers: dict[str, str], body: bytes
) -> None:
    with contextlib.suppress(ConnectionError):
        assert call(shared.platform_url + path, method=method, headers=headers, body=body).status < 500
    assert call(shared.sts_url + "/", method=method, headers=headers, body=body).status < 500


def test_the_token_of_one_issuer_proves_nothing_for_another(box: AwsBox) -> None:
    box.directory.add_role("app", trust=[TrustRule(issuer="https://gitlab.com"), box.services.trust("vercel")])
    header, _, signature = box.token("vercel").split(".")
    payload = box.token("gitlab").split(".")[1]
    with pytest.raises(Exception, match="InvalidIdentityToken"):
        verify(f"{header}.{payload}.{signature}", box.services.sts.providers, box.clock.now())
