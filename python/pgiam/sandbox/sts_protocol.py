"""The query protocol of STS: parameters in, XML out, and errors in AWS's own words. Pure.

https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final
from xml.sax.saxutils import escape

VERSION: Final = "2011-06-15"
NAMESPACE: Final = f"https://sts.amazonaws.com/doc/{VERSION}/"

# Deep enough for STS: text, a structure, or a list (which the query protocol writes as <member>s).
Node = str | Mapping[str, "Node"] | Sequence["Node"]
Parameters = Mapping[str, str]


class StsError(Exception):
    """An answer of STS that is not a success."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Text:
    """What the service model says about one text parameter."""

    name: str
    minimum: int
    maximum: int
    pattern: str | None = None
    required: bool = False
    secret: bool = False


ROLE_ARN: Final = Text("RoleArn", 20, 2048, required=True)
SESSION_NAME: Final = Text("RoleSessionName", 2, 64, r"[\w+=,.@-]*", required=True)
WEB_IDENTITY_TOKEN: Final = Text("WebIdentityToken", 4, 20000, required=True, secret=True)
PROVIDER_ID: Final = Text("ProviderId", 4, 2048)
POLICY: Final = Text("Policy", 1, 2048)
EXTERNAL_ID: Final = Text("ExternalId", 2, 1224, r"[\w+=,.@:\/-]*")
SOURCE_IDENTITY: Final = Text("SourceIdentity", 2, 64, r"[\w+=,.@-]*")


def validate(parameters: Parameters, *rules: Text) -> dict[str, str]:
    """The parameters that the rules name, if all are valid. STS tells every violation at once."""
    problems: list[str] = []
    values: dict[str, str] = {}
    for rule in rules:
        value = parameters.get(rule.name)
        if value is None:
            if rule.required:
                problems.append(_problem("null", rule.name, "Member must not be null"))
            continue
        shown = "'***'" if rule.secret else f"'{value}'"
        if len(value) < rule.minimum:
            reason = f"Member must have length greater than or equal to {rule.minimum}"
            problems.append(_problem(shown, rule.name, reason))
        elif len(value) > rule.maximum:
            reason = f"Member must have length less than or equal to {rule.maximum}"
            problems.append(_problem(shown, rule.name, reason))
        if rule.pattern is not None and not re.fullmatch(rule.pattern, value, re.ASCII):
            reason = f"Member must satisfy regular expression pattern: {rule.pattern}"
            problems.append(_problem(shown, rule.name, reason))
        values[rule.name] = value
    raise_problems(problems)
    return values


def validate_integer(parameters: Parameters, name: str, minimum: int, maximum: int, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,10}", text, re.ASCII):
        raise StsError("MalformedInput", f"{name} is not an integer")
    value = int(text)
    if value < minimum:
        reason = f"Member must have value greater than or equal to {minimum}"
        raise_problems([_problem(f"'{value}'", name, reason)])
    if value > maximum:
        raise_problems([_problem(f"'{value}'", name, f"Member must have value less than or equal to {maximum}")])
    return value


def raise_problems(problems: Sequence[str]) -> None:
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise StsError("ValidationError", f"{count}: {'; '.join(problems)}")


def _problem(shown: str, name: str, reason: str) -> str:
    member = name[0].lower() + name[1:]
    return f"Value {shown} at '{member}' failed to satisfy constraint: {reason}"


def members(parameters: Parameters, name: str) -> list[Parameters]:
    """A list of structures: `Tags.member.1.Key=a&Tags.member.1.Value=b` -> [{"Key": "a", "Value": "b"}].

    A list of texts gives [{"": "text"}]. STS counts from one and wants no gaps.
    """
    pattern = re.compile(rf"{re.escape(name)}\.member\.([1-9]\d{{0,3}})(?:\.(\w+))?", re.ASCII)
    found: dict[int, dict[str, str]] = {}
    for key, value in parameters.items():
        if key.startswith(f"{name}."):
            match = pattern.fullmatch(key)
            if match is None:
                raise StsError("MalformedInput", f"{name} is not a list as the query protocol writes it")
            found.setdefault(int(match[1]), {})[match[2] or ""] = value
    if sorted(found) != list(range(1, len(found) + 1)):
        raise StsError("MalformedInput", f"{name} is not counted from one without gaps")
    return [found[index] for index in sorted(found)]


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC; with milliseconds only where there are any."""
    milliseconds = int(seconds * 1000)
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{milliseconds % 1000:03d}Z" if milliseconds % 1000 else f"{text}Z"


def success(action: str, result: Mapping[str, Node], request_id: str) -> bytes:
    return _document(
        f"{action}Response",
        {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}},
    )


def failure(error: StsError, request_id: str) -> bytes:
    fault = "Receiver" if error.status >= 500 else "Sender"
    return _document(
        "ErrorResponse",
        {"Error": {"Type": fault, "Code": error.code, "Message": error.message}, "RequestId": request_id},
    )


def _document(root: str, content: Mapping[str, Node]) -> bytes:
    return f'<{root} xmlns="{NAMESPACE}">\n{_render(content, 1)}</{root}>\n'.encode()


def _render(node: Mapping[str, Node], depth: int) -> str:
    indent = "  " * depth
    lines: list[str] = []
    for name, value in node.items():
        if isinstance(value, str):
            lines.append(f"{indent}<{name}>{escape(_printable(value))}</{name}>\n")
        elif isinstance(value, Mapping):
            lines.append(f"{indent}<{name}>\n{_render(value, depth + 1)}{indent}</{name}>\n")
        else:
            inner = "".join(_render({"member": member}, depth + 1) for member in value)
            lines.append(f"{indent}<{name}>\n{inner}{indent}</{name}>\n")
    return "".join(lines)


def _printable(text: str) -> str:
    # XML 1.0 has no way to write these, not even escaped.
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
