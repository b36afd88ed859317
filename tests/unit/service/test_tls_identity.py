"""The files of a certificate, and what is not taken."""

from __future__ import annotations

import logging
import os
import shutil
import ssl
from pathlib import Path

import pytest

from scheduler.tls import authority, names, plain
from scheduler.tls.identity import DAY, Identity, TlsError, TlsFiles, files_of
from tests.support.certificates import Certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "authority")


def refused(files: TlsFiles) -> str:
    with pytest.raises(TlsError) as error:
        Identity(files)
    return str(error.value)


def test_a_good_certificate_is_taken(certificates: Certificates) -> None:
    files = certificates.issue("n1")
    Identity(files)
    assert os.stat(files.key).st_mode & 0o777 == 0o600


def test_old_versions_of_tls_are_not_spoken(certificates: Certificates) -> None:
    identity = Identity(certificates.issue("n1"))
    assert identity.serving.newest.minimum_version is ssl.TLSVersion.TLSv1_2
    assert identity.exchange.newest.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666])
def test_a_key_that_others_can_read_or_change_is_refused(certificates: Certificates, mode: int) -> None:
    files = certificates.issue("n1")
    files.key.chmod(mode)
    assert f"other users can read {files.key}, or change it: chmod 600" in refused(files)


def test_a_certificate_that_has_expired_is_refused(certificates: Certificates) -> None:
    files = certificates.issue("n1", expired=True)
    assert f"the certificate in {files.certificate} has expired on 2" in refused(files)


def test_the_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    ours, others = certificates.issue("n1"), certificates.issue("n2")
    why = refused(TlsFiles(ours.certificate, others.key, ours.authority))
    assert "the key is not that of the certificate" in why


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cert.pem", "has no certificate in PEM form"),
        ("key.pem", "cannot be used"),
        ("ca.pem", "no certificate in PEM"),
    ],
)
def test_a_file_of_something_else_is_named(certificates: Certificates, name: str, why: str) -> None:
    files = certificates.issue("n1")
    files.key.with_name(name).write_text("nonsense\n")
    assert why in (said := refused(files))
    assert name in said


def test_a_missing_file_is_named(certificates: Certificates, tmp_path: Path) -> None:
    files = certificates.issue("n1")
    assert f"--tls-key: cannot read {tmp_path}/none" in refused(TlsFiles(files.certificate, tmp_path / "none"))
    assert f"--tls-cert: cannot read {tmp_path}/none" in refused(TlsFiles(tmp_path / "none", files.key))


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    assert files_of(None, None) is None
    for told in ((tmp_path, None), (None, tmp_path), (None, None, tmp_path), (None, None, None, tmp_path)):
        with pytest.raises(TlsError, match=r"go(es)? (together|with)"):
            files_of(*told)


def test_broken_new_files_change_nothing_and_good_ones_all(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    files = certificates.issue("n1", days=50)
    identity = Identity(files)
    before = (identity.expires, identity.serving.newest, identity.fetching.newest)
    shutil.copy(certificates.issue("n2").key, files.key)
    with caplog.at_level(logging.INFO):
        identity.renew()
    assert caplog.messages == ["the new certificate is not used"]
    assert (identity.expires, identity.serving.newest, identity.fetching.newest) == before
    certificates.issue("n1", days=70)
    identity.renew()
    assert identity.expires - before[0] == pytest.approx(20 * DAY, abs=60)
    assert identity.serving.newest is not before[1]


@pytest.mark.parametrize(("days", "warned"), [(15.5, False), (13.5, True)])
def test_a_certificate_that_ends_within_two_weeks_is_warned_of(
    certificates: Certificates, caplog: pytest.LogCaptureFixture, days: float, warned: bool
) -> None:
    identity = Identity(certificates.issue("n1", days=50))
    identity.warn(identity.expires - days * DAY)
    assert caplog.messages == (["the certificate expires soon"] if warned else [])


# Names.

WITH_ROLES = {"subjectAltName": (("DNS", "n1"), ("URI", "remora://agent/n1"), ("URI", "remora://gateway/n1"))}
OF_OTHERS = {"subject": ((("commonName", "n1"),),), "subjectAltName": (("DNS", "n1.example"), ("URI", "https://n9/"))}


@pytest.mark.parametrize(
    ("certificate", "role", "name", "speaks"),
    [
        (WITH_ROLES, "agent", "n1", True),
        (WITH_ROLES, "agent", None, True),
        (WITH_ROLES, "agent", "n2", False),
        (WITH_ROLES, "supervisor", "n1", False),
        (WITH_ROLES, "supervisor", None, False),
        (OF_OTHERS, "agent", "n1", True),
        (OF_OTHERS, "agent", "n1.example", True),
        (OF_OTHERS, "supervisor", None, True),
        (OF_OTHERS, "agent", "n2", False),
        ({}, "agent", "n1", False),
        ({"subjectAltName": (("URI", "remora://agent/n1%2Fx"),)}, "agent", "n1/x", True),
        ({"subjectAltName": (("URI", "remora://agent/n1/x"),)}, "agent", "n1/x", False),
    ],
)
def test_a_certificate_speaks_for_its_names_in_its_roles(
    certificate: names.Certificate, role: str, name: str | None, speaks: bool
) -> None:
    assert names.speaks_for(certificate, role, name) is speaks


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_stays_here(host: str) -> None:
    assert plain.stays_here(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.5", "localhost.example", "127.0.0.1.example", "n1"])
def test_nothing_else_stays_here(host: str) -> None:
    assert not plain.stays_here(host)


# The authority.


def test_an_authority_is_not_overwritten(certificates: Certificates) -> None:
    with pytest.raises(TlsError, match=r"has an authority already: its ca\.pem would be lost"):
        authority.init(certificates.directory)


@pytest.mark.parametrize("name", ["a b", "-x", "x..y", "http://n1", "x" * 254])
def test_a_node_is_reached_by_names_and_addresses_alone(certificates: Certificates, name: str) -> None:
    with pytest.raises(TlsError, match="neither a host's name nor an address"):
        certificates.issue("n1", name)


@pytest.mark.parametrize("node", ["", "../n1", "n/1", ".n1", "n 1", "x" * 65])
def test_a_node_s_name_is_no_path(certificates: Certificates, node: str) -> None:
    with pytest.raises(TlsError, match="cannot be the name of a node"):
        certificates.issue(node)


def test_a_directory_without_an_authority_issues_nothing(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="there is no authority in"):
        authority.issue(tmp_path, "n1")
