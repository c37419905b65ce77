"""The completion scripts, read by the shells that they are for where those are installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from cli.conftest import Run


def complete(script: str, *words: str) -> list[str]:
    line = " ".join(f"'{word}'" for word in words)
    asked = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _pgiam; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash(pgiam_command: Run) -> None:
    script = pgiam_command("completion", "bash").stdout
    assert complete(script, "pgiam", "do") == ["doctor"]
    assert set(complete(script, "pgiam", "")) >= {"token", "exec", "env", "whoami", "doctor", "sandbox", "--version"}
    assert complete(script, "pgiam", "doctor", "--tim") == ["--timeout"]
    assert complete(script, "pgiam", "env", "--shell", "p") == ["powershell"]
    assert complete(script, "pgiam", "sandbox", "--flavor", "d") == ["dsql"]
    assert complete(script, "pgiam", "completion", "z") == ["zsh"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, pgiam_command: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    script = pgiam_command("completion", shell).stdout
    for word in ("token-host", "timeout", "powershell", "rds-proxy"):
        assert word in script
    assert script.count("'") % 2 == 0
    if shutil.which(shell) is not None:
        file = tmp_path_factory.mktemp("completion") / "script"
        file.write_text(script)
        subprocess.run([shell, "-n", str(file)], capture_output=True, check=True)
