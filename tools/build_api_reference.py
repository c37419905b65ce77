"""Write docs/api.md from the signatures and docstrings in python/pgiam; `--check` only compares.

It reads the sources and imports nothing, so it needs no built module and no driver.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "pgiam"
PAGE = ROOT / "docs" / "api.md"

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, and names with the file that each is defined in."""

    heading: str
    module: str
    files: tuple[str, ...]
    names: tuple[str, ...] = ()


SECTIONS = (
    Section("Auth tokens", "pgiam", ("client.py",), ("generate_auth_token", "generate_auth_token_async")),
    Section("Clients", "pgiam", ("client.py", "_core.pyi"), ("Client", "default_client", "Stats")),
    Section(
        "Credentials and roles",
        "pgiam",
        ("_core.pyi",),
        (
            "Credentials",
            "Profile",
            "WebIdentity",
            "AssumeRole",
            "exchange_oidc_token",
            "exchange_oidc_token_async",
            "CallerIdentity",
            "Finding",
        ),
    ),
    Section("Identity tokens", "pgiam.oidc", ("oidc.py", "_core.pyi")),
    Section("Endpoints", "pgiam", ("_core.pyi",), ("Endpoint",)),
    Section("Passwords for drivers", "pgiam", ("_password.py",), ("password", "Password")),
    Section("SQLAlchemy", "pgiam.sqlalchemy", ("sqlalchemy.py",), ("attach", "create_engine", "create_async_engine")),
    Section("The plain SQLAlchemy hook", "pgiam", ("client.py",), ("do_connect",)),
    Section("asyncpg", "pgiam.asyncpg", ("asyncpg.py",)),
    Section("psycopg", "pgiam.psycopg", ("psycopg.py",)),
    Section("TLS", "pgiam", ("tls.py",), ("ca_file", "ssl_context")),
    Section(
        "The doctor",
        "pgiam",
        ("_doctor.py", "_explain.py", "_core.pyi"),
        ("doctor", "doctor_async", "explain", "Diagnosis"),
    ),
    Section("Errors", "pgiam", ("errors.py",)),
    Section("The sandbox", "pgiam.sandbox", ("sandbox/box.py", "sandbox/fault_controls.py"), ("Sandbox", "Faults")),
)
# Not on this page: `pgiam.tls`'s own names are the package's, and a type alias needs no entry.
ELSEWHERE = {"StaticCredentials", "__version__", "asyncpg", "oidc", "psycopg", "sqlalchemy", "tls"}


def build() -> str:
    """The whole page."""
    parts = [
        "# API",
        "<!-- Made by tools/build_api_reference.py from the docstrings: change those. -->",
        "`pgiam.StaticCredentials` is another name for `pgiam.Credentials`. Parameters after `*` are given by name.",
    ]
    for section in SECTIONS:
        parts += [f"## {section.heading}", *_section(section)]
    return "\n\n".join(parts) + "\n"


def missing() -> set[str]:
    """Public names that the page leaves out."""
    shown = {name for section in SECTIONS for name in _names(section)}
    return set(_public("__init__.py")) - shown - ELSEWHERE


def _section(section: Section) -> Iterator[str]:
    known: dict[str, Definition] = {}
    for file in section.files:
        # A class of the stub that Python extends shows both halves: the extension's name wins, the stub's is added.
        known |= {name: found for name, found in _definitions(file).items() if name not in known}
    aliases = {name for file in section.files for name in _assigned(file)}
    for name in _names(section):
        if name in known:
            base = _definitions("_core.pyi").get(name) if section.files[0] != "_core.pyi" else None
            yield from _entry(section.module, known[name], base)
        elif name not in aliases:
            raise LookupError(f"{section.heading}: {name} is not defined in {', '.join(section.files)}")


def _names(section: Section) -> tuple[str, ...]:
    return section.names or tuple(_public(section.files[0]))


