"""Everything behind the Makefile: build the wheel, install it in .venv, run the checks, sum them up.

Needs only Python >= 3.10 with pip, and cargo. A step runs even if an earlier one failed, unless it needs what
that one should have made. What has not changed since the last run is not made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "tests" / "requirements.txt"
PROFILE = os.environ.get("PROFILE") or "release"
WHEELS = ROOT / "target" / "wheels" / PROFILE
FREE_THREADED_VENV = ROOT / ".venv-free-threaded"
RELEASE_VENV = ROOT / ".venv-release"
RELEASE_REQUIREMENTS = ROOT / "tools" / "release-requirements.txt"
FREE_THREADED_WHEELS = ROOT / "target" / "wheels" / "free-threaded"
# Neither a wheel for free-threaded CPython nor a source distribution; psycopg then takes the system's libpq.
NOT_FREE_THREADED = ("psycopg-binary",)
WHEEL_SOURCES = (
    *("src", "python", "build.rs", "Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", "LICENSE", "NOTICE"),
    *("tools/build_wheel.py", "tools/build_sbom.py"),
)
LINTED = [
    name for name in ("python", "tests", "tools", "benches", "demo", "examples", "fuzz") if (ROOT / name).is_dir()
]


class StepError(Exception):
    """A check that failed; its output has been shown already."""


@dataclass(frozen=True)
class Step:
    name: str
    action: Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    name: str
    problem: str | None
    seconds: float


def main(command: str) -> int:
    environment = Step("virtual environment", make_venv)
    build = [Step("wheel", build_wheel), Step("distribution", check_wheel), Step("install", install_wheel)]
    lint = [
        Step("cargo fmt", lambda: run("cargo", "fmt", "--check")),
        Step("ruff", lambda: run(PYTHON, "-m", "ruff", "check", *LINTED)),
        Step("ruff format", lambda: run(PYTHON, "-m", "ruff", "format", "--check", *LINTED)),
        Step("mypy --strict", lambda: run(PYTHON, "-m", "mypy")),
        Step("policy", check_policy),
        Step("workflows", check_workflows),
        Step("cargo clippy", check_clippy),
    ]
    tests = [Step("stub", check_stub), Step("pytest", run_pytest)]
    if not extra_arguments():
        tests.append(Step("pytest, SQLAlchemy 2.0", run_pytest_on_older_sqlalchemy))
    commands: dict[str, list[Step]] = {
        "all": [*lint, Step("cargo test", run_cargo_test), *build, *tests],
        "lint": lint,
        "install": build,
        "pytest": [*build, *tests[1:]],
        "wheel": [*build[:2], Step("dist", copy_wheel_to_dist)],
        "wheel-portable": [Step("portable wheel", build_portable_wheel)],
        "sdist": [Step("sdist", build_sdist)],
        "free-threaded": [
            Step("free-threaded environment", make_free_threaded_venv),
            Step("free-threaded wheel", build_free_threaded_wheel),
            Step("pytest without the GIL", run_pytest_without_gil),
        ],
        "demo": [*build, Step("demo", lambda: run(PYTHON, "-m", "demo", *extra_arguments()))],
        "bench": [*build, Step("benchmarks", run_benchmarks)],
        "fuzz": [*build, Step("fuzz", lambda: run(PYTHON, "tools/fuzz.py", *extra_arguments()))],
        "format": [Step("format", format_sources)],
        "lock": [Step("lock", lock_requirements)],
    }
    if command not in commands:
        sys.exit(f"no such command: {command!r} (there are {', '.join(commands)})")
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # `make -j wheel sdist` must not make one environment twice at a time
    try:
        return summarise([perform(step) for step in [environment, *commands[command]]])
    finally:
        os.close(lock)


def perform(step: Step) -> Outcome:
    print(f"\n=== {step.name}", flush=True)
    started = time.monotonic()
    problem = None
    try:
        step.action()
    except StepError as error:
        problem = str(error)
        print(f"--- {step.name}: {problem}", flush=True)
    except (OSError, subprocess.SubprocessError) as error:  # a program that is not installed, a full disk
        problem = f"{type(error).__name__}: {error}"
        print(f"--- {step.name}: {problem}", flush=True)
    return Outcome(step.name, problem, time.monotonic() - started)


def summarise(outcomes: list[Outcome]) -> int:
    width = max(len(outcome.name) for outcome in outcomes)
    print("\n" + "step".ljust(width) + "  result  seconds")
    print("-" * width + "  ------  -------")
    for outcome in outcomes:
        result = "FAILED" if outcome.problem else "ok"
        print(f"{outcome.name.ljust(width)}  {result:<6}  {outcome.seconds:7.1f}  {outcome.problem or ''}".rstrip())
    failed = [outcome.name for outcome in outcomes if outcome.problem]
    total = sum(outcome.seconds for outcome in outcomes)
    print(f"{'total'.ljust(width)}          {total:7.1f}\n")
    for line in CLOSING_LINES:
        print(line)
    print(
        f"{len(failed)} of {len(outcomes)} steps failed: {', '.join(failed)}" if failed else "all steps ok", flush=True
    )
    return 1 if failed else 0


# --- the environment ------------------------------------------------------------------------------------------


def make_venv(folder: Path = VENV, requirements: Path = REQUIREMENTS) -> None:
    if sys.version_info < (3, 10):  # noqa: UP036 - this file may be started by any python3
        raise StepError(f"Python >= 3.10 is needed, this is {sys.version.split()[0]} (make PYTHON=python3.12 ...)")
    python = folder / "bin" / "python"
    stamp = folder / "stamps" / "requirements"
    wanted = digest([requirements], sys.version)
    if python.exists() and read(stamp) == wanted:
        return
    # Without pip inside: Debian splits ensurepip off. The pip that runs us installs into it from outside.
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-warn-script-location"]
    run(*pip, "pip")
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements)
    write(stamp, wanted)


def make_free_threaded_venv() -> None:
    interpreter = os.environ.get("INTERPRETER") or "python3.14t"
    question = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"
    if run(interpreter, "-c", question) != "1":
        raise StepError(f"{interpreter} has a GIL: make free-threaded INTERPRETER=python3.14t")
    stamp = FREE_THREADED_VENV / "stamps" / "requirements"
    wanted = digest([REQUIREMENTS], str(shutil.which(interpreter)))
    if read(stamp) == wanted:
        return
    run(interpreter, "-m", "venv", "--clear", FREE_THREADED_VENV)
    pins = FREE_THREADED_VENV / "requirements.txt"
    pins.write_text(without(NOT_FREE_THREADED, REQUIREMENTS.read_text(encoding="utf-8")), encoding="utf-8")
    python = FREE_THREADED_VENV / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", pins)
    write(stamp, wanted)


def without(names: Iterable[str], pins: str) -> str:
    """The pins of all but these packages."""
    pattern = "|".join(re.escape(name) for name in names)
    return re.sub(rf"^(?:{pattern})==[^\n]*\n(?:[ ]+[^\n]*\n)*", "", pins, flags=re.MULTILINE)


def lock_requirements() -> None:
    run(PYTHON, "-m", "pip", "install", "--quiet", "uv")
    options = ["--universal", "--python-version", "3.10", "--generate-hashes", "--no-emit-index-url", "--quiet"]
    options += ["--custom-compile-command", "make lock", *extra_arguments()]
    for pinned in (REQUIREMENTS, RELEASE_REQUIREMENTS):
        source = pinned.with_suffix(".in").relative_to(ROOT)
        run(PYTHON, "-m", "uv", "pip", "compile", *options, "-o", pinned.relative_to(ROOT), source)


# --- the wheel ------------------------------------------------------------------------------------------------


def build_wheel() -> None:
    stamp = WHEELS / "inputs"
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
    wanted = digest(source_files(), compiler)
    if read(stamp) == wanted and len(list(WHEELS.glob("*.whl"))) == 1:
        print(f"up to date: {the_wheel().relative_to(ROOT)}")
        return
    shutil.rmtree(WHEELS, ignore_errors=True)
    run(PYTHON, "tools/build_wheel.py", "--profile", PROFILE, "--out", WHEELS)
    write(stamp, wanted)


def build_portable_wheel() -> None:
    """For every Linux with this C library or a newer one. ARGS="--target ... --zig musllinux_1_2" for others."""
    make_venv(RELEASE_VENV, RELEASE_REQUIREMENTS)
    folder = ROOT / "target" / "wheels" / "portable"
    shutil.rmtree(folder, ignore_errors=True)
    python = RELEASE_VENV / "bin" / "python"
    run(python, "tools/build_wheel.py", "--out", folder, *(extra_arguments() or ["--zig", "manylinux2014"]))
    run(PYTHON, "tools/check_distribution.py", *folder.glob("*.whl"))
    for wheel in folder.glob("*.whl"):
        copy_to_dist(wheel)


def build_free_threaded_wheel() -> None:
    """In a folder of its own: another interpreter would have Cargo compile PyO3 again, there and back."""
    shutil.rmtree(FREE_THREADED_WHEELS, ignore_errors=True)
    target = f"CARGO_TARGET_DIR={ROOT / 'target' / 'free-threaded'}"
    python = FREE_THREADED_VENV / "bin" / "python"
    options = ("--profile", PROFILE, "--out", FREE_THREADED_WHEELS, "--interpreter", python)
    run("env", target, PYTHON, "tools/build_wheel.py", *options)
    (wheel,) = FREE_THREADED_WHEELS.glob("*.whl")
    run(PYTHON, "tools/check_distribution.py", wheel)
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel)


def build_sdist() -> None:
    folder = ROOT / "target" / "sdist"
    shutil.rmtree(folder, ignore_errors=True)
    run(PYTHON, "-m", "maturin", "sdist", "--out", folder)
    run(PYTHON, "tools/check_distribution.py", *folder.glob("*.tar.gz"))
    for archive in folder.glob("*.tar.gz"):
        copy_to_dist(archive)


def install_wheel() -> None:
    wheel = the_wheel()
    stamp = VENV / "stamps" / "wheel"
    wanted = digest([wheel])
    if read(stamp) == wanted:
        return
    run(PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel)
    write(stamp, wanted)


def copy_wheel_to_dist() -> None:
    copy_to_dist(the_wheel())


def copy_to_dist(file: Path) -> None:
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    copied = Path(shutil.copy2(file, dist))
    print(f"{copied.relative_to(ROOT)}  {copied.stat().st_size / 1e6:.2f} MB  sha256:{digest_of(copied)}")


def the_wheel() -> Path:
    wheels = list(WHEELS.glob("*.whl"))
    if len(wheels) != 1:
        raise StepError("the wheel was not built")
    return wheels[0]


def source_files() -> Iterable[Path]:
    for name in WHEEL_SOURCES:
        path = ROOT / name
        if path.is_dir():
            found = (file for file in path.rglob("*") if file.is_file())
            yield from sorted(file for file in found if file.suffix not in {".pyc", ".so"})
        elif path.exists():
            yield path


# --- the checks -----------------------------------------------------------------------------------------------


def check_clippy() -> None:
    run("cargo", "clippy", "--locked", "--quiet", "--all-targets", "--all-features", "--", "-D", "warnings")


def run_cargo_test() -> None:
    run("cargo", "test", "--locked", "--quiet")


def check_policy() -> None:
    run(PYTHON, "tools/check_policy.py")
    if shutil.which("cargo-deny"):
        run("cargo", "deny", "check")


def check_workflows() -> None:
    run(VENV / "bin" / "zizmor", "--offline", "--no-progress", "--quiet", "--persona=auditor", ".github/workflows")


def check_wheel() -> None:
    run(PYTHON, "tools/check_distribution.py", the_wheel())


def check_stub() -> None:
    require_installed()
    run(PYTHON, "tools/check_stub.py")


def run_pytest() -> None:
    require_installed()
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    last = run(VENV / "bin" / "pytest", *colour, *extra_arguments())
    CLOSING_LINES.append(last)


def run_pytest_without_gil() -> None:
    """Others' extensions may not switch the GIL on; that ours does not is a test of its own."""
    if not list(FREE_THREADED_WHEELS.glob("*.whl")):
        raise StepError("the wheel was not built")
    tests = [f"tests/{part}" for part in ("core", "identity", "drivers", "sandbox")]
    pytest = FREE_THREADED_VENV / "bin" / "pytest"
    CLOSING_LINES.append(run("env", "PYTHON_GIL=0", pytest, *(extra_arguments() or tests)))


