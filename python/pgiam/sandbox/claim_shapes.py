"""What the identity tokens of each platform look like: issuer, audience, subject, lifetime, claims. Pure data.

Names and forms follow each platform's own documentation; the values belong to an invented company, acme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

STS_AUDIENCE: Final = "sts.amazonaws.com"
COMMIT: Final = "5b0a5f0f4b0f4c5d8e9f6a7b8c9d0e1f2a3b4c5d"


@dataclass(frozen=True)
class Shape:
    """The default identity token of a platform."""

    issuer: str
    audience: str
    subject: str
    lifetime: int
    claims: Mapping[str, Any] = field(default_factory=dict)
    audience_list: bool = False  # `aud` is an array, as Kubernetes writes it
    authorized_party: str | None = None  # `azp`: what IAM compares instead of `aud` when it is there
    not_before: bool = True

    def payload(self, now: int, **overrides: Any) -> dict[str, Any]:
        """The claims of a token issued at `now`. An override of None removes a claim."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": [self.audience] if self.audience_list else self.audience,
            "sub": self.subject,
            "iat": now,
            **({"nbf": now} if self.not_before else {}),
            "exp": now + self.lifetime,
            **({"azp": self.authorized_party} if self.authorized_party else {}),
            **self.claims,
            **overrides,
        }
        return {name: value for name, value in claims.items() if value is not None}

    @property
    def trusted_audience(self) -> str:
        """What the `:aud` condition of a trust policy must name."""
        return self.authorized_party or self.audience


def _vercel(issuer: str) -> Shape:
    subject = "owner:acme:project:shop:environment:production"
    return Shape(
        issuer,
        "https://vercel.com/acme",
        subject,
        3600,
        {
            "scope": subject,
            "owner": "acme",
            "owner_id": "team_7Gw5ZMzpQA8h90F832KGp7nwbuh3",
            "project": "shop",
            "project_id": "prj_7Gw5ZMBpQA8h9GF832KGp7nwbuh3",
            "environment": "production",
        },
    )


def _kubernetes(issuer: str, audience: str, lifetime: int = 86400) -> Shape:
    return Shape(
        issuer,
        audience,
        "system:serviceaccount:default:shop",
        lifetime,
        {
            "kubernetes.io": {
                "namespace": "default",
                "node": {"name": "node-1", "uid": "0a1b2c3d-0000-4000-8000-000000000001"},
                "pod": {"name": "shop-5d8f7c6b9-abcde", "uid": "0a1b2c3d-0000-4000-8000-000000000002"},
                "serviceaccount": {"name": "shop", "uid": "0a1b2c3d-0000-4000-8000-000000000003"},
            }
        },
        audience_list=True,
    )


_GITHUB = Shape(
    "https://token.actions.githubusercontent.com",
    STS_AUDIENCE,
    "repo:acme/shop:ref:refs/heads/main",
    300,
    {
        "actor": "octocat",
        "actor_id": "583231",
        "base_ref": "",
        "event_name": "push",
        "head_ref": "",
        "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_sha": COMMIT,
        "ref": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "repository": "acme/shop",
        "repository_id": "1296269",
        "repository_owner": "acme",
        "repository_owner_id": "9919",
        "repository_visibility": "private",
        "run_attempt": "1",
        "run_id": "8912345678",
        "run_number": "42",
        "runner_environment": "github-hosted",
        "sha": COMMIT,
        "workflow": "deploy",
        "workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "workflow_sha": COMMIT,
    },
)

_GITLAB = Shape(
    "https://gitlab.com",
    STS_AUDIENCE,
    "project_path:acme/shop:ref_type:branch:ref:main",
    3600,
    {
        "namespace_id": "72",
        "namespace_path": "acme",
        "project_id": "20",
        "project_path": "acme/shop",
        "user_id": "1",
        "user_login": "sample-user",
        "user_email": "sample-user@example.com",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "runner_id": 1,
        "runner_environment": "gitlab-hosted",
        "sha": COMMIT,
        "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": COMMIT,
    },
)

_SERVICE_ACCOUNT = "112010400000000710080"
_GCP = Shape(
    "https://accounts.google.com",
    STS_AUDIENCE,
    _SERVICE_ACCOUNT,
    3600,
    {
        "email": "shop@acme.iam.gserviceaccount.com",
        "email_verified": True,
        "google": {
            "compute_engine": {
                "instance_creation_timestamp": 1700000000,
                "instance_id": "152986662232938449",
                "instance_name": "shop-1",
                "project_id": "acme",
                "project_number": 739419398126,
                "zone": "us-central1-a",
            }
        },
    },
    authorized_party=_SERVICE_ACCOUNT,
    not_before=False,
)

_FLY = Shape(
    "https://oidc.fly.io/acme",
    STS_AUDIENCE,
    "acme:shop:weathered-sun-42",
    600,
    {
        "app_id": "3671581",
        "app_name": "shop",
        "image": "shop:deployment-01",
        "image_digest": "sha256:" + "0" * 64,
        "machine_id": "3d8d377ce9e398",
        "machine_name": "weathered-sun-42",
        "machine_version": "01HZXXAXQ4TRVE9PEA5JTGPDBV",
        "org_id": "29873298",
        "org_name": "acme",
        "region": "yyz",
    },
)

