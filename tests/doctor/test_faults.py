"""The doctor against every fault that can be induced: each is given its name, and nothing else is."""

from __future__ import annotations

import json

import pytest

from doctor.faults import FAULTS, INDUCED, Fault
from doctor.ward import Ward, problems
from pgiam._command.doctor import as_dict
from pgiam.sandbox.faults import ARGUMENTS

# Of a session that is open already, not of the way into it.
AFTER_LOGIN = {"idle_close", "session_limit", "conflict"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.label.replace(" ", "-"))
def test_fault(fault: Fault, wards: dict[str, Ward]) -> None:
    ward = wards[fault.flavor]
    with ward.admitted(fault.role) as environment, fault.induce(ward) as options:
        diagnoses = ward.examined(**options)
    assert problems(diagnoses) == fault.names, diagnoses
    assert [diagnosis.stage for diagnosis in diagnoses] == STAGES
    for diagnosis in diagnoses:
        if diagnosis.status in ("warning", "failure"):
            assert diagnosis.why
            assert diagnosis.fix
    told = json.dumps([as_dict(diagnosis) for diagnosis in diagnoses])
    for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if secret in environment:
            assert environment[secret] not in told
    assert "X-Amz-Signature=" not in told


STAGES = ["environment", "credentials", "clock", "endpoint", "dns", "tcp", "tls", "token", "login", "session"]


@pytest.mark.parametrize("flavor", ["rds", "rds-proxy", "dsql"])
@pytest.mark.parametrize("user", [None, "reporting"])
def test_no_false_alarm(flavor: str, user: str | None, wards: dict[str, Ward]) -> None:
    ward = wards[flavor]
    with ward.admitted("anybody"):
        diagnoses = ward.examined(user=user)
    assert problems(diagnoses) == []
    assert {diagnosis.status for diagnosis in diagnoses} == {"ok"}
    assert [diagnosis.stage for diagnosis in diagnoses] == STAGES


def test_every_fault_of_the_sandbox_is_in_the_table() -> None:
    induced = {{"reset_at": "reset"}.get(method, method) for method in INDUCED}
    assert induced >= set(ARGUMENTS) - AFTER_LOGIN


@pytest.mark.parametrize("name", sorted(AFTER_LOGIN))
def test_what_ends_sessions_is_no_illness_of_the_login(name: str, wards: dict[str, Ward]) -> None:
    ward = wards["dsql"]
    with ward.admitted("anybody"):
        {
            "idle_close": lambda: ward.box.faults.idle_close(60.0),
            "session_limit": lambda: ward.box.faults.session_limit(60.0),
            "conflict": lambda: ward.box.faults.conflict(count=None),
        }[name]()
        assert problems(ward.examined()) == []