def run_pytest_on_older_sqlalchemy() -> None:
    """The integrations on SQLAlchemy's other supported line, which the lock names for Python 3.10."""
    require_installed()
    text = REQUIREMENTS.read_text(encoding="utf-8")
    pinned = re.search(r"^(sqlalchemy==2\.0\.\d+)[^\n]*?(\\\n(?:    --hash=\S+ ?\\?\n)+)", text, re.MULTILINE)
    if pinned is None:
        raise StepError(f"{REQUIREMENTS.name} pins no SQLAlchemy 2.0")
    folder = VENV / "sqlalchemy-2.0"
    wanted = pinned[1] + " " + pinned[2]
    if read(folder / "requirement") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "pin.txt").write_text(wanted, encoding="utf-8")
        install = ("install", "--quiet", "--no-deps", "--require-hashes", "--target", folder, "-r", folder / "pin.txt")
        run(PYTHON, "-m", "pip", *install)
        write(folder / "requirement", wanted)
    paths = f"pythonpath={folder} tests tools"
    CLOSING_LINES.append(run(VENV / "bin" / "pytest", "-q", "-o", paths, "--sqlalchemy=2.0", "tests/drivers"))


def run_benchmarks() -> None:
    run(PYTHON, "benches/run.py", *extra_arguments())


