"""STS over HTTP: reads the request, has it decided by the pure parts, issues credentials and renders the answer."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pgiam.sandbox import session_policy, sts_identity, sts_protocol, sts_trust
from pgiam.sandbox.aws_faults import WIRE_KINDS, AwsFaults
from pgiam.sandbox.aws_stats import AwsStats
from pgiam.sandbox.clock import Clock
from pgiam.sandbox.http import BadRequestError, Delivery, Request, Response, parse_form
from pgiam.sandbox.iam import Credential, Directory, Role
from pgiam.sandbox.sts_auth import authenticate
from pgiam.sandbox.sts_protocol import Node, Parameters, StsError

log = logging.getLogger("pgiam.sandbox.aws")

WEB_IDENTITY: Final = "AssumeRoleWithWebIdentity"
ASSUME_ROLE: Final = "AssumeRole"
CALLER_IDENTITY: Final = "GetCallerIdentity"
OPERATIONS: Final = (WEB_IDENTITY, ASSUME_ROLE, CALLER_IDENTITY)
REMEMBERED_SESSIONS: Final = 10_000
_REGION_PATH = re.compile(r"/sts/([a-z]{2,6}(?:-[a-z]+)+-\d)/?")
_REGION_HOST = re.compile(r"sts(?:-fips)?\.([a-z]{2,6}(?:-[a-z]+)+-\d)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)(?::\d+)?")


@dataclass(frozen=True)
class Session:
    """What a role was assumed with. Holds nothing secret."""

    access_key: str
    operation: str
    role: str
    session_name: str
    expires_at: float
    region: str
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tags: tuple[str, ...] = ()
    source_identity: str | None = None
    policies: int = 0
    subject: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Sts:
    """Three operations for one account; any number of regions."""

    def __init__(self, directory: Directory, clock: Clock, faults: AwsFaults, stats: AwsStats, region: str) -> None:
        self.region = region
        self.providers: list[sts_identity.Provider] = []
        self.managed_policies: dict[str, session_policy.Policy] = {}
        self.disabled_regions: set[str] = set()
        # Real sessions last 15 minutes at least. Set, this many seconds replace what was asked for.
        self.session_lifetime: float | None = None
        self._directory = directory
        self._clock = clock
        self._faults = faults
        self._stats = stats
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    def lifetime(self, duration: float) -> float:
        return duration if self.session_lifetime is None else self.session_lifetime

    def issue(self, role: str, session_name: str, duration: float, *, token_size: int | None = None) -> Credential:
        """Credentials of a role that begin now. Whole seconds, as the answers can say no less; unless compressed."""
        now = self._clock.now() if self.session_lifetime is not None else int(self._clock.now())
        return self._directory.issue(role, session_name, self.lifetime(duration), now, session_token_size=token_size)

    async def handle(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
        operation = "unknown"
        parameters: Parameters = {}
        try:
            parameters = read_parameters(request)
            operation = action_of(parameters)
            refused: StsError | None = None
        except StsError as error:
            refused = error
        with self._stats.call("sts", operation) as call:
            try:
                trouble = self._faults.take("sts", operation)
                if trouble.delay:
                    await asyncio.sleep(trouble.delay)
                if trouble.kind in WIRE_KINDS:
                    call.failed(trouble.kind)
                    return Response(200, b"<broken/>" * 20, headers, Delivery(trouble.kind))
                if trouble.kind is not None:
                    raise ordered_failure(trouble.kind, operation)
                if refused is not None:
                    raise refused
                region = region_of(request, self.region)
                result = await self._perform(operation, parameters, request, region)
            except StsError as error:
                call.failed(error.code)
                log.info("sts %s refused: %s", operation, error.code)
                return Response(error.status, sts_protocol.failure(error, request_id), headers)
        log.debug("sts %s granted", operation)
        return Response(200, sts_protocol.success(operation, result, request_id), headers)

    async def _perform(
        self, operation: str, parameters: Parameters, request: Request, region: str
    ) -> Mapping[str, Node]:
        if region in self.disabled_regions:
            text = (
                f"STS is not activated in this region for account:{self._directory.account}. Your account "
                "administrator can activate STS in this region using the IAM Console."
            )
            raise StsError("RegionDisabledException", text, 403)
        if operation == WEB_IDENTITY:
            return await self._assume_role_with_web_identity(parameters, region)
        caller = authenticate(request, self._directory, region, self._clock.now())
        if operation == ASSUME_ROLE:
            return self._assume_role(parameters, caller, region)
        return {"UserId": caller.user_id, "Account": self._directory.account, "Arn": caller.principal}

    async def _assume_role_with_web_identity(self, parameters: Parameters, region: str) -> Mapping[str, Node]:
        given = sts_protocol.validate(
            parameters,
            sts_protocol.ROLE_ARN,
            sts_protocol.SESSION_NAME,
            sts_protocol.WEB_IDENTITY_TOKEN,
            sts_protocol.PROVIDER_ID,
            sts_protocol.POLICY,
        )
        duration = sts_protocol.validate_integer(parameters, "DurationSeconds", 900, 43200, 3600)
        if "ProviderId" in given:
            raise StsError("InvalidParameterValue", "ProviderId is for OAuth 2.0 tokens, not for OpenID Connect ones")
        narrowing = self._narrowing(parameters)
        role = sts_trust.role_named(given["RoleArn"], self._directory)
        await self._reach_identity_provider()
        identity = sts_identity.verify(given["WebIdentityToken"], self.providers, self._clock.now())
        grant = sts_trust.decide_web_identity(role, identity, duration)
        packed = packed_size(parameters, identity.tags)
        credential = self._open(parameters, grant.role, given["RoleSessionName"], grant.duration, narrowing)
        self._remember(
            credential,
            WEB_IDENTITY,
            region,
            tags=identity.tags,
            transitive_tags=identity.transitive_tags,
            source_identity=identity.source_identity,
            policies=len(narrowing),
            subject=identity.subject,
        )
        return {
            "SubjectFromWebIdentityToken": identity.subject,
            "Audience": identity.audience,
            "AssumedRoleUser": assumed_role_user(credential),
            "Credentials": rendered(credential),
            "Provider": identity.provider,
            **packed,
            **({"SourceIdentity": identity.source_identity} if identity.source_identity else {}),
        }

    def _assume_role(self, parameters: Parameters, caller: Credential, region: str) -> Mapping[str, Node]:
        given = sts_protocol.validate(
            parameters,
            sts_protocol.ROLE_ARN,
            sts_protocol.SESSION_NAME,
            sts_protocol.POLICY,
            sts_protocol.EXTERNAL_ID,
            sts_protocol.SOURCE_IDENTITY,
        )
        duration = sts_protocol.validate_integer(parameters, "DurationSeconds", 900, 43200, 3600)
        narrowing = self._narrowing(parameters)
        tags, transitive = session_tags(parameters)
        arn = given["RoleArn"]
        role = sts_trust.role_named(arn, self._directory)
        grant = sts_trust.decide_assume_role(role, arn, caller, self._directory, given.get("ExternalId"), duration)
        before = self._sessions.get(caller.access_key)
        source_identity = given.get("SourceIdentity")
        if before is not None and before.source_identity is not None:
            # A source identity stays for the whole chain and cannot be changed in it.
            if source_identity not in (None, before.source_identity):
                raise sts_trust.not_authorized(caller, "sts:SetSourceIdentity", arn)
            source_identity = before.source_identity
        if before is not None:
            tags = {**tags, **{key: before.tags[key] for key in before.transitive_tags if key in before.tags}}
            transitive = tuple(dict.fromkeys((*before.transitive_tags, *transitive)))
        packed = packed_size(parameters, tags)
        credential = self._open(parameters, grant.role, given["RoleSessionName"], grant.duration, narrowing)
        self._remember(
            credential,
            ASSUME_ROLE,
            region,
            tags=tags,
            transitive_tags=transitive,
            source_identity=source_identity,
            policies=len(narrowing),
        )
        return {
            "AssumedRoleUser": assumed_role_user(credential),
            "Credentials": rendered(credential),
            **packed,
            **({"SourceIdentity": source_identity} if source_identity else {}),
        }

    async def _reach_identity_provider(self) -> None:
        """STS fetches the provider's keys; when that fails is what a fault on `oidc` decides."""
        trouble = self._faults.take("oidc", "jwks")
        if trouble.delay:
            await asyncio.sleep(trouble.delay)
        if trouble.kind == "not_found":
            raise StsError("InvalidIdentityToken", sts_identity.NO_KEY)
        if trouble.kind is not None:
            raise ordered_failure("idp_communication_error", WEB_IDENTITY)

    def _narrowing(self, parameters: Parameters) -> list[session_policy.Policy]:
        arns = [entry.get("arn", "") for entry in sts_protocol.members(parameters, "PolicyArns")]
        if len(arns) > 10:
            reason = "Member must have length less than or equal to 10"
            sts_protocol.raise_problems([f"Value at 'policyArns' failed to satisfy constraint: {reason}"])
        policies = [session_policy.parse(parameters["Policy"])] if "Policy" in parameters else []
        for arn in arns:
            if arn not in self.managed_policies:
                raise StsError("MalformedPolicyDocument", f"The sandbox knows no managed policy {arn}")
            policies.append(self.managed_policies[arn])
        return policies

    def _open(
        self,
        parameters: Parameters,
        role: Role,
        session_name: str,
        duration: int,
        narrowing: list[session_policy.Policy],
    ) -> Credential:
        size = sts_protocol.validate_integer(parameters, "MinimumSessionTokenSize", 0, 4096, 0) or None
        credential = self.issue(role.name, session_name, duration, token_size=size)
        if narrowing:
            policies = tuple(narrowing)
            self._directory.restrict(
                credential.access_key,
                lambda action, db_user: session_policy.allows(policies, action, db_user),
            )
        return credential

    def _remember(self, credential: Credential, operation: str, region: str, **details: Any) -> None:
        session = Session(
            credential.access_key,
            operation,
            credential.role or "",
            credential.session_name or "",
            credential.expires_at or 0.0,
            region,
            **details,
        )
        self._sessions[session.access_key] = session
        while len(self._sessions) > REMEMBERED_SESSIONS:
            self._sessions.popitem(last=False)