def _entry(module: str, found: Definition, base: Definition | None) -> Iterator[str]:
    if not isinstance(found, ast.ClassDef):
        yield f"### {module}.{found.name}"
        yield _code(_signature(found, skip_self=False))
        yield _text(found)
        return
    yield f"### {module}.{found.name}"
    methods = {each.name: each for each in _methods(found)}
    if isinstance(base, ast.ClassDef):
        methods = {**{each.name: each for each in _methods(base)}, **methods}
    maker = methods.pop("__new__", None) or methods.pop("__init__", None)
    if maker is not None and not found.name.endswith("Error"):
        yield _code(_signature(maker, skip_self=True, name=found.name))
    yield _text(found)
    members = [_member(each) for name, each in sorted(methods.items()) if not name.startswith("_")]
    if any(said for _, said in members):
        yield "\n".join(["| | |", "|---|---|", *(f"| `{shown}` | {said} |" for shown, said in members)])
    elif members:
        yield "\n".join(f"- `{shown}`" for shown, _ in members).replace("\\|", "|")


def _member(method: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, str]:
    """What it looks like and what it says, for a row of a table."""
    decorators = {ast.unparse(each) for each in method.decorator_list}
    if "property" in decorators:
        shown = f"{method.name}: {ast.unparse(method.returns)}" if method.returns else method.name
    else:
        shown = _signature(method, skip_self="staticmethod" not in decorators)
    said = " ".join((ast.get_docstring(method) or "").split())
    return shown.replace("|", "\\|"), said.replace("|", "\\|")


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef, *, skip_self: bool, name: str | None = None) -> str:
    arguments = function.args
    if skip_self:
        fields = {key: getattr(arguments, key) for key in arguments._fields}
        first = "posonlyargs" if arguments.posonlyargs else "args"
        arguments = ast.arguments(**{**fields, first: fields[first][1:]})
    # Every parameter has an annotation, and after one PEP 8 wants spaces around the default's sign.
    parameters = re.sub(r"(?<=[\w\])'])=(?=[\w('\"-])", " = ", ast.unparse(arguments))
    if name is not None:
        return f"{name}({parameters})"
    awaited = "await " if isinstance(function, ast.AsyncFunctionDef) else ""
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{awaited}{function.name}({parameters}){returns}"


def _code(signature: str) -> str:
    opening, closing = signature.find("("), signature.rfind(")")
    inside = signature[opening + 1 : closing]
    if len(signature) > 100:
        inside = "\n" + "".join(f"    {part},\n" for part in _parameters(inside))
    return f"```text\n{signature[: opening + 1]}{inside}{signature[closing:]}\n```"


def _parameters(text: str) -> Iterator[str]:
    """Each as it is written, one after the other."""
    depth, start = 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            yield text[start:position].strip()
            start = position + 1
    yield text[start:].strip()


def _text(found: Definition) -> str:
    said = ast.get_docstring(found)
    if said is None:
        raise LookupError(f"{found.name} has no docstring")
    return inspect.cleandoc(said)


def _methods(found: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (each for each in found.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))


def _tree(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"), file)


def _definitions(file: str) -> dict[str, Definition]:
    return {
        each.name: each
        for each in _tree(file).body
        if isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    }


def _assigned(file: str) -> Iterator[str]:
    for each in _tree(file).body:
        if isinstance(each, ast.Assign):
            yield from (target.id for target in each.targets if isinstance(target, ast.Name))


def _public(file: str) -> list[str]:
    for each in _tree(file).body:
        if isinstance(each, ast.Assign) and any(ast.unparse(target) == "__all__" for target in each.targets):
            names: list[str] = ast.literal_eval(each.value)
            return names
    raise LookupError(f"{file} has no __all__")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare with docs/api.md")
    options = parser.parse_args()
    if left_out := missing():
        print(f"not in SECTIONS of {Path(__file__).name}: {', '.join(sorted(left_out))}", file=sys.stderr)
        return 1
    page = build()
    if not options.check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run python tools/build_api_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
