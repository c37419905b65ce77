"""A sandbox to be ill in: what a test sets is gone after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pgiam
from pgiam import Diagnosis
from pgiam._doctor import examine
from pgiam.sandbox import Sandbox

# Far above what anything here takes; what is to time out says so itself.
TIMEOUT = 20.0


class Ward:
    """Runs the doctor in the surroundings of a workload."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        box.add_role("anybody", db_users=["*"], dsql_admin=True)
        box.add_role("reader", db_users=["reporting"])

    @contextlib.contextmanager
    def admitted(self, role: str = "app") -> Iterator[dict[str, str]]:
        """The environment of a workload with fresh credentials, as this process's own."""
        self.box.faults.clear()
        keys = self.box.issue_credentials(role)
        try:
            with self.box.activated():
                os.environ["AWS_ACCESS_KEY_ID"] = keys["access_key"]
                os.environ["AWS_SECRET_ACCESS_KEY"] = keys["secret_key"]
                os.environ["AWS_SESSION_TOKEN"] = keys["session_token"]
                yield dict(os.environ)
        finally:
            self.box.faults.clear()

    def examined(self, **options: object) -> list[Diagnosis]:
        client = pgiam.Client()
        return list(examine(**{"client": client, "timeout": TIMEOUT, **options}))  # type: ignore[arg-type]


def problems(diagnoses: list[Diagnosis]) -> list[str]:
    """What is wrong or warned of, by name; a warning ends with a question mark."""
    return [
        diagnosis.name + ("?" if diagnosis.status == "warning" else "")
        for diagnosis in diagnoses
        if diagnosis.status in ("warning", "failure")
    ]
