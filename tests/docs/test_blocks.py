"""Every code block of the documentation: run, or at least read by what it is written for."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli
import yaml

from docs.pages import ROOT, Block, blocks, pages

TESTS = ROOT / "tests"
RUNS = ("python", "sql")
# Diagrams, logs and what a program prints.
PROSE = ("", "text")

UNHOOKED = """from sqlalchemy import create_engine
engine = create_engine("postgresql+psycopg://app@x.cluster-y.us-east-1.rds.amazonaws.com/postgres")"""


def _in_shell(source: str) -> None:
    bash = shutil.which("bash")
    assert bash, "bash is needed to read the shell blocks"
    read = subprocess.run([bash, "-n"], input=source, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr


READ: dict[str, Callable[[str], object]] = {
    "sh": _in_shell,
    "json": json.loads,
    "yaml": lambda source: list(yaml.safe_load_all(source)),
    "toml": tomli.loads,
    "ini": lambda source: configparser.ConfigParser().read_string(source),
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [page for page in pages() if any(block.language in RUNS for block in blocks(page))], ids=_name
)
def test_what_a_page_shows_runs(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "docs.run_page", str(page)],
        cwd=TESTS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Exception ignored" not in done.stderr
    ran = sum(block.language in RUNS for block in blocks(page))
    assert f"{ran} blocks ran" in done.stdout


@pytest.mark.parametrize(
    "block",
    [block for page in pages() for block in blocks(page) if block.language not in RUNS],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_what_is_not_run_is_read(block: Block) -> None:
    if block.language not in PROSE:
        assert block.language in READ, f"nobody reads {block.language!r}"
        READ[block.language](block.source)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\npgiam.generate_auth_token(host='x.example.com', user='app')\n```", "EndpointError"),
        ("```python\nprint('one')\n# two\n```", "it printed 'one"),
        ("<!-- docs: raises=pgiam.EndpointError -->\n```python\n1\n```", "was to raise pgiam.EndpointError"),
        ("```sql\nGRANT rds_iam TO nobody_at_all;\n```", "nobody_at_all"),
        ("```sql\nAWS IAM GRANT app;\n```", "no such statement"),
        ("```python\nasync def main():\n    raise KeyError('awaited')\n```", "awaited"),
        (f"```python\n{UNHOOKED}\n```", "no password supplied"),
        ("```python\ndef test_it():\n    assert False\n```", "1 failed"),
        ("<!-- docs: no-such-thing -->", "is no directive"),
    ],
)
def test_a_page_that_is_wrong_fails(text: str, complaint: str, tmp_path: Path) -> None:
    page = tmp_path / "wrong.md"
    page.write_text(text + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "docs.run_page", str(page)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode != 0
    assert re.search(complaint, done.stderr), done.stderr
