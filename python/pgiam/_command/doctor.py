"""`pgiam doctor`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import pgiam
from pgiam import _core, _doctor

from . import options as flags
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgiam import Diagnosis

SCHEMA = "pgiam.doctor/1"


def fill(parser: argparse.ArgumentParser) -> None:
    statuses = "".join(f"  {status}  {stage}\n" for stage, status in _core._doctor_stages())
    parser.description = (
        "Log in step by step, from the environment to the session, and say of each step\n"
        "what was found. Where the server only says that it refuses, what can be tested\n"
        "is tested. Nothing is changed, and nothing secret is printed."
    )
    parser.epilog = (
        "example:\n  pgiam doctor postgresql://app@db.abc123.eu-central-1.rds.amazonaws.com/shop\n\n"
        f"exit status: 0 if all is well or only warned of, else that of the first failure:\n{statuses}"
    )
    flags.add_login(parser, database=True)
    flags.add_identity(parser)
    group = parser.add_argument_group("how to examine")
    group.add_argument("--ca-file", metavar="FILE", help="PEM: whom to trust [PGSSLROOTCERT, or pgiam's own]")
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long the way to the server may take, and then the login [10]",
    )
    group.add_argument("-v", "--verbose", action="store_true", help="show all that was seen, also where all is well")
    group.add_argument("--json", action="store_true", help="one JSON document, see docs/doctor.md")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    wanted = flags.target(options)
    examination = _doctor.examine(
        options.url,
        host=options.host,
        port=options.port,
        user=options.user,
        database=options.database,
        region=options.region,
        token_host=options.token_host,
        expires_in=options.expires_in,
        client=flags.client(options),
        ca_file=options.ca_file,
        timeout=options.timeout,
    )
    if options.json:
        return _write_json(examination)
    return _write_report(examination, Report(sys.stdout, verbose=options.verbose), wanted)


def _write_report(examination: Iterator[Diagnosis], report: Report, wanted: flags.Target) -> int:
    report.begin(wanted.user, wanted.host, wanted.port)
    first_failure = None
    stages = [stage for stage, _ in _core._doctor_stages()]
    try:
        for stage in stages:
            report.waiting(stage)
            diagnosis = next(examination, None)
            if diagnosis is None:
                break
            report.show(diagnosis)
            if diagnosis.status == "failure" and first_failure is None:
                first_failure = diagnosis
    finally:
        report.no_longer_waiting()
    report.end(first_failure)
    return first_failure.exit_status if first_failure else 0


def _write_json(examination: Iterator[Diagnosis]) -> int:
    diagnoses = list(examination)
    failures = [diagnosis for diagnosis in diagnoses if diagnosis.status == "failure"]
    status = failures[0].exit_status if failures else 0
    document = {
        "schema": SCHEMA,
        "pgiam": pgiam.__version__,
        "ok": not failures,
        "exit_status": status,
        "stages": [as_dict(diagnosis) for diagnosis in diagnoses],
    }
    print(json.dumps(document, indent=2))
    return status


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "stage": diagnosis.stage,
        "status": diagnosis.status,
        "name": diagnosis.name,
        "title": diagnosis.title,
        "detail": list(diagnosis.detail),
        "why": diagnosis.why,
        "fix": diagnosis.fix,
        "snippets": [{"label": label, "text": text} for label, text in diagnosis.snippets],
        "data": diagnosis.data,
    }
