"""Run the soak: `python -m soak --seconds 3600`, in tests/ and with the installed wheel."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pgiam
from pgiam.sandbox import Sandbox
from soak import footprint
from soak.connections import Connections
from soak.disturbances import disturb
from soak.footprint import Sample

ROUNDS = 11


class Forks:
    """The process that forks."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "soak.forks"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start_round(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def end_round(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process that forks ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process.wait()


def soak(box: Sandbox, seconds: float) -> list[str]:
    """Returns everything that was not as it must be."""
    client = pgiam.Client()
    connections = Connections(box, client)
    forks = Forks()
    samples: dict[str, list[Sample]] = {"threads and tasks": [], "forks": []}
    totals: Counter[str] = Counter()
    found: list[str] = []
    try:
        for number in range(ROUNDS):
            stopping = threading.Event()
            with ThreadPoolExecutor(1) as beside:
                # In every other round credentials end by themselves, in the others they are replaced all the time.
                disturbing = beside.submit(disturb, box, client, stopping, refresh=number % 2 == 1)
                try:
                    forks.start_round(seconds / ROUNDS)
                    connections.round(seconds / ROUNDS)
                    answer = forks.end_round()
                finally:
                    stopping.set()
            disturbing.result()
            totals["children"] += answer["children"]
            found += answer["failures"]
            gc.collect()
            samples["threads and tasks"].append(Sample.of(os.getpid()))
            samples["forks"].append(Sample.of(forks.process.pid))
            print(
                f"round {number + 1:2} of {ROUNDS}:  {sum(connections.made.values()):7,} connections,"
                f" {totals['children']:5,} children, {client.stats().refreshes + answer['exchanges']:5,} exchanges;"
                f"  {samples['threads and tasks'][-1]};  forking: {samples['forks'][-1]}",
                flush=True,
            )
            if len(found) + len(connections.failures) > 20:
                break
    finally:
        forks.close()
    stats = box.stats()
    print(
        f"\nconnections   {dict(connections.made)}, all in all {stats['accepted']:,} accepted and"
        f" {sum(stats['refused'].values())} refused: {stats['refused']}\nAWS calls     {stats['aws']['calls']}"
        f"\n  of those    {stats['aws']['errors']}"
    )
    found += [f"a connection failed: {failure}" for failure in connections.failures]
    if not found:
        for name, measured in samples.items():
            print(f"{name} grew by  {footprint.growth(measured)}")
            found += footprint.problems(name, measured)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90, help="how long all rounds take together (default: 90)")
    parser.add_argument("--session-seconds", type=float, default=10, help="the life of credentials (default: 10)")
    options = parser.parse_args()
    with Sandbox("rds", platform="github_actions") as box, box.activated():
        box.control("aws/session_lifetime", seconds=options.session_seconds)
        found = soak(box, options.seconds)
    for problem in found:
        print(f"NOT AS IT MUST BE: {problem}")
    print("failed" if found else "ok: no failed connection, nothing grew")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
