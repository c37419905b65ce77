"""What each platform puts into a workload's environment, pointing at the sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from pgiam.sandbox.claim_shapes import SHAPES
from pgiam.sandbox.container_credentials import FULL_PREFIX, POD_IDENTITY_PATH, RELATIVE_PREFIX
from pgiam.sandbox.iam import Directory
from pgiam.sandbox.identity_endpoints import Azure, Buildkite, GithubActions
from pgiam.sandbox.oidc_issuer import OidcIssuer, UnknownPlatformError
from pgiam.sandbox.platform_endpoints import PlatformEndpoints
from pgiam.sandbox.projected_files import ProjectedFiles
from pgiam.sandbox.sts import Sts

Environment = dict[str, str]

# Buildkite's tokens come from its agent's command; this one asks the sandbox for them.
_BUILDKITE_AGENT: Final = '''#!{python} -I
"""`buildkite-agent oidc request-token [--audience A] [--lifetime N]`, against the sandbox's agent API."""
import argparse, json, os, sys, urllib.error, urllib.request

parser = argparse.ArgumentParser(prog="buildkite-agent")
parser.add_argument("noun", choices=["oidc"])
parser.add_argument("verb", choices=["request-token"])
parser.add_argument("--audience")
parser.add_argument("--lifetime", type=int)
options = parser.parse_args()
body = {{"audience": options.audience, "lifetime": options.lifetime}}
request = urllib.request.Request(
    os.environ["BUILDKITE_AGENT_ENDPOINT"] + "/jobs/" + os.environ["BUILDKITE_JOB_ID"] + "/oidc/tokens",
    json.dumps({{name: value for name, value in body.items() if value}}).encode(),
    {{"Authorization": "Token " + os.environ["BUILDKITE_AGENT_ACCESS_TOKEN"]}},
)
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request, timeout=30) as response:
        print(json.load(response)["token"])
except urllib.error.URLError as error:
    sys.exit(f"fatal: failed to request an OIDC token: {{error}}")
