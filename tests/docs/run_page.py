"""`python -m docs.run_page PAGE` runs the Python and SQL of a page, from top to bottom, against sandboxes.

A page is one program: its blocks share their names. `pgiam` and `box` (the sandbox) are there from the start. AWS host
names lead to the sandbox of their kind, and so do the ports 5432 and 15432 (a tunnel's); nothing else of the text is
changed. What a block makes is tried out: an engine or a pool answers a query, a coroutine function
without parameters is awaited, an application answers on its paths. Comments at the end of a block are what it printed.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pgiam
import pgiam.sandbox
from docs import attempts
from docs.pages import Block, blocks
from pgiam.sandbox import Sandbox

_AWS_HOST = re.compile(r"(?P<host>[a-z0-9][a-z0-9.-]*\.rds\.amazonaws\.com|[a-z0-9]+\.dsql\.[a-z0-9-]+\.on\.aws)")
_PORT = re.compile(r"\b1?5432\b")
_IAM_GRANT = re.compile(
    r"AWS IAM (GRANT \w+ TO|REVOKE \w+ FROM) 'arn:aws:iam::\d{12}:(role|user)/[\w/-]+'", re.IGNORECASE
)


class WrongPageError(Exception):
    """The page says something that is not so."""


class Page:
    """The state of the program that a page is."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.loop = asyncio.new_event_loop()
        self.names: dict[str, Any] = {"__name__": "__page__", "pgiam": pgiam}
        self.made: list[Any] = []
        self.boxes: dict[tuple[str, str], Sandbox] = {}
        self.flavor, self.platform = "rds", "session"
        self.own_environment = dict(os.environ)

    def run(self, path: Path) -> int:
        """Returns how many blocks ran."""
        count = 0
        try:
            for block in blocks(path):
                if block.language in ("python", "sql"):
                    self._run(block)
                    count += 1
        finally:
            self.loop.run_until_complete(attempts.close(self.made))
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.stack.close()
        return count

    def _run(self, block: Block) -> None:
        where = f"{block.page}:{block.line}"
        box = self._surroundings(block)
        if block.language == "sql":
            _run_sql(box, block.source)
            return
        source = block.source if "literal" in block.said else _lead_to(box, block.source)
        if re.search(r"^(async )?def test_", source, re.MULTILINE):
            _run_pytest(source, where)
            return
        before = dict(self.names)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                self._execute(source, block)
        except Exception as error:
            if _name_of(error) != block.said.get("raises"):
                raise
            return
        if "raises" in block.said:
            raise WrongPageError(f"{where}: this was to raise {block.said['raises']}")
        _compare(printed.getvalue(), source, where)
        made = [value for name, value in self.names.items() if before.get(name) is not value]
        self.made += made
        if "unused" not in block.said:
            self.loop.run_until_complete(self._try_out(made, source, box))

    def _surroundings(self, block: Block) -> Sandbox:
        """The sandbox that the block means, and the environment of a workload beside it."""
        kinds = {_kind(match["host"]) for match in _AWS_HOST.finditer(block.source)} if not block.hidden else set()
        if "flavor" in block.said:
            self.flavor = block.said["flavor"]
        elif len(kinds) == 1 and "literal" not in block.said:
            self.flavor = kinds.pop()
        elif len(kinds) > 1 and "literal" not in block.said:
            raise WrongPageError(f"{block.page}:{block.line}: one block, endpoints of two kinds")
        self.platform = block.said.get("platform", self.platform)
        key = self.flavor, self.platform
        if key not in self.boxes:
            self.boxes[key] = self.stack.enter_context(Sandbox(self.flavor, platform=self.platform))  # type: ignore[arg-type]
        box = self.boxes[key]
        if self.names.get("box") is not box:
            pgiam.client._made.clear()  # each sandbox has an account of its own
            self.names["box"] = box
        os.environ.clear()
        os.environ.update(self.own_environment)
        os.environ.update({name: value for name, value in box.env.items() if not name.startswith("PG")})
        # Names of AWS lead here: by address for libpq, by `_resolve` for the others.
        os.environ.update(PGHOSTADDR="127.0.0.1", PGPORT=str(box.port), PGIAM_CA_FILE=box.ca_file)
        return box

    def _execute(self, source: str, block: Block) -> None:
        # Line numbers are those of the page.
        code = compile("\n" * (block.line - 1) + source, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, self.names)
        if inspect.iscoroutine(outcome):
            self.loop.run_until_complete(outcome)

    async def _try_out(self, made: list[Any], source: str, box: Sandbox) -> None:
        handlers = attempts.handlers(made)
        for value in made:
            if inspect.iscoroutinefunction(value):
                if "asyncio.run(" not in source and value not in handlers and _takes_nothing(value):
                    self.made.append(await value())
                    await attempts.try_out(self.made[-1], box, self.platform)
            else:
                await attempts.try_out(value, box, self.platform)


def _takes_nothing(function: Any) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return all(
        each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters
    )


def _kind(host: str) -> str:
    if host.endswith(".on.aws"):
        return "dsql"
    return "rds-proxy" if ".proxy-" in host else "rds"


def _lead_to(box: Sandbox, source: str) -> str:
    return _PORT.sub(str(box.port), _AWS_HOST.sub(box.token_host, source))


def _compare(printed: str, source: str, where: str) -> None:
    lines = source.rstrip().splitlines()
    comments: list[str] = []
    while lines and lines[-1].startswith("#"):
        comments.insert(0, lines.pop().lstrip("# "))
    if comments and printed.strip() and printed.split() != " ".join(comments).split():
        raise WrongPageError(f"{where}: it printed {printed!r}")


def _run_sql(box: Sandbox, source: str) -> None:
    """As the superuser, and taken back. What only DSQL knows is held against its grammar."""
    text = re.sub(r"--[^\n]*", "", source).replace("INDEX ASYNC", "INDEX")
    statements = [part.strip() for part in text.split(";") if part.strip()]
    grants = [statement for statement in statements if statement.upper().startswith("AWS IAM")]
    for grant in grants:
        if not _IAM_GRANT.fullmatch(grant):
            raise WrongPageError(f"no such statement in Aurora DSQL: {grant}")
    box.sql("; ".join(["BEGIN", *(each for each in statements if each not in grants), "ROLLBACK"]))


def _run_pytest(source: str, where: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_block.py").write_text(source)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise WrongPageError(f"{where}: {done.stdout}{done.stderr}")


def _name_of(error: Exception) -> str:
    kind = type(error)
    return f"{kind.__module__.removesuffix('.errors')}.{kind.__qualname__}".replace("builtins.", "")


_really_resolve = socket.getaddrinfo


def _resolve(host: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if isinstance(name, str) and name.endswith((".amazonaws.com", ".on.aws", ".example.com")):
        host = "127.0.0.1"
    return _really_resolve(host, *arguments, **options)


if __name__ == "__main__":
    socket.getaddrinfo = _resolve
    print(f"{Page().run(Path(sys.argv[1]).resolve())} blocks ran")
