"""`pgiam whoami`."""

from __future__ import annotations

import argparse
import json
import textwrap

from . import options as flags

SCHEMA = "pgiam.whoami/1"
# What a platform says of itself where it is not.
_NOT_HERE = "not here"


def fill(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Ask AWS STS whose credentials are used here, and print the ARN. With -v also\n"
        "every place that was looked at for credentials, in order, and what came of it."
    )
    parser.epilog = "example:\n  pgiam whoami -v --profile staging"
    parser.add_argument("-v", "--verbose", action="store_true", help="say where the credentials come from, and why")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    flags.add_identity(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    client = flags.client(options)
    credentials = client.credentials()
    identity = client.whoami()
    attempts = client.explain()
    end = credentials.expires_at
    if options.json:
        document = {
            "schema": SCHEMA,
            "arn": identity.arn,
            "account": identity.account,
            "user_id": identity.user_id,
            "source": credentials.source,
            "access_key": credentials.access_key,
            "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ") if end else None,
            "attempts": [{"source": one.source, "state": one.state, "reason": one.reason} for one in attempts],
        }
        print(json.dumps(document, indent=2))
        return 0
    print(identity.arn)
    if options.verbose:
        print(f"\n  account      {identity.account}")
        print(f"  key          {credentials.access_key} from {credentials.source}")
        print(f"  expires      {end.strftime('%Y-%m-%d %H:%M:%S UTC') if end else 'not known here'}\n")
        for one in attempts:
            if one.reason != _NOT_HERE:
                print(_wrapped(one.state, f"{one.source}: {one.reason}"))
        elsewhere = [one.source for one in attempts if one.reason == _NOT_HERE]
        if elsewhere:
            print(_wrapped(_NOT_HERE, ", ".join(elsewhere)))
    return 0


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(text, 79, initial_indent=f"  {label:12} ", subsequent_indent=" " * 15)
