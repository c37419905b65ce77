"""Fuzz what comes from outside, guided by coverage: every target in fuzz/, or those that are named, one after another.

    python tools/fuzz.py --seconds 600 sts dns

The seeds are the corpus of tests/hardening. What is found on the way stays in target/fuzz/corpus, for the next run to
begin with. The Rust targets need no more than the stable compiler and a C++ one; cargo-fuzz can run them, too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "hardening" / "corpus"
BUILD = ROOT / "target" / "fuzz"
RUST = sorted(file.stem for file in (ROOT / "fuzz" / "fuzz_targets").glob("*.rs"))
PYTHON = sorted(file.stem for file in (ROOT / "fuzz" / "python").glob("*.py"))
ATHERIS = "atheris==3.0.0"
# What libFuzzer reads: an edge counter and the operands of comparisons. cargo-fuzz passes the same.
COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "--cfg=fuzzing",
)


def lines(name: str) -> list[bytes]:
    return (CORPUS / name).read_bytes().splitlines()


def files(name: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]


def with_status(bodies: list[bytes]) -> list[bytes]:
    """The first byte chooses the status of the answer: 200 and 400 here."""
    return [status + body for status in (b"0", b"1") for body in bodies]


def token_answers() -> list[bytes]:
    # {"alg":"RS256"}, {"sub":"app","exp":4070908800}
    token = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhcHAiLCJleHAiOjQwNzA5MDg4MDB9.c2lnbmF0dXJl"
    return with_status([token, b'{"value":"' + token + b'"}', b'{"access_token":"' + token + b'"}'])


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "endpoint": lambda: lines("endpoint/hosts.txt"),
    "login": lambda: [b"app", b"a&b#c", b"\xc3\xa9 %41+/=?", b"x" * 63],
    "claims": lambda: lines("claims/claims.txt"),
    "json": lambda: lines("claims/claims.txt"),
    "sts": lambda: with_status(files("sts")),
    "metadata": token_answers,
    "protocol": lambda: files("startup"),
    "http_head": lambda: files("http"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(RUST + PYTHON)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--rust-only", action="store_true", help="without the targets that need atheris and the wheel")
    options = parser.parse_args()
    wanted = options.targets or (RUST if options.rust_only else RUST + PYTHON)
    if unknown := set(wanted) - set(RUST + PYTHON):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if set(wanted) & set(RUST):
        build([name for name in wanted if name in RUST])
    if set(wanted) & set(PYTHON):
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", ATHERIS], check=True)
    broken = [name for name in wanted if not fuzz(name, options.seconds)]
    for name in broken:
        print(f"{name}: the input that broke it is in {BUILD / 'found' / name}")
    return 1 if broken else 0


def host() -> str:
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return next(line.removeprefix("host: ") for line in told.splitlines() if line.startswith("host: "))


def build(names: list[str]) -> None:
    # With --target, build scripts and macros are compiled without these flags, which they would not link with.
    environment = {**os.environ, "RUSTFLAGS": " ".join(COVERAGE), "CARGO_TARGET_DIR": str(BUILD)}
    binaries = [word for name in names for word in ("--bin", name)]
    command = ["cargo", "build", "--locked", "--release", "--quiet", "--target", host(), *binaries]
    subprocess.run(command, cwd=ROOT / "fuzz", env=environment, check=True)


def fuzz(name: str, seconds: int) -> bool:
    print(f"--- {name}", flush=True)
    corpus, found = BUILD / "corpus" / name, BUILD / "found" / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]() if name in SEEDS else []:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    if name in RUST:
        command = [str(BUILD / host() / "release" / name)]
    else:
        command = [sys.executable, str(ROOT / "fuzz" / "python" / f"{name}.py")]
    command += [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048"]
    command += [f"-artifact_prefix={found}/", "-print_final_stats=1", "-verbosity=0", str(corpus)]
    # No target may ask a proxy, or be somebody on AWS.
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("AWS_") and not key.lower().endswith("_proxy")
    }
    return subprocess.run(command, env=clean).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