def read_parameters(request: Request) -> Parameters:
    """From the form body of a POST, or the query string of a GET."""
    if request.method == "GET":
        return request.query
    if request.method != "POST":
        raise StsError("InvalidAction", "STS answers GET and POST", 405)
    try:
        return parse_form(request.body.decode())
    except (UnicodeDecodeError, BadRequestError):
        raise StsError("MalformedInput", "The request body is not a form") from None


def action_of(parameters: Parameters) -> str:
    action = parameters.get("Action")
    if action is None:
        raise StsError("MissingAction", "The request is missing an action or a required parameter.")
    version = parameters.get("Version", "NO_VERSION_SPECIFIED")
    if action not in OPERATIONS or version != sts_protocol.VERSION:
        raise StsError("InvalidAction", f"Could not find operation {action} for version {version}")
    return action


def region_of(request: Request, default: str) -> str:
    """The region that a request addresses: by path (`/sts/REGION/`), by host, or the sandbox's own."""
    host = request.headers.get("host", "").lower()
    if match := _REGION_PATH.fullmatch(request.path):
        return match[1]
    if request.path != "/":
        raise StsError("InvalidAction", f"There is no endpoint at {request.path}", 404)
    if match := _REGION_HOST.fullmatch(host):
        return match[1]
    return "us-east-1" if host == "sts.amazonaws.com" else default


