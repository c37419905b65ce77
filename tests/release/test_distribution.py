"""The checks of a distribution must find what they are for, and the bill of materials must be complete and stable."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pwd
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import build_sbom
from check_distribution import SDIST_NEEDS, sdist_problems, wheel_problems
from check_release import problems

INFO = "pgiam-1.0.0.dist-info"


def good_wheel() -> dict[str, bytes]:
    trust = b"a certificate"
    components = [
        {"bom-ref": "pgiam/data/trust.pem", "hashes": [{"content": hashlib.sha256(trust).hexdigest()}]},
        {"bom-ref": "pkg:cargo/aws-sigv4@1.0.0", "hashes": [{"content": "0"}]},
    ]
    return {
        "pgiam/__init__.py": b"",
        "pgiam/_core.pyi": b"",
        "pgiam/_core.abi3.so": b"\x7fELF crates/tokio-1.0.0/src/lib.rs",
        "pgiam/py.typed": b"",
        "pgiam/data/trust.pem": trust,
        "pgiam/data/trust.json": b"{}",
        f"{INFO}/sboms/pgiam.cdx.json": json.dumps({"components": components}).encode(),
    }


def write_wheel(folder: Path, contents: dict[str, bytes], change: Callable[[str], str] = lambda record: record) -> Path:
    def row(name: str, data: bytes) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        return f"{name},sha256={digest},{len(data)}\n"

    record = "".join(row(name, data) for name, data in contents.items()) + f"{INFO}/RECORD,,\n"
    path = folder / "pgiam-1.0.0-cp310-abi3-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**contents, f"{INFO}/RECORD": change(record).encode()}.items():
            archive.writestr(name, data)
    return path


def test_a_good_wheel_passes(tmp_path: Path) -> None:
    assert wheel_problems(write_wheel(tmp_path, good_wheel())) == []


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("pgiam/data/trust.pem", None, "lacks pgiam/data/trust.pem"),
        ("pgiam/_core.abi3.so", None, "has 0 extension modules"),
        ("pgiam/_core.cpython-311.so", b"", "has 2 extension modules"),
        ("pgiam/_core.abi3.so", b"\0/home/me/pgiam/src/lib.rs\0", "names a path of the machine: /home/me"),
        ("pgiam/_core.abi3.so", b"\0C:\\Users\\me\\src\0", "names a path of the machine"),
        ("pgiam/__pycache__/client.cpython-311.pyc", b"", "holds pgiam/__pycache__"),
        ("pgiam/server.key", b"", "holds pgiam/server.key"),
        ("pgiam/data/trust.pem", b"another", "names another trust file"),
        (f"{INFO}/sboms/pgiam.cdx.json", None, "has these bills of materials: []"),
        (f"{INFO}/sboms/pgiam.cdx.json", b'{"components": []}', "lacks the crates"),
        ("pgiam/data/large.bin", bytes(9_000_000), "bytes, over"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_found(tmp_path: Path, name: str, data: bytes | None, problem: str) -> None:
    contents = good_wheel()
    if data is None:
        del contents[name]
    else:
        contents[name] = data
    assert any(problem in found for found in wheel_problems(write_wheel(tmp_path, contents)))


def test_a_record_that_lies_is_found(tmp_path: Path) -> None:
    lying = write_wheel(tmp_path, good_wheel(), lambda record: record.replace("sha256=4", "sha256=5", 1))
    assert any("is not what RECORD says" in found for found in wheel_problems(lying))
    short = write_wheel(tmp_path, good_wheel(), lambda record: record.split("\n", 1)[1])
    assert wheel_problems(short) == ["pgiam/__init__.py is not in RECORD"]


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ((), None),
        (("target/debug/x",), "holds target/debug/x"),
        (("python/pgiam/_core.abi3.so",), "holds python/pgiam/_core.abi3.so"),
        (("tests/.hypothesis/examples/0",), "holds tests/.hypothesis"),
        (("examples/django/.env",), "holds examples/django/.env"),
    ],
)
def test_what_is_wrong_with_an_sdist_is_found(tmp_path: Path, added: tuple[str, ...], problem: str | None) -> None:
    path = tmp_path / "pgiam-1.0.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (*SDIST_NEEDS, *added):
            archive.addfile(tarfile.TarInfo(f"pgiam-1.0.0/{name}"), io.BytesIO())
    found = sdist_problems(path)
    assert found == [] if problem is None else any(problem in text for text in found)


@pytest.mark.parametrize(
    ("tag", "changelog", "count"),
    [
        ("v1.2.0", "# Changelog\n\n## 1.2.0 - 2026-01-02\n", 0),
        ("v1.2.0", "# Changelog\n\n## [1.2.0]\n", 0),
        ("1.2.0", "## 1.2.0\n", 1),
        ("v1.2.1", "## 1.2.0\n", 1),
        ("v1.2.0", "## Unreleased\n\n## 1.2.00\n", 1),
    ],
)
def test_tag_version_and_changelog_agree(tag: str, changelog: str, count: int) -> None:
    manifest = '[package]\nname = "pgiam"\nversion = "1.2.0"\n\n[dependencies]\nx = { version = "9.9.9" }\n'
    assert len(problems(tag, manifest, changelog)) == count


@pytest.fixture(scope="module", autouse=True)
def toolchain() -> Iterator[None]:
    """rustup looks for its toolchains in HOME, which is another one in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", pwd.getpwuid(os.getuid()).pw_dir)
        yield


@pytest.fixture(scope="module")
def bom(toolchain: None) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(build_sbom.build())
    return content


def test_bill_of_materials_names_what_is_linked_and_what_only_builds(bom: dict[str, Any]) -> None:
    scopes = {component["name"]: component["scope"] for component in bom["components"]}
    linked = {"aws-sigv4", "pyo3", "ring", "rustls", "tokio", "zeroize", "rust-std", "pgiam/data/trust.pem"}
    assert {scopes[name] for name in linked} == {"required"}
    assert {scopes[name] for name in ("pyo3-macros", "syn", "cc")} == {"excluded"}
    for component in bom["components"]:
        assert component["version"]
        if component["bom-ref"].startswith("pkg:cargo/"):
            assert len(component["hashes"][0]["content"]) == 64
            assert component["licenses"]


def test_its_graph_is_closed(bom: dict[str, Any]) -> None:
    known = {component["bom-ref"] for component in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
    assert len(known) == len(bom["components"]) + 1
    for node in bom["dependencies"]:
        assert {node["ref"], *node["dependsOn"]} <= known


def test_it_is_the_same_every_time_and_place(bom: dict[str, Any]) -> None:
    again = build_sbom.build()
    assert json.loads(again) == bom
    assert str(build_sbom.ROOT) not in again
    assert json.loads(build_sbom.build("x86_64-pc-windows-msvc"))["serialNumber"] != bom["serialNumber"]
