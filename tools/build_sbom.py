"""Write the bill of materials of a wheel: CycloneDX JSON, the same bytes for the same inputs.

    python tools/build_sbom.py [--target x86_64-unknown-linux-gnu | --target all] [--out target/sbom/pgiam.cdx.json]

Every crate of Cargo.lock that the target's build uses, the Rust standard library, and the certificate authorities
that ship in the wheel. Crates that only run while it is built have the scope "excluded". maturin's own file is not
used: it has a random serial number, the time, and the path of the machine that it was made on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_OUT = ROOT / "target" / "sbom" / "pgiam.cdx.json"
TRUST = ROOT / "python" / "pgiam" / "data" / "trust.pem"
# RFC 4122, 4.3: names within a space of our own always give the same UUID.
SERIAL_NUMBERS = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/pgiam/")


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the bill of materials of a wheel.")
    parser.add_argument("--target", help="a Rust target triple; by default this machine's")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    options = parser.parse_args()
    text = build(options.target)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(json.loads(text)['components'])} components")
    return 0


def build(target: str | None = None) -> str:
    compiler = rustc_facts()
    target = target or compiler["host"]
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "python"]
    command += [] if target == "all" else ["--filter-platform", target]
    metadata = json.loads(_output(*command))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return document(metadata, lock, compiler, target, TRUST.read_bytes(), os.environ.get("SOURCE_DATE_EPOCH"))


def document(
    metadata: dict[str, Any],
    lock: dict[str, Any],
    compiler: dict[str, str],
    target: str,
    trust: bytes,
    epoch: str | None = None,
) -> str:
    packages = {package["id"]: package for package in metadata["packages"]}
    edges = {node["id"]: used(node["deps"], packages) for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    linked = reachable(root, {name: shipped for name, (shipped, _) in edges.items()})
    needed = reachable(root, {name: shipped | building for name, (shipped, building) in edges.items()})
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}

    project = packages[root]
    reference = f"pkg:pypi/pgiam@{project['version']}"
    references = {name: purl(packages[name]) for name in needed} | {root: reference}
    crates = [
        crate(packages[name], checksums, "required" if name in linked else "excluded") for name in needed - {root}
    ]
    data = [authorities(trust), standard_library(compiler)]
    graph = [
        {"ref": references[name], "dependsOn": sorted(references[other] for other in set().union(*edges[name]))}
        for name in needed
    ]
    for entry in graph:
        if entry["ref"] == reference:
            entry["dependsOn"] = sorted([*entry["dependsOn"], *(component["bom-ref"] for component in data)])
    bom: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": reference,
                "name": "pgiam",
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"expression": project["license"]}],
                "purl": reference,
            },
            "properties": [{"name": "pgiam:rust-target", "value": target}],
        },
        "components": sorted([*crates, *data], key=lambda component: str(component["bom-ref"])),
        "dependencies": sorted(graph, key=lambda entry: str(entry["ref"])),
    }
    if epoch:
        bom["metadata"]["timestamp"] = datetime.fromtimestamp(int(epoch), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    bom["serialNumber"] = uuid.uuid5(SERIAL_NUMBERS, json.dumps(bom, sort_keys=True)).urn
    return json.dumps(bom, indent=1, sort_keys=True) + "\n"


def used(dependencies: list[dict[str, Any]], packages: dict[str, Any]) -> tuple[set[str], set[str]]:
    """What is linked into the product, and what only runs to build it."""
    shipped, building = set(), set()
    for dependency in dependencies:
        kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
        macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
        if None in kinds and not macro:
            shipped.add(dependency["pkg"])
        elif kinds - {"dev"}:
            building.add(dependency["pkg"])
    return shipped, building


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    found, ahead = set(), [start]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead.extend(edges[name])
    return found


def purl(package: dict[str, Any]) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def crate(package: dict[str, Any], checksums: dict[tuple[str, str], str | None], scope: str) -> dict[str, Any]:
    checksum = checksums[package["name"], package["version"]]
    if checksum is None:
        raise SystemExit(f"Cargo.lock has no checksum for {package['name']} {package['version']}")
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": scope,
        "purl": purl(package),
        "hashes": [{"alg": "SHA-256", "content": checksum}],
        "licenses": [{"expression": package["license"].replace("/", " OR ")}],  # "MIT/Apache-2.0": old Cargo
    }
    if package["repository"]:
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def authorities(trust: bytes) -> dict[str, Any]:
    inventory = json.loads(TRUST.with_suffix(".json").read_text(encoding="utf-8"))
    return {
        "type": "data",
        "bom-ref": "pgiam/data/trust.pem",
        "name": "pgiam/data/trust.pem",
        "version": inventory["built"],
        "description": "Authorities of Amazon RDS and Amazon Trust Services; their sources are in trust.json beside it",
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(trust).hexdigest()}],
        "properties": [{"name": "pgiam:certificates", "value": str(len(inventory["certificates"]))}],
    }


def standard_library(compiler: dict[str, str]) -> dict[str, Any]:
    reference = f"pkg:generic/rust-std@{compiler['release']}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": "rust-std",
        "version": compiler["release"],
        "scope": "required",
        "purl": reference,
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
        "properties": [{"name": "pgiam:rustc-commit", "value": compiler["commit-hash"]}],
    }


def rustc_facts() -> dict[str, str]:
    lines: Iterable[str] = _output("rustc", "--version", "--verbose").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout


if __name__ == "__main__":
    sys.exit(main())
