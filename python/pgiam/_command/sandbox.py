"""`pgiam sandbox`: the parser and the work are the sandbox's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def fill(parser: argparse.ArgumentParser) -> None:
    parser.add_help = False


def main(arguments: Sequence[str]) -> int:
    try:
        from pgiam.sandbox.command import main as run
    except ModuleNotFoundError as error:
        print(f"pgiam sandbox: {error.name} is missing; pip install 'pgiam[sandbox]'", file=sys.stderr)
        return 1
    return run(list(arguments))