def session_tags(parameters: Parameters) -> tuple[dict[str, str], tuple[str, ...]]:
    entries = sts_protocol.members(parameters, "Tags")
    if len(entries) > 50:
        sts_protocol.raise_problems(
            ["Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"]
        )
    tags: dict[str, str] = {}
    seen: set[str] = set()
    for entry in entries:
        key, value = entry.get("Key", ""), entry.get("Value", "")
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise StsError("ValidationError", "A tag key has 1 to 128 characters and its value 256 at most")
        if key.lower() in seen:
            raise StsError(
                "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        seen.add(key.lower())
        tags[key] = value
    transitive = tuple(entry.get("", "") for entry in sts_protocol.members(parameters, "TransitiveTagKeys"))
    if any(key not in tags for key in transitive):
        raise StsError("ValidationError", "The specified transitive tag key must be included in the requested tags.")
    return tags, transitive


def assumed_role_user(credential: Credential) -> Mapping[str, Node]:
    return {"AssumedRoleId": credential.user_id, "Arn": credential.principal}


def rendered(credential: Credential) -> Mapping[str, Node]:
    return {
        "AccessKeyId": credential.access_key,
        "SecretAccessKey": credential.secret_key,
        "SessionToken": credential.session_token or "",
        "Expiration": sts_protocol.timestamp(credential.expires_at or 0.0),
    }


def packed_size(parameters: Parameters, tags: Mapping[str, str]) -> Mapping[str, Node]:
    """How full the session's packed policies and tags are, in per cent. AWS does not say how it packs."""
    policies = parameters.get("Policy", "") + "".join(
        value for name, value in parameters.items() if name.startswith("PolicyArns.")
    )
    size = len(policies) + sum(len(key) + len(value) for key, value in tags.items())
    if size == 0:
        return {}
    percent = -(-size * 100 // 4096)
    if percent > 100:
        text = f"Packed size of session tags and policies is {percent}% of the allowed space."
        raise StsError("PackedPolicyTooLarge", text)
    return {"PackedPolicySize": str(percent)}


def ordered_failure(kind: str, operation: str) -> StsError:
    """The answer that a fault asks for."""
    unsigned = operation == WEB_IDENTITY
    failures = {
        "throttled": StsError("Throttling", "Rate exceeded"),
        "internal_error": StsError(
            "InternalFailure",
            "The request processing has failed because of an unknown error, exception or failure.",
            500,
        ),
        "unavailable": StsError(
            "ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503
        ),
        "not_found": StsError("InvalidAction", "There is no such endpoint", 404),
        "idp_communication_error": StsError(
            "IDPCommunicationError", "Error communicating with the identity provider to verify the token"
        ),
        "expired_token": StsError("ExpiredTokenException", "Token is expired")
        if unsigned
        else StsError("ExpiredToken", "The security token included in the request is expired", 403),
        "invalid_token": StsError("InvalidIdentityToken", sts_identity.NO_KEY)
        if unsigned
        else StsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
        "access_denied": StsError(
            "AccessDenied",
            sts_trust.WEB_IDENTITY_REFUSED if unsigned else f"User is not authorized to perform: sts:{operation}",
            403,
        ),
    }
    return failures[kind]
