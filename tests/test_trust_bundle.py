"""The trust file that ships, and the script that builds it."""

from __future__ import annotations

import datetime
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

import build_trust_bundle as build
from certificate_authority import DAY, NOW, CertificateAuthority
from pgiam import tls

TODAY = NOW.date()
# SHA-256 of the certificates as Amazon states them: https://www.amazontrust.com/repository/
AMAZON_TRUST_SERVICES = {
    "Amazon Root CA 1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "Amazon Root CA 2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "Amazon Root CA 3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "Amazon Root CA 4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "Starfield Services Root Certificate Authority - G2": (
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5"
    ),
}


@pytest.fixture(scope="module")
def shipped() -> list[x509.Certificate]:
    return build.certificates(Path(tls.ca_file()).read_text())


def test_amazon_trust_services(shipped: list[x509.Certificate]) -> None:
    found = {build.common_name(each): each.fingerprint(SHA256()).hex() for each in shipped}
    assert {name: found.get(name) for name in AMAZON_TRUST_SERVICES} == AMAZON_TRUST_SERVICES


def test_three_authorities_for_every_region_listed(shipped: list[x509.Certificate]) -> None:
    rds = {build.common_name(each) for each in shipped} - AMAZON_TRUST_SERVICES.keys()
    kinds = ("RSA2048", "RSA4096", "ECC384")
    assert rds == {f"Amazon RDS {region} Root CA {kind} G1" for region in tls.rds_regions() for kind in kinds}
    assert {"us-east-1", "eu-west-1", "eu-central-1", "ap-south-1", "sa-east-1", "il-central-1"} <= tls.rds_regions()


def test_every_certificate_holds(shipped: list[x509.Certificate]) -> None:
    for certificate in shipped:
        build.check(certificate)
        assert certificate.not_valid_after_utc > NOW, build.common_name(certificate)
    assert len({each.fingerprint(SHA256()) for each in shipped}) == len(shipped)


def test_inventory_lists_what_is_there(shipped: list[x509.Certificate]) -> None:
    inventory = json.loads(Path(tls.ca_file()).with_suffix(".json").read_text())
    listed = {(each["sha256"], each["subject"], each["not_after"]) for each in inventory["certificates"]}
    assert listed == {
        (each.fingerprint(SHA256()).hex(), build.common_name(each), each.not_valid_after_utc.date().isoformat())
        for each in shipped
    }
    unconfirmed = {each["region"] for each in inventory["certificates"] if not each["confirmed_by"]}
    assert unconfirmed == {"il-central-1"}
    assert {each["licence"] for each in inventory["certificates"]} == {"Apache-2.0", "CDLA-Permissive-2.0"}


def test_selection() -> None:
    good = CertificateAuthority("Amazon RDS us-gov-west-1 Root CA RSA2048 G2")
    left_out = [
        CertificateAuthority("Amazon RDS eu-west-1 Root CA RSA2048 G1", until=NOW - DAY),
        CertificateAuthority("Amazon RDS Beta us-east-1 Root CA RSA2048 G1"),
        CertificateAuthority("Amazon RDS Preview us-east-2 Root CA ECC384 G1"),
    ]
    entries = build.select([each.certificate for each in [good, *left_out]], TODAY, "here", "MIT", kind="rds")
    assert [(entry.name, entry.region) for entry in entries] == [(good.name, "us-gov-west-1")]


@pytest.mark.parametrize("name", ["Acme Root CA", "Amazon RDS eu-west-1 Root CA", "Amazon Root CA 5"])
def test_unknown_sort_stops_the_build(name: str) -> None:
    with pytest.raises(build.BundleError, match="of no known sort"):
        build.select([CertificateAuthority(name).certificate], TODAY, "here", "MIT", kind="rds")


def test_rds_name_among_public_roots_stops_the_build() -> None:
    with pytest.raises(build.BundleError, match="no public root programme"):
        build.select([CertificateAuthority().certificate], TODAY, "here", "MIT", kind="roots")


def test_missing_amazon_root_stops_the_build() -> None:
    with pytest.raises(build.BundleError, match="lacks some of"):
        build.select([CertificateAuthority("Acme Root CA").certificate], TODAY, "here", "MIT", kind="roots")


def test_changed_package_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "package.whl").write_bytes(b"something else")
    with pytest.raises(build.BundleError, match="not the pinned file"):
        build.verified(build.RDS_SOURCE, tmp_path.glob("*.whl"))
    with pytest.raises(build.BundleError, match="not the pinned file"):
        build.verified(build.RDS_SOURCE, tmp_path.glob("*.tgz"))


def test_output_does_not_depend_on_the_order_of_the_input() -> None:
    names = [f"Amazon RDS eu-west-{number} Root CA ECC384 G1" for number in range(1, 6)]
    found = [CertificateAuthority(name).certificate for name in names]
    first = build.render(build.merged(build.select(found, TODAY, "here", "MIT", kind="rds")), TODAY)
    random.Random(7).shuffle(found)
    assert build.render(build.merged(build.select(found, TODAY, "here", "MIT", kind="rds")), TODAY) == first


@pytest.fixture
def published() -> Iterator[tuple[str, CertificateAuthority]]:
    """A server that publishes a bundle as AWS does."""
    authority = CertificateAuthority("Amazon RDS cn-north-1 Root CA ECC384 G1")

    class Bundle(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(authority.pem)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Bundle)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", authority
    server.shutdown()
    thread.join()
    server.server_close()


def test_published_bundle_adds_and_confirms(published: tuple[str, CertificateAuthority]) -> None:
    url, authority = published
    official = build.from_official(url, TODAY)
    assert [(entry.region, entry.source) for entry in official] == [("cn-north-1", url)]
    package = build.select([authority.certificate], TODAY, "package", "MIT", kind="rds")
    [entry] = build.merged([*package, *official])
    assert (entry.source, entry.witnesses) == ("package", [url])


def test_day_of_the_build_decides_what_is_expired() -> None:
    found = [CertificateAuthority(until=NOW + 30 * DAY).certificate]
    assert build.select(found, TODAY, "here", "MIT", kind="rds")
    assert not build.select(found, TODAY + datetime.timedelta(days=31), "here", "MIT", kind="rds")