'''


class PlatformEnvironment:
    """Makes the environment of a platform; what it needs (a file, an association) comes into being with it."""

    def __init__(
        self,
        directory: Directory,
        sts: Sts,
        issuer: OidcIssuer,
        endpoints: PlatformEndpoints,
        files: ProjectedFiles,
    ) -> None:
        self._directory = directory
        self._sts = sts
        self._issuer = issuer
        self._endpoints = endpoints
        self._files = files
        self.platform_url = ""
        self.fly_socket = ""
        self._platforms: dict[str, Callable[[str, float | None], Environment]] = {
            "session": self._session,
            "lambda": self._lambda,
            "ec2": self._ec2,
            "ecs": self._ecs,
            "ecs_file": self._ecs_file,
            "ecs_relative": self._ecs_relative,
            "eks": self._eks,
            "eks_pod_identity": self._eks_pod_identity,
            "vercel": self._vercel,
            "vercel_global": self._vercel_global,
            "vercel_file": self._vercel_file,
            "github_actions": self._github_actions,
            "gitlab": self._gitlab,
            "circleci": self._circleci,
            "bitbucket": self._bitbucket,
            "buildkite": self._buildkite,
            "terraform_cloud": self._terraform_cloud,
            "fly": self._fly,
            "fly_file": self._fly_file,
            "gcp": self._gcp,
            "azure": self._azure,
            "azure_app_service": self._azure_app_service,
            "aks": self._aks,
        }

    @property
    def platforms(self) -> list[str]:
        return list(self._platforms)

    def of(self, platform: str, role: str, lifetime: float | None = None) -> Environment:
        """Variables of a workload there that runs as `role`. `lifetime` is that of its identity tokens."""
        if platform not in self._platforms:
            raise UnknownPlatformError(f"no platform {platform!r}; there are {', '.join(self._platforms)}")
        if self._directory.role(role) is None:
            raise LookupError(f"no role {role!r}")
        return self._platforms[platform](role, lifetime)

    def _arn(self, role: str) -> Environment:
        return {"AWS_ROLE_ARN": self._directory.role_arn(role)}

    def _session(self, role: str, lifetime: float | None) -> Environment:
        credential = self._sts.issue(role, "sandbox", 3600 if lifetime is None else lifetime)
        return {
            "AWS_ACCESS_KEY_ID": credential.access_key,
            "AWS_SECRET_ACCESS_KEY": credential.secret_key,
            "AWS_SESSION_TOKEN": credential.session_token or "",
        }

    def _lambda(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._session(role, lifetime),
            "AWS_LAMBDA_FUNCTION_NAME": "shop",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
        }

    def _ec2(self, role: str, _: float | None) -> Environment:
        self._endpoints.imds.role = role
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.platform_url, "AWS_EC2_METADATA_DISABLED": "false"}

    def _ecs(self, role: str, _: float | None) -> Environment:
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.platform_url}{FULL_PREFIX}{self._endpoints.ecs.place(role)}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._endpoints.ecs.authorization,
        }

    def _ecs_relative(self, role: str, _: float | None) -> Environment:
        # Clients look for this at 169.254.170.2; it takes a route, or a client that can be told, to get them here.
        return {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": f"{RELATIVE_PREFIX}{self._endpoints.ecs.place(role)}"}

    def _ecs_file(self, role: str, lifetime: float | None) -> Environment:
        variables = self._ecs(role, lifetime)
        path = self._files.store("ecs/authorization", variables.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
        return {**variables, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path)}

    def _eks(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            "AWS_WEB_IDENTITY_TOKEN_FILE": self._file("eks", "eks.amazonaws.com/serviceaccount/token", lifetime),
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "KUBERNETES_SERVICE_HOST": "10.100.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }

    def _eks_pod_identity(self, role: str, lifetime: float | None) -> Environment:
        self._endpoints.pod_identity.associate(role)
        name = "pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.platform_url}{POD_IDENTITY_PATH}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": self._file("eks_pod_identity", name, lifetime),
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "KUBERNETES_SERVICE_HOST": "10.100.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }

    def _vercel(self, role: str, lifetime: float | None) -> Environment:
        return {**self._arn(role), **self._on_vercel(), "VERCEL_OIDC_TOKEN": self._mint("vercel", lifetime)}

    def _vercel_global(self, role: str, lifetime: float | None) -> Environment:
        return {**self._arn(role), **self._on_vercel(), "VERCEL_OIDC_TOKEN": self._mint("vercel_global", lifetime)}

    def _vercel_file(self, role: str, lifetime: float | None) -> Environment:
        path = self._file("vercel", "vercel/oidc-token", lifetime)
        return {**self._arn(role), **self._on_vercel(), "VERCEL_OIDC_TOKEN_FILE": path}

    def _on_vercel(self) -> Environment:
        return {
            "VERCEL": "1",
            "VERCEL_ENV": "production",
            "VERCEL_TARGET_ENV": "production",
            "VERCEL_REGION": "iad1",
            "VERCEL_PROJECT_ID": str(SHAPES["vercel"].claims["project_id"]),
        }

    def _github_actions(self, role: str, _: float | None) -> Environment:
        return {
            **self._arn(role),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_RUN_ID": "8912345678",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.platform_url}{GithubActions.PATH}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self._endpoints.github_actions.token,
        }

    def _gitlab(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_PROJECT_PATH": "acme/shop",
            "CI_JOB_ID": "302",
            "GITLAB_OIDC_TOKEN": self._mint("gitlab", lifetime),
        }

    def _circleci(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            "CI": "true",
            "CIRCLECI": "true",
            "CIRCLE_PROJECT_REPONAME": "shop",
            "CIRCLE_BUILD_NUM": "42",
            "CIRCLE_OIDC_TOKEN": self._mint("circleci", lifetime),
            "CIRCLE_OIDC_TOKEN_V2": self._mint("circleci", lifetime),
        }

    def _bitbucket(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            "CI": "true",
            "BITBUCKET_BUILD_NUMBER": "42",
            "BITBUCKET_REPO_FULL_NAME": "acme/shop",
            "BITBUCKET_STEP_OIDC_TOKEN": self._mint("bitbucket", lifetime),
        }

    def _buildkite(self, role: str, _: float | None) -> Environment:
        agent = self._files.store("bin/buildkite-agent", _BUILDKITE_AGENT.format(python=sys.executable), mode=0o700)
        return {
            **self._arn(role),
            "CI": "true",
            "BUILDKITE": "true",
            "BUILDKITE_PIPELINE_SLUG": "shop",
            "BUILDKITE_JOB_ID": Buildkite.JOB,
            "BUILDKITE_AGENT_ENDPOINT": f"{self.platform_url}/buildkite",
            "BUILDKITE_AGENT_ACCESS_TOKEN": self._endpoints.buildkite.token,
            "PATH": os.pathsep.join((str(agent.parent), os.environ.get("PATH", os.defpath))),
        }

    def _terraform_cloud(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            "TFC_RUN_ID": "run-X3n1AUXNGWbfECsJ",
            "TFC_WORKSPACE_NAME": "shop",
            "TFC_WORKLOAD_IDENTITY_TOKEN": self._mint("terraform_cloud", lifetime),
        }

    def _fly(self, role: str, _: float | None) -> Environment:
        # Fly's socket is always /.fly/api; a client that is to find this one has to be told.
        return {**self._arn(role), **self._on_fly(), "PGIAM_FLY_SOCKET": self.fly_socket}

    def _fly_file(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            **self._on_fly(),
            "AWS_WEB_IDENTITY_TOKEN_FILE": self._file("fly", "fly/oidc_token", lifetime),
            "AWS_ROLE_SESSION_NAME": "shop-3d8d377ce9e398",
        }

    def _on_fly(self) -> Environment:
        return {"FLY_APP_NAME": "shop", "FLY_MACHINE_ID": "3d8d377ce9e398", "FLY_REGION": "yyz"}

    def _gcp(self, role: str, _: float | None) -> Environment:
        authority = self.platform_url.partition("://")[2]
        return {**self._arn(role), "GCE_METADATA_HOST": authority, "GCE_METADATA_IP": authority}

    def _azure(self, role: str, _: float | None) -> Environment:
        return {**self._arn(role), "AZURE_POD_IDENTITY_AUTHORITY_HOST": self.platform_url}

    def _azure_app_service(self, role: str, _: float | None) -> Environment:
        return {
            **self._arn(role),
            "IDENTITY_ENDPOINT": f"{self.platform_url}{Azure.APP_SERVICE_PATH}",
            "IDENTITY_HEADER": self._endpoints.azure.header,
        }

    def _aks(self, role: str, lifetime: float | None) -> Environment:
        return {
            **self._arn(role),
            "AZURE_FEDERATED_TOKEN_FILE": self._file("aks", "azure/tokens/azure-identity-token", lifetime),
            "AZURE_CLIENT_ID": str(SHAPES["azure"].claims["appid"]),
            "AZURE_TENANT_ID": str(SHAPES["azure"].claims["tid"]),
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        }

    def _mint(self, platform: str, lifetime: float | None) -> str:
        return self._issuer.mint(platform, lifetime=lifetime)

    def _file(self, platform: str, name: str, lifetime: float | None) -> str:
        return str(self._files.project(name, lambda: self._mint(platform, lifetime)))
