"""Build a wheel that is the same bytes wherever and whenever the same source is built with the same tools.

    python tools/build_wheel.py --out dist
    python tools/build_wheel.py --out dist --target aarch64-unknown-linux-gnu --zig manylinux2014
    python tools/build_wheel.py --out dist --interpreter python3.14t

The product holds no path of the machine: the compiler writes where a panic comes from into it, and names the crates
by their folder. Needs maturin on PATH or beside this interpreter, and cargo; `--zig` needs PyPI's ziglang beside
this interpreter, whose linker can be told which C library to be content with.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import build_sbom

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description="Build a wheel, reproducibly.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profile", default="release")
    parser.add_argument("--interpreter", default=sys.executable)
    parser.add_argument("--target", help="a Rust target triple; by default this machine's")
    parser.add_argument("--zig", metavar="TAG", help="link with zig for this tag: manylinux2014, musllinux_1_2")
    options = parser.parse_args()
    environment = reproducible()
    # The folders of the crates are known once they are there.
    subprocess.run(["cargo", "fetch", "--locked", "--quiet"], cwd=ROOT, env=environment, check=True)
    environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(compiler_flags(environment))
    sbom = ROOT / "target" / "sbom" / (options.target or "native") / build_sbom.DEFAULT_OUT.name
    sbom.parent.mkdir(parents=True, exist_ok=True)
    sbom.write_text(build_sbom.build(options.target), encoding="utf-8")
    command = [maturin(), "build", "--locked", "--profile", options.profile, "--sbom-include", str(sbom)]
    command += ["--out", str(options.out), "--interpreter", options.interpreter]
    command += ["--target", options.target] if options.target else []
    command += ["--zig", "--compatibility", options.zig] if options.zig else []
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def reproducible() -> dict[str, str]:
    environment = dict(os.environ)
    for name in ("RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"):  # either of the two would go the way of ours
        environment.pop(name, None)
    beside = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([beside, environment.get("PATH", "")])
    return environment


def compiler_flags(environment: dict[str, str]) -> list[str]:
    facts = build_sbom.rustc_facts()
    command = ["rustc", "--print", "sysroot"]
    sysroot = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout.strip()
    home = Path(environment.get("CARGO_HOME") or Path.home() / ".cargo")
    renamed = {
        str(ROOT): "pgiam",
        str(Path(sysroot, "lib", "rustlib", "src", "rust")): f"/rustc/{facts['commit-hash']}",
    }
    renamed |= {str(registry): "crates" for registry in sorted(home.glob("registry/src/*"))}
    return [f"--remap-path-prefix={path}={name}" for path, name in renamed.items()]


def maturin() -> str:
    beside = shutil.which("maturin", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("maturin")
    if found is None:
        raise SystemExit("maturin is not installed: pip install maturin")
    return found


if __name__ == "__main__":
    sys.exit(main())
