"""Inputs made from good ones: the same for the same seed, so that what fails can be run again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
BYTES = (b"\0", b"\xff", b"\r\n", b"%", b"<", b"&", b"]]>", b"\x1b[2J", b"\xc3", b"\xf0\x9f\x98\x80", b"9" * 40, b"-1")


def corpus(name: str) -> list[bytes]:
    files = sorted((CORPUS / name).iterdir())
    assert files, f"the corpus has no {name}"
    return [file.read_bytes() for file in files]


def mutations(name: str, count: int, *, seed: int = 0) -> Iterator[bytes]:
    """Every input of the corpus as it is, then `count` that were changed in one to eight places."""
    inputs = corpus(name)
    yield from inputs
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randint(1, 8)):
            _change(data, inputs, chance)
        yield bytes(data)


def _change(data: bytearray, inputs: list[bytes], chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.choice((1, 2, 8, 64)))
    match chance.randint(0, 5):
        case 0:
            data[start:end] = b""
        case 1:
            data[start:start] = chance.choice(BYTES)
        case 2:
            data[start:end] = chance.choice(BYTES)
        case 3:
            data[start:start] = data[start:end] * chance.choice((1, 2, 50))
        case 4:
            other = chance.choice(inputs)
            data[start:end] = other[chance.randint(0, len(other)) :][: chance.choice((4, 32, 200))]
        case _:
            if start < len(data):
                data[start] ^= 1 << chance.randint(0, 7)