def format_sources() -> None:
    run("cargo", "fmt")
    run(PYTHON, "-m", "ruff", "check", "--fix", "--select", "I", *LINTED)
    run(PYTHON, "-m", "ruff", "format", *LINTED)


def require_installed() -> None:
    """Never test yesterday's wheel because today's did not build."""
    if read(VENV / "stamps" / "wheel") != digest([the_wheel()]):
        raise StepError("the wheel is not installed")


# --- plumbing -------------------------------------------------------------------------------------------------

CLOSING_LINES: list[str] = []
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(*command: str | Path) -> str:
    """Run in the repository's root, output passed through; returns the last line that was not blank."""
    words = [str(word) for word in command]
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS", "PROFILE"):
        environment.pop(name, None)
    # One interpreter for every build script: another value would compile PyO3 again.
    environment.update(PYO3_PYTHON=str(PYTHON), VIRTUAL_ENV=str(VENV), PIP_DISABLE_PIP_VERSION_CHECK="1")
    last = ""
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        if process.stdout is None:
            raise AssertionError("asked for a pipe")
        for raw in process.stdout:
            line = raw.decode(errors="replace")
            print(line, end="", flush=True)
            last = COLOUR.sub("", line).strip() or last
    if process.returncode:
        if words[0].endswith("pytest"):
            CLOSING_LINES.append(last)
        raise StepError(f"{Path(words[0]).name} {' '.join(words[1:3])} ended with status {process.returncode}")
    return last


def extra_arguments() -> list[str]:
    """make's ARGS="..."."""
    return shlex.split(os.environ.get("ARGS", ""))


def digest(files: Iterable[Path], *more: str) -> str:
    sha = hashlib.sha256()
    for file in files:
        sha.update(f"{file}\0".encode() + file.read_bytes() + b"\0")
    for text in more:
        sha.update(text.encode())
    return sha.hexdigest()


def digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
