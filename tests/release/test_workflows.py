"""What a linter cannot know of our workflows: that what is promised is built, tested, and needed by the release."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAY_WRITE = {"attest": {"id-token", "attestations"}, "publish": {"id-token"}, "release": {"contents"}}


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    return content


def steps() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.stem}-{job}-{number}", step)
        for path in WORKFLOWS
        for job, content in load(path.name)["jobs"].items()
        for number, step in enumerate(content["steps"])
    ]


def needed_by(jobs: dict[str, Any], name: str) -> set[str]:
    found: set[str] = set()
    for other in jobs[name].get("needs", []):
        found |= {other} | needed_by(jobs, other)
    return found


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "wheels.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash(path: Path) -> None:
    used = [line.split("uses: ", 1)[1] for line in path.read_text(encoding="utf-8").splitlines() if "uses: " in line]
    assert used
    assert [action for action in used if not PINNED.match(action)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_the_least(path: Path) -> None:
    content = load(path.name)
    assert content["permissions"] == {}
    for name, job in content["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        assert writes == MAY_WRITE.get(name, set()), name
        assert "secrets." not in yaml.safe_dump(job), name


def test_publishing_needs_every_build_and_test() -> None:
    jobs = load("wheels.yml")["jobs"]
    after = {"publish", "release"}
    assert needed_by(jobs, "publish") == set(jobs) - after
    for name in ("attest", *after):
        assert jobs[name]["if"] == "startsWith(github.ref, 'refs/tags/v')", name
    assert jobs["publish"]["environment"]["name"] == "pypi"


def test_what_publishing_takes_is_what_builds_left() -> None:
    jobs = load("wheels.yml")["jobs"]
    left = {
        step["with"]["name"].partition("-")[0]
        for name in needed_by(jobs, "publish")
        for step in jobs[name]["steps"]
        if "upload-artifact" in step.get("uses", "")
    }
    assert left == {"dist", "sbom"}
    taken = [step["with"]["pattern"] for step in jobs["publish"]["steps"] if "download-artifact" in step["uses"]]
    assert taken == ["dist-*"]


def test_every_promised_python_is_tested() -> None:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', metadata)
    assert load("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == promised
    assert load("wheels.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == promised


def test_every_platform_of_the_policy_has_its_wheels() -> None:
    jobs = load("wheels.yml")["jobs"]
    linux, others = (jobs[name]["strategy"]["matrix"] for name in ("linux", "macos-windows"))
    built = {f"{arch}-unknown-linux-{libc}" for arch in linux["arch"] for libc in linux["libc"]}
    on = {
        "macos-15": "aarch64-apple-darwin",
        "macos-15-intel": "x86_64-apple-darwin",
        "windows-2025": "x86_64-pc-windows-msvc",
    }
    built |= {on[system] for system in others["os"]}
    policy = (ROOT / "deny.toml").read_text(encoding="utf-8").partition("targets = [")[2].partition("]")[0]
    assert built == set(re.findall(r'"([^"]+)"', policy))
    for matrix in (linux, others):
        assert matrix["python"] == ["3.13", "3.14t"]  # one abi3 wheel, and one that is free-threaded


def test_one_rust_for_all() -> None:
    assert load("ci.yml")["env"]["RUST"] == load("wheels.yml")["env"]["RUST"]


@pytest.mark.parametrize(("name", "step"), steps(), ids=lambda value: value if isinstance(value, str) else "")
def test_scripts_are_shell_and_what_they_run_is_there(name: str, step: dict[str, Any]) -> None:
    script = step.get("run")
    if script is None:
        assert "uses" in step
        return
    assert "${{" not in script, "a value from outside belongs into `env`"
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)
    for path in re.findall(r"(?<![\w/.-])((?:tools|tests|\.ci)/[\w./-]+)", script):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\bmake ([\w-]+)", script):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target
