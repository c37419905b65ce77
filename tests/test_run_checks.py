"""tools/run_checks.py must not call a failure a success, and must not stop at the first one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import run_checks
from run_checks import Outcome, Step, StepError, digest, perform, summarise


def failing(error: Exception) -> Step:
    def action() -> None:
        raise error

    return Step("bad", action)


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (Step("good", lambda: None), None),
        (failing(StepError("ended with status 1")), "ended with status 1"),
        (failing(FileNotFoundError(2, "No such file", "cargo")), "FileNotFoundError"),
        (Step("bad", lambda: run_checks.run(sys.executable, "-c", "raise SystemExit(3)")), "ended with status 3"),
        (Step("bad", lambda: run_checks.run("/nonexistent/program")), "FileNotFoundError"),
    ],
)
def test_outcome_of_a_step(step: Step, problem: str | None) -> None:
    outcome = perform(step)
    assert outcome.name == step.name
    if problem is None:
        assert outcome.problem is None
    else:
        assert outcome.problem is not None
        assert problem in outcome.problem


def test_one_failure_fails_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Outcome("good", None, 1.0), Outcome("bad", "ended with status 1", 2.5)
    assert summarise([good]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all steps ok"
    assert summarise([good, bad, good]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[3:6]] == [["good", "ok"], ["bad", "FAILED"], ["good", "ok"]]
    assert lines[-1] == "1 of 3 steps failed: bad"


def test_output_passes_through_and_its_last_line_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    last = run_checks.run(sys.executable, "-c", r"print('first'); print('\x1b[32m3 passed\x1b[0m'); print()")
    assert last == "3 passed"
    assert capsys.readouterr().out.startswith("first\n")


def test_settings_of_make_stay_out_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "python")
    monkeypatch.setenv("ARGS", "-k name")
    code = "import os; print(sorted({'PYTHONPATH', 'ARGS'} & set(os.environ)))"
    assert run_checks.run(sys.executable, "-c", code) == "[]"


def test_changed_input_is_noticed(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("ab")
    second.write_text("c")
    before = digest([first, second])
    assert digest([first, second]) == before
    first.write_text("a")
    second.write_text("bc")
    assert digest([first, second]) != before
    assert digest([first, second], "rustc 2") != digest([first, second], "rustc 1")


def test_wheel_that_was_not_built_is_not_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checks, "WHEELS", tmp_path)
    with pytest.raises(StepError, match="was not built"):
        run_checks.require_installed()
    (tmp_path / "pgiam-9-py3-none-any.whl").write_bytes(b"of today")
    with pytest.raises(StepError, match="is not installed"):
        run_checks.require_installed()


def test_packages_are_left_out_with_their_hashes() -> None:
    pins = "a==1 \\\n    --hash=sha256:1\n    # via b\na-b==2 ; x \\\n    --hash=sha256:2 \\\n    --hash=3\nc==3\n"
    assert run_checks.without(["a-b"], pins) == "a==1 \\\n    --hash=sha256:1\n    # via b\nc==3\n"
    assert run_checks.without(["c"], pins) == pins.removesuffix("c==3\n")
    assert run_checks.without(["b"], pins) == pins
