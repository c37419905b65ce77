"""The pages of the documentation, and the code blocks on them.

What a block means to the tests is said by its language, and where that is not enough by a comment before it:

    <!-- docs: flavor=dsql platform=vercel raises=pgiam.EndpointError literal unused -->

flavor, platform: the sandbox's, for this block and those after it on the page. raises: the block must end with this
exception. literal: host names stay as they are written. unused: what the block makes is not tried out.

    <!-- docs setup
    code that runs before the next block, and that readers are spared
    -->
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = {"literal", "unused"}
KEYS = {"flavor", "platform", "raises"}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[A-Za-z0-9_+-]*)\s*$")
_DIRECTIVE = re.compile(r"^\s*<!-- docs: (?P<said>.*) -->\s*$")
_SETUP = re.compile(r"^\s*<!-- docs setup\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is that of its first line of code."""

    page: str
    line: int
    language: str
    source: str
    said: dict[str, str] = field(default_factory=dict)
    hidden: bool = False


def pages() -> list[Path]:
    """README.md, the guides, and the READMEs of the examples."""
    found = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/README.md")]
    return sorted(path for path in found if ".venv" not in path.parts)


def blocks(path: Path) -> list[Block]:
    """In the order of the page."""
    return list(_blocks(path))


def _blocks(path: Path) -> Iterator[Block]:
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    said: dict[str, str] = {}
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if directive := _DIRECTIVE.match(line):
            said = _read(directive["said"], f"{name}:{number}")
        elif _SETUP.match(line):
            yield Block(name, number + 1, "python", _until(lines, "-->", "", name, number), {}, hidden=True)
        elif fence := _FENCE.match(line):
            source = _until(lines, "```", fence["indent"], name, number)
            yield Block(name, number + 1, fence["language"], source, said)
            said = {}


def _until(lines: Iterator[tuple[int, str]], end: str, indent: str, name: str, start: int) -> str:
    taken: list[str] = []
    for _, line in lines:
        if line.strip() == end:
            return "\n".join(taken) + "\n"
        taken.append(line.removeprefix(indent))
    raise ValueError(f"{name}:{start}: {end} is missing")


def _read(text: str, where: str) -> dict[str, str]:
    said = {}
    for word in shlex.split(text):
        key, equals, value = word.partition("=")
        if key not in (KEYS if equals else FLAGS):
            raise ValueError(f"{where}: {word!r} is no directive")
        said[key] = value
    return said
