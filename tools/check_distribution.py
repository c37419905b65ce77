"""Hold built distributions against what they are to be: complete, and nothing of the machine in them.

python tools/check_distribution.py dist/*.whl dist/*.tar.gz
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Home directories, and where build machines work.
MACHINE_PATHS = re.compile(rb"(?:/home/|/root/|/Users/|/tmp/|/private/|/github/|[A-Z]:\\(?:a|Users)\\)[\w.+-]")
JUNK = re.compile(
    r"(?:^|/)(?:__pycache__|target|dist|\.git|\.venv[^/]*|\.[a-z]+_cache|\.hypothesis|\.env)(?:/|$)"
    r"|\.(?:pyc|pyo|so|pyd|dylib|log|key|orig|rej)$|(?:^|/)\.DS_Store$|~$"
)
EXTENSION = re.compile(r"^pgiam/_core\.[\w.-]*(?:so|pyd)$")
MAX_SIZE = {".whl": 8_000_000, ".gz": 2_000_000}
WHEEL_NEEDS = (
    *("pgiam/__init__.py", "pgiam/_core.pyi", "pgiam/py.typed"),
    *("pgiam/data/trust.pem", "pgiam/data/trust.json"),
)
SDIST_NEEDS = (
    *("Cargo.lock", "Cargo.toml", "pyproject.toml", "src/lib.rs"),
    *("python/pgiam/_core.pyi", "python/pgiam/data/trust.pem"),
    *("LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "Makefile", "deny.toml"),
    *("tools/run_checks.py", "tests/conftest.py", "tests/requirements.txt"),
)


def main(paths: list[str]) -> int:
    failed = False
    for path in map(Path, paths):
        problems = wheel_problems(path) if path.suffix == ".whl" else sdist_problems(path)
        for problem in problems:
            print(f"{path.name}: {problem}")
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(problems)} problems")
        failed = failed or bool(problems)
    return 1 if failed or not paths else 0


def wheel_problems(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    extensions = [name for name in contents if EXTENSION.match(name)]
    found = size_problems(path)
    found += [f"lacks {name}" for name in WHEEL_NEEDS if name not in contents]
    if len(extensions) != 1:
        found.append(f"has {len(extensions)} extension modules")
    found += [f"holds {name}" for name in contents if JUNK.search(name) and name not in extensions]
    for name, data in contents.items():
        # Other files are the repository's own, and speak of paths for a reason.
        if (name in extensions or ".dist-info/sboms/" in name) and (match := MACHINE_PATHS.search(data)):
            found.append(f"{name} names a path of the machine: {printable(data, match)}")
    return found + record_problems(contents) + sbom_problems(contents)


def record_problems(contents: Mapping[str, bytes]) -> list[str]:
    records = [name for name in contents if name.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        return ["has no RECORD"]
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(contents[records[0]].decode())) if row}
    found = [f"{name} is not in RECORD" for name in contents if name not in rows]
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if name in rows and name != records[0] and rows[name] != f"sha256={digest}":
            found.append(f"{name} is not what RECORD says")
    return found


def sbom_problems(contents: Mapping[str, bytes]) -> list[str]:
    """PEP 770: a wheel's bills of materials are in .dist-info/sboms."""
    boms = [name for name in contents if ".dist-info/sboms/" in name]
    if [Path(name).name for name in boms] != ["pgiam.cdx.json"]:
        return [f"has these bills of materials: {boms}"]
    bom = json.loads(contents[boms[0]])
    hashes = {item["bom-ref"]: item["hashes"][0]["content"] for item in bom["components"] if item.get("hashes")}
    found = []
    if hashes.get("pgiam/data/trust.pem") != hashlib.sha256(contents.get("pgiam/data/trust.pem", b"")).hexdigest():
        found.append("its bill of materials names another trust file")
    if not any(reference.startswith("pkg:cargo/aws-sigv4@") for reference in hashes):
        found.append("its bill of materials lacks the crates")
    return found


def sdist_problems(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    tops = {member.name.split("/", 1)[0] for member in members}
    names = {member.name.partition("/")[2] for member in members}
    found = size_problems(path)
    found += [f"lacks {name}" for name in SDIST_NEEDS if name not in names]
    found += [f"holds {name}" for name in sorted(names) if JUNK.search(name)]
    found += [f"holds {member.name}, which is no file" for member in members if not (member.isfile() or member.isdir())]
    if tops != {path.name.removesuffix(".tar.gz")}:
        found.append(f"unpacks into {sorted(tops)}")
    return found


def size_problems(path: Path) -> list[str]:
    limit = MAX_SIZE[path.suffix]
    size = path.stat().st_size
    return [f"has {size} bytes, over {limit}"] if size > limit else []


def printable(data: bytes, match: re.Match[bytes]) -> str:
    return data[match.start() : match.start() + 60].decode("ascii", "replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
