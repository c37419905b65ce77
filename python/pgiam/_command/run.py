"""`pgiam exec` and `pgiam env`: libpq's variables, for one program or for a shell."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable

from pgiam import tls
from pgiam.errors import ConfigurationError

from . import options as flags

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_VERIFIED_AT_MOST = ("require", "verify-ca", "verify-full")


def fill(parser: argparse.ArgumentParser) -> None:
    if parser.prog.endswith(" exec"):
        _fill_exec(parser)
    else:
        _fill_env(parser)
    flags.add_login(parser, database=True)
    flags.add_identity(parser)


def _fill_exec(parser: argparse.ArgumentParser) -> None:
    parser.usage = "pgiam exec [options] [URL] -- PROGRAM [ARGUMENT ...]"
    parser.description = (
        "Run a program that reads libpq's variables, with PGHOST, PGPORT, PGUSER,\n"
        "PGPASSWORD, PGSSLMODE and PGSSLROOTCERT set for it alone. pgiam becomes that\n"
        "program: signals and exit status are its own. The auth token opens connections\n"
        "for 15 minutes."
    )
    parser.epilog = (
        "example:\n  pgiam exec --host db.abc123.eu-central-1.rds.amazonaws.com --user app \\\n"
        "    --database shop -- psql -c 'select 1'"
    )
    parser.set_defaults(run=run_exec)


def _fill_env(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print commands that set libpq's variables in a shell, with a fresh auth token\n"
        "as PGPASSWORD. They hold a secret: evaluate them, do not keep them."
    )
    parser.epilog = (
        "examples:\n"
        '  eval "$(pgiam env postgresql://app@HOST/shop)"             # bash, zsh\n'
        "  pgiam env --shell fish postgresql://app@HOST/shop | source\n"
        "  pgiam env --shell powershell postgresql://app@HOST/shop | Invoke-Expression"
    )
    parser.add_argument("--shell", choices=tuple(_SHELLS), help="whose words to use [by SHELL, else bash]")
    parser.set_defaults(run=run_env)


def run_exec(options: argparse.Namespace) -> int:
    program: list[str] = options.program
    if not program:
        raise ConfigurationError("there is no program to run", hint="Write it after --, as in: pgiam exec -- psql")
    environment = {**os.environ, **variables(options)}
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.name == "nt":
            import subprocess

            return subprocess.call(program, env=environment)
        # Python ignores these two, and what is ignored stays so across exec.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execvpe(program[0], program, environment)  # noqa: S606 - that is what it is for
    except FileNotFoundError:
        print(f"pgiam exec: {program[0]}: not found", file=sys.stderr)
        return _NOT_FOUND
    except OSError as error:
        print(f"pgiam exec: {program[0]}: {error.strerror}", file=sys.stderr)
        return _NOT_EXECUTABLE


def run_env(options: argparse.Namespace) -> int:
    write = _SHELLS[options.shell or _own_shell()]
    for name, value in variables(options).items():
        print(write(name, value))
    return 0


def variables(options: argparse.Namespace) -> dict[str, str]:
    """Everything that libpq needs for the login, and nothing else."""
    wanted = flags.target(options)
    token = flags.sign(flags.client(options), wanted)
    endpoint = flags.endpoint(wanted)
    mode = os.environ.get("PGSSLMODE")
    root = os.environ.get("PGSSLROOTCERT")
    found = {
        "PGHOST": endpoint.host,
        "PGPORT": str(endpoint.port),
        "PGUSER": wanted.user or os.environ["PGUSER"],
        "PGPASSWORD": token,
        # An auth token must not cross the wire in clear, whatever the shell was set to.
        "PGSSLMODE": mode if mode in _VERIFIED_AT_MOST else "verify-full",
        "PGSSLROOTCERT": root if root and root != "system" else tls.ca_file(),
    }
    if wanted.database:
        found["PGDATABASE"] = wanted.database
    return found


def _own_shell() -> str:
    if os.name == "nt":
        return "powershell"
    return "fish" if os.path.basename(os.environ.get("SHELL", "")) == "fish" else "bash"


def _fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{escaped}'"


def _powershell(name: str, value: str) -> str:
    escaped = value.replace("'", "''")
    return f"$Env:{name} = '{escaped}'"


_SHELLS: dict[str, Callable[[str, str], str]] = {
    "bash": lambda name, value: f"export {name}={shlex.quote(value)}",
    "zsh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": _fish,
    "powershell": _powershell,
}
