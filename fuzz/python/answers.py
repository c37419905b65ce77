"""What a callable may answer with: credentials, or one of pgiam's errors, which shows no secret."""

from __future__ import annotations

import datetime
import sys

import atheris

with atheris.instrument_imports(include=["pgiam._answer"]):
    import pgiam
    from pgiam import _answer

NAMES = (
    *("access_key", "secret_key", "session_token", "expires_at", "account_id", "token", "expiry_time", "Credentials"),
    *("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "aws_access_key_id", "aws_secret_access_key"),
    *("aws_session_token", "expiration", "Version", "AccountId"),
)
KEPT = ("secret_key", "SecretAccessKey", "aws_secret_access_key", "session_token", "token", "SessionToken")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def value(chance: atheris.FuzzedDataProvider, depth: int) -> object:
    kind = chance.ConsumeIntInRange(0, 9)
    if kind == 0:
        return None
    if kind == 1:
        return False
    if kind == 2:
        return chance.ConsumeInt(8)
    if kind == 3:
        return chance.ConsumeFloat()
    if kind == 4:
        return chance.ConsumeBytes(20)
    if kind == 5 and depth:
        return mapping(chance, depth - 1)
    if kind == 6:
        return "2030-01-02T03:04:05Z"[: chance.ConsumeIntInRange(0, 20)] + chance.ConsumeUnicode(4)
    if kind == 7:
        zone = datetime.timezone.utc if chance.ConsumeBool() else None
        return datetime.datetime(chance.ConsumeIntInRange(1, 9999), 1, 2, tzinfo=zone)
    if kind == 8:
        return "AKIDEXAMPLE"
    return chance.ConsumeUnicode(30)


def mapping(chance: atheris.FuzzedDataProvider, depth: int = 2) -> dict[str, object]:
    count = chance.ConsumeIntInRange(0, 6)
    names = [chance.PickValueInList(list(NAMES)) for _ in range(count)]
    return {name: SECRET if name in KEPT and chance.ConsumeBool() else value(chance, depth) for name in names}


def check(data: bytes) -> None:
    chance = atheris.FuzzedDataProvider(data)
    answer = mapping(chance) if chance.ConsumeBool() else value(chance, 2)
    try:
        text = repr(_answer.as_credentials(answer))
    except pgiam.Error as error:
        text = f"{error} {error.hint}"
        if not error.hint:
            raise AssertionError("an error without a hint") from error
    if SECRET in text:
        raise AssertionError("a secret is shown")


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