_CIRCLE_ORGANIZATION = "6b2a1c3d-0000-4000-8000-000000000000"
_CIRCLE_PROJECT = "6b2a1c3d-0000-4000-8000-000000000001"
_CIRCLECI = Shape(
    f"https://oidc.circleci.com/org/{_CIRCLE_ORGANIZATION}",
    _CIRCLE_ORGANIZATION,
    f"org/{_CIRCLE_ORGANIZATION}/project/{_CIRCLE_PROJECT}/user/6b2a1c3d-0000-4000-8000-000000000002",
    3600,
    {
        "oidc.circleci.com/project-id": _CIRCLE_PROJECT,
        "oidc.circleci.com/context-ids": ["6b2a1c3d-0000-4000-8000-000000000003"],
        "oidc.circleci.com/job-id": "6b2a1c3d-0000-4000-8000-000000000004",
        "oidc.circleci.com/pipeline-id": "6b2a1c3d-0000-4000-8000-000000000005",
        "oidc.circleci.com/workflow-id": "6b2a1c3d-0000-4000-8000-000000000006",
        "oidc.circleci.com/vcs-origin": "github.com/acme/shop",
        "oidc.circleci.com/vcs-ref": "refs/heads/main",
        "oidc.circleci.com/ssh-rerun": False,
    },
    not_before=False,
)

_BITBUCKET_REPOSITORY = "{7c3b2a1d-0000-4000-8000-000000000001}"
_BITBUCKET_STEP = "{7c3b2a1d-0000-4000-8000-000000000002}"
_BITBUCKET_WORKSPACE = "7c3b2a1d-0000-4000-8000-000000000003"
_BITBUCKET = Shape(
    "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
    f"ari:cloud:bitbucket::workspace/{_BITBUCKET_WORKSPACE}",
    f"{_BITBUCKET_REPOSITORY}:{_BITBUCKET_STEP}",
    3600,
    {
        "branchName": "main",
        "pipelineUuid": "{7c3b2a1d-0000-4000-8000-000000000004}",
        "pipelineRunUuid": "{7c3b2a1d-0000-4000-8000-000000000005}",
        "repositoryUuid": _BITBUCKET_REPOSITORY,
        "stepUuid": _BITBUCKET_STEP,
        "workspaceUuid": "{" + _BITBUCKET_WORKSPACE + "}",
    },
    not_before=False,
)

_BUILDKITE = Shape(
    "https://agent.buildkite.com",
    STS_AUDIENCE,
    f"organization:acme:pipeline:shop:ref:refs/heads/main:commit:{COMMIT}:step:deploy",
    300,
    {
        "organization_slug": "acme",
        "organization_id": "8d4c3b2a-0000-4000-8000-000000000001",
        "pipeline_slug": "shop",
        "pipeline_id": "8d4c3b2a-0000-4000-8000-000000000002",
        "build_number": 42,
        "build_branch": "main",
        "build_tag": None,
        "build_commit": COMMIT,
        "build_source": "webhook",
        "step_key": "deploy",
        "job_id": "8d4c3b2a-0000-4000-8000-000000000003",
        "agent_id": "8d4c3b2a-0000-4000-8000-000000000004",
        "runner_environment": "buildkite-hosted",
    },
)

_TERRAFORM = Shape(
    "https://app.terraform.io",
    "aws.workload.identity",
    "organization:acme:project:Default Project:workspace:shop:run_phase:apply",
    7200,
    {
        "terraform_organization_id": "org-GRNbCjYNpBB6NEH9",
        "terraform_organization_name": "acme",
        "terraform_project_id": "prj-vegSA59s1XPwMr2t",
        "terraform_project_name": "Default Project",
        "terraform_workspace_id": "ws-mbsd5E3Ktt5Rg2Xm",
        "terraform_workspace_name": "shop",
        "terraform_full_workspace": "organization:acme:project:Default Project:workspace:shop",
        "terraform_run_id": "run-X3n1AUXNGWbfECsJ",
        "terraform_run_phase": "apply",
    },
)

_TENANT = "9e5d4c3b-0000-4000-8000-000000000001"
_MANAGED_IDENTITY = "9e5d4c3b-0000-4000-8000-000000000002"
_AZURE = Shape(
    f"https://sts.windows.net/{_TENANT}/",
    "api://acme-aws",
    _MANAGED_IDENTITY,
    86400,
    {
        "appid": "9e5d4c3b-0000-4000-8000-000000000003",
        "appidacr": "2",
        "idp": f"https://sts.windows.net/{_TENANT}/",
        "idtyp": "app",
        "oid": _MANAGED_IDENTITY,
        "tid": _TENANT,
        "ver": "1.0",
    },
)

SHAPES: Final[Mapping[str, Shape]] = {
    "vercel": _vercel("https://oidc.vercel.com/acme"),
    "vercel_global": _vercel("https://oidc.vercel.com"),
    "github_actions": _GITHUB,
    "eks": _kubernetes("https://oidc.eks.us-east-1.amazonaws.com/id/5B0A5F0F4B0F4C5D8E9F6A7B8C9D0E1F", STS_AUDIENCE),
    # The same cluster speaks to the Pod Identity agent under another audience.
    "eks_pod_identity": _kubernetes(
        "https://oidc.eks.us-east-1.amazonaws.com/id/5B0A5F0F4B0F4C5D8E9F6A7B8C9D0E1F", "pods.eks.amazonaws.com"
    ),
    "gitlab": _GITLAB,
    "gcp": _GCP,
    "fly": _FLY,
    "circleci": _CIRCLECI,
    "bitbucket": _BITBUCKET,
    "buildkite": _BUILDKITE,
    "terraform_cloud": _TERRAFORM,
    "azure": _AZURE,
    "aks": _kubernetes(
        f"https://eastus.oic.prod-aks.azure.com/{_TENANT}/9e5d4c3b-0000-4000-8000-000000000004/",
        "api://AzureADTokenExchange",
        3600,
    ),
}
