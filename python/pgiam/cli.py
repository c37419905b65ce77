"""`pgiam`, the command."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from . import __version__
from .errors import Error

__all__ = ["build_parser", "main"]

_INTERRUPTED = 130

# Command, module, one line of help. The module is imported when its command runs.
_COMMANDS = (
    ("token", "token", "print a fresh auth token, the database's password"),
    ("exec", "run", "run a program that logs in with IAM: psql, pg_dump, migrations"),
    ("env", "run", "print shell exports that let any PostgreSQL client log in"),
    ("whoami", "whoami", "say whose AWS credentials are used here, and why these"),
    ("doctor", "doctor", "examine a login step by step, and say what is wrong"),
    ("sandbox", "sandbox", "start a PostgreSQL that lets in only valid IAM auth tokens"),
    ("completion", "completion", "print the completion script of a shell"),
)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Eighty columns at most, and room for the longest flag beside its help."""

    def __init__(self, prog: str) -> None:
        import shutil

        width = min(shutil.get_terminal_size((80, 24)).columns, 80)
        super().__init__(prog, max_help_position=26, width=width)


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole parser, or with `only` the one that knows a single command's options."""
    parser = argparse.ArgumentParser(
        prog="pgiam",
        usage="pgiam [-h] [--version] COMMAND [OPTION ...]",
        formatter_class=_Formatter,
        description="Log in to PostgreSQL on AWS (RDS, Aurora, RDS Proxy, Aurora DSQL) with IAM\n"
        "instead of a stored password.",
        epilog="example:\n  pgiam exec postgresql://app@db.abc.eu-central-1.rds.amazonaws.com/shop -- psql\n\n"
        "`pgiam COMMAND --help` says more, with an example each.",
    )
    parser.add_argument("--version", action="version", version=f"pgiam {__version__}")
    commands = parser.add_subparsers(dest="command", prog="pgiam", metavar="COMMAND [...]", title="commands")
    for name, module, line in _COMMANDS:
        command = commands.add_parser(name, help=line, formatter_class=_Formatter)
        if only in (None, name):
            importlib.import_module(f"._command.{module}", __package__).fill(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    known = {command: module for command, module, _ in _COMMANDS}
    if name == "sandbox":
        # It has a parser of its own, which `python -m pgiam.sandbox` uses too.
        from ._command import sandbox

        return sandbox.main(arguments[1:])
    arguments, program = _split(arguments) if name == "exec" else (arguments, [])
    parser = build_parser(name if name in known else "")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    options.program = program
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        status = run(options)
        sys.stdout.flush()
        return status
    except Error as error:
        print(f"pgiam {name}: {error.args[0]}", file=sys.stderr)
        print(f"  {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not fail on the rest of it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The options, and the program with its arguments: what follows `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]
