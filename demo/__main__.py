"""`make demo`: a service without a stored password, while its credentials live for seconds.

An OIDC identity token, as a GitHub Actions job gets one, is exchanged at STS for a role's credentials; SQLAlchemy
and asyncpg pools log in with auth tokens that pgiam signs with them. Everything is real but AWS itself: the sandbox
stands in for it, and its database lets in nothing but valid auth tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import pgiam
from demo import report
from demo.disturbances import DISTURBANCES
from demo.service import Service
from pgiam.sandbox import Sandbox, SandboxError

SESSION_SECONDS = 5  # AWS allows no less than 15 minutes; the sandbox compresses time


async def run(box: Sandbox, seconds: int) -> bool:
    """Tell the story; returns whether it ended well."""
    await asyncio.to_thread(box.control, "aws/session_lifetime", seconds=SESSION_SECONDS)
    source = pgiam.WebIdentity(role_arn=os.environ["AWS_ROLE_ARN"], identity_token=pgiam.oidc.github_actions())
    client = pgiam.Client(source)
    report.introduce(box, (await client.whoami_async()).arn, SESSION_SECONDS)
    service = Service(box, client)
    await service.start()
    try:
        for second in range(1, seconds + 1):
            event = ""
            if second in DISTURBANCES:
                disturb = DISTURBANCES[second]
                event = await asyncio.to_thread(disturb, box, service)
            await asyncio.sleep(1)
            report.progress(second, service, await asyncio.to_thread(box.stats), event)
    finally:
        await service.stop()
    return report.summarise(service, client.stats(), await asyncio.to_thread(box.stats), seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--flavor", choices=("rds", "rds-proxy", "dsql"), default="rds")
    parser.add_argument("--seconds", type=int, default=15, help="how long the service runs (default: 15)")
    options = parser.parse_args()
    print("Starting PostgreSQL, STS and an OIDC issuer ...", flush=True)
    try:
        with Sandbox(options.flavor, platform="github_actions") as box, box.activated():
            return 0 if asyncio.run(run(box, options.seconds)) else 1
    except (SandboxError, pgiam.Error) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
