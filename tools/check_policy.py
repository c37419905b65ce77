"""Hold every crate of every shipped target against deny.toml: licence, source, bans.

The part of cargo-deny that needs neither its binary nor the network. Ours fails on an expression that it cannot
read, never passes it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
# What Cargo.lock writes for crates.io, and cargo-deny allows when nothing else is named.
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
WORD = re.compile(r"\s*(\(|\)|[^\s()]+)")


def main() -> int:
    policy = tomllib.loads((ROOT / "deny.toml").read_text())
    crates: dict[str, dict[str, Any]] = {}
    for target in policy["graph"]["targets"]:
        crates.update(resolved_crates(target))
    problems = sorted(violations(policy, crates))
    for problem in problems:
        print(problem)
    print(f"{len(crates)} crates for {len(policy['graph']['targets'])} targets, {len(problems)} against the policy")
    return 1 if problems else 0


def resolved_crates(target: str) -> dict[str, dict[str, Any]]:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    resolved = {node["id"] for node in metadata["resolve"]["nodes"]}
    return {package["id"]: package for package in metadata["packages"] if package["id"] in resolved}


def violations(policy: dict[str, Any], crates: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    allowed = set(policy["licenses"]["allow"])
    versions: defaultdict[str, set[str]] = defaultdict(set)
    for crate in crates.values():
        name = f"{crate['name']} {crate['version']}"
        versions[crate["name"]].add(crate["version"])
        if crate["source"] not in (None, CRATES_IO):
            found.append(f"{name}: comes from {crate['source']}, not from crates.io")
        elif crate["source"] is None and not Path(crate["manifest_path"]).is_relative_to(ROOT):
            found.append(f"{name}: comes from a folder outside this repository")
        if not permits(crate["license"] or "", allowed):
            found.append(f"{name}: licence {crate['license']!r} is not covered by deny.toml")
    for ban in policy["bans"]["deny"]:
        present = versions.get(ban["crate"], set())
        if ban.get("deny-multiple-versions"):
            if len(present) > 1:
                found.append(f"{ban['crate']}: {len(present)} versions at once ({', '.join(sorted(present))})")
        elif present:
            found.append(f"{ban['crate']}: banned")
    return found


def permits(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied by allowed licences alone."""
    words = [match.group(1) for match in WORD.finditer(expression.replace("/", " OR "))]  # "MIT/Apache-2.0": old Cargo
    position = 0

    def peek() -> str:
        return words[position].upper() if position < len(words) else ""

    def any_of() -> bool:
        nonlocal position
        value = all_of()
        while peek() == "OR":
            position += 1
            other = all_of()
            value = value or other
        return value

    def all_of() -> bool:
        nonlocal position
        value = one()
        while peek() == "AND":
            position += 1
            other = one()
            value = value and other
        return value

    def one() -> bool:
        nonlocal position
        if peek() in ("", ")", "AND", "OR", "WITH"):
            raise ValueError(expression)
        word = words[position]
        position += 1
        if word == "(":
            value = any_of()
            if peek() != ")":
                raise ValueError(expression)
            position += 1
            return value
        if peek() == "WITH":
            word = f"{word} WITH {words[position + 1]}"
            position += 2
        return word in allowed

    try:
        value = any_of()
    except (ValueError, IndexError):
        return False
    return value and position == len(words)


if __name__ == "__main__":
    sys.exit(main())
