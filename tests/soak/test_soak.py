"""The soak in its short form, and whether it would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from soak.footprint import MIB, Sample, growth, problems

FLAT = [Sample(60 * MIB, 3, 14), Sample(72 * MIB, 5, 19), *[Sample(80 * MIB, 5, 20)] * 9]


def growing(**each_round: int) -> list[Sample]:
    """As flat, but for so much more with every round."""
    return [
        Sample(
            sample.memory + number * each_round.get("memory", 0),
            sample.threads + number * each_round.get("threads", 0),
            sample.files + number * each_round.get("files", 0),
        )
        for number, sample in enumerate(FLAT)
    ]


def test_flat_is_flat() -> None:
    assert problems("it", FLAT) == []
    assert problems("it", growing(memory=MIB // 8)) == []


@pytest.mark.parametrize("leak", [{"memory": 2 * MIB}, {"threads": 1}, {"files": 1}])
def test_what_grows_with_every_round_is_noticed(leak: dict[str, int]) -> None:
    assert len(problems("it", growing(**leak))) == 1


def test_a_single_peak_is_no_growth() -> None:
    assert problems("it", [*FLAT[:-1], Sample(200 * MIB, 30, 90)]) == []


def test_too_few_samples_prove_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        growth(FLAT[:7])


@pytest.mark.timeout(600)
def test_two_minutes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "soak", "--seconds", "90"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: no failed connection, nothing grew" in done.stdout
