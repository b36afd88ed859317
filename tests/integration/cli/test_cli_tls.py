"""Certificates: believed when the system does, refused when it does not, ignored when told to."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.client.problem import Problem
from cli.client.session import Session
from cli.client.settings import Settings
from tests.support.services.plain_manta import Manta, Reply, manta


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that it has signed itself, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def service(certificate: Path) -> Iterator[Manta]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with manta(context) as running:
        running.replies["GET /jill/stor/a"] = [Reply(body=b"secret")]
        yield running


def both_ways(service: Manta, *, insecure: bool) -> list[bytes]:
    """An object, fetched over the plain connection and through the pool."""
    settings = Settings(url=service.url, account="jill", home="jill", no_auth=True, insecure=insecure)
    with Session(settings) as session:
        first = session.call("GET", "/jill/stor/a").content
        with session.stream("GET", "/jill/stor/a") as reply:
            return [first, reply.read()]


def test_a_certificate_that_the_system_knows_is_believed(
    service: Manta, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert both_ways(service, insecure=False) == [b"secret", b"secret"]


def test_any_certificate_is_believed_when_told_to(service: Manta) -> None:
    assert both_ways(service, insecure=True) == [b"secret", b"secret"]


@pytest.mark.parametrize("way", ["call", "stream"])
def test_an_unknown_certificate_is_refused_with_the_reason(service: Manta, way: str) -> None:
    settings = Settings(url=service.url, account="jill", home="jill", no_auth=True)
    with Session(settings) as session, pytest.raises(Problem) as caught:
        if way == "call":
            session.call("GET", "/jill/stor/a")
        else:
            with session.stream("GET", "/jill/stor/a"):
                pass
    assert caught.value.name == "ConnectError"
    assert f"cannot reach {service.url}: " in caught.value.message
    assert "certificate verify failed" in caught.value.message
