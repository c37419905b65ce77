"""Stop a release whose tag, version and changelog do not agree.

python tools/check_release.py v1.2.3
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(tag: str) -> int:
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = problems(tag, manifest, changelog)
    for problem in found:
        print(problem)
    return 1 if found else 0


def problems(tag: str, manifest: str, changelog: str) -> list[str]:
    stated = re.search(r'^\[package\]\n(?:[^\[\n].*\n)*?version = "([^"]+)"$', manifest, re.MULTILINE)
    if stated is None:
        return ["Cargo.toml states no version"]
    version = stated[1]
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, the version in Cargo.toml {version}")
    if not re.search(rf"^## \[?{re.escape(version)}\]?(?: |$)", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading for {version}")
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
