"""Every bench, one after another, each in a process of its own: `make bench`.

Writes what was found to docs/benchmarks.json, and from that the table and the plot in docs/. A run that is not whole
(`--only`, `--tiny`) writes nothing, unless `--out` names another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).resolve().parent
PARTS = ("core", "neighbours", "threads", "growth", "sandbox", "crowd")
COMPARED = ("boto3", "aurora-dsql-python-connector", "aws-advanced-python-wrapper", "psycopg", "asyncpg", "SQLAlchemy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", action="append", choices=PARTS, help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--pairs", type=int, help="interleaved runs of each figure (default: each bench's own)")
    parser.add_argument("--tiny", action="store_true", help="only see that all of it runs: the figures mean nothing")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write, instead of docs/")
    options = parser.parse_args()
    arguments = ["--tiny"] * options.tiny + (["--pairs", str(options.pairs)] if options.pairs else [])
    started, load = time.monotonic(), os.getloadavg()[0]
    found: dict[str, Any] = {}
    for name in options.only or PARTS:
        print(f"\n--- {name}", flush=True)
        found[name] = measured(name, arguments)
    said = {"machine": machine(load, time.monotonic() - started), "parts": found}
    folder = options.out or (report.DOCS if not options.tiny and not options.only else None)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "benchmarks.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        report.write(folder)
        print(f"\nwritten: benchmarks.json, .md and .svg in {folder}")
    print(closing(said))
    return 0


def measured(name: str, arguments: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="pgiam-bench-") as folder:
        file = Path(folder) / "found.json"
        subprocess.run([sys.executable, HERE / f"{name}.py", *arguments, "--json", file], check=True)
        return dict(json.loads(file.read_text(encoding="utf-8")))


def machine(load: float, seconds: float) -> dict[str, str]:
    return {
        "machine": f"{processor()}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": f"{load:.2f} before, {os.getloadavg()[0]:.2f} after {seconds:.0f} s",
        "pgiam": version("pgiam"),
        **{name: version(name) for name in COMPARED},
    }


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "an unnamed processor"


def closing(said: dict[str, Any]) -> str:
    aimed = [row for row in report.all_rows(said) if row.met is not None]
    missed = [row.what for row in aimed if not row.met]
    return f"{len(aimed) - len(missed)} of {len(aimed)} targets met" + (f"; missed: {'; '.join(missed)}" * bool(missed))


if __name__ == "__main__":
    sys.exit(main())
