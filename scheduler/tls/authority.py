"""The small authority of a cluster: a key and a certificate in a directory, and the certificates that it has issued.

    DIR/ca.pem  DIR/ca.key                 the authority; the key never leaves its directory
    DIR/nodes/NAME/{cert,key,ca}.pem       what a node needs, to be copied to it

A certificate is valid as a client's and as a server's, for the node's own name and for the names and addresses that
are given, in each of its roles.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scheduler.tls.identity import TlsError, check_key
from scheduler.tls.names import ROLES, uri

CERTIFICATE, KEY = "ca.pem", "ca.key"
# The clock of another machine may be a little behind.
BEFORE = timedelta(minutes=10)
AUTHORITY_DAYS, NODE_DAYS = 3650, 365
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DNS_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
MAX_DNS = 253


def init(directory: Path, days: int = AUTHORITY_DAYS) -> Path:
    """Create an authority in a directory that has none; returns the path of its certificate. Raises TlsError."""
    for file in (CERTIFICATE, KEY):
        if (directory / file).exists():
            raise TlsError(f"{directory} has an authority already: its {file} would be lost")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Remora cluster {secrets.token_hex(4)}")])
    builder = _builder(name, name, key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    made = builder.sign(key, hashes.SHA256())
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(directory / KEY, pem(key), 0o600)
        write(directory / CERTIFICATE, made.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise TlsError(f"cannot make an authority in {directory}: {error.strerror}") from None
    return directory / CERTIFICATE


def issue(
    directory: Path, node: str, names: Iterable[str] = (), roles: Sequence[str] = ROLES, days: int = NODE_DAYS
) -> Path:
    """Make a node's key and certificate, and replace those it has; returns their directory. Raises TlsError."""
    if not NODE_NAME.fullmatch(node):
        raise TlsError(
            f"{node!r} cannot be the name of a node here: it takes up to 64 letters, digits, '.', '_' and '-'"
        )
    above, above_key = _authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    own = [node] if DNS_NAME.fullmatch(node) else []
    found = [general_name(name) for name in dict.fromkeys([*own, *names])]
    found += [x509.UniformResourceIdentifier(uri(role, node)) for role in roles]
    builder = _builder(subject, above.subject, key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(above_key.public_key())
    made = builder.add_extension(issuer, critical=False).sign(above_key, hashes.SHA256())
    place = directory / "nodes" / node
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(place / "key.pem", pem(key), 0o600)
        write(place / "cert.pem", made.public_bytes(Encoding.PEM), 0o644)
        write(place / "ca.pem", (directory / CERTIFICATE).read_bytes(), 0o644)
    except OSError as error:
        raise TlsError(f"cannot write {error.filename}: {error.strerror}") from None
    return place


def general_name(text: str) -> x509.GeneralName:
    """A name or address of a node, as certificates have it. Raises TlsError."""
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    if len(text) > MAX_DNS or not DNS_NAME.fullmatch(text):
        raise TlsError(f"{text!r} is neither a host's name nor an address")
    return x509.DNSName(text)


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a file atomically: processes may read it at any moment. Raises OSError."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(fd, "wb") as file:
        file.write(data)
    fresh.rename(path)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority's certificate and key. Raises TlsError."""
    try:
        certificate = x509.load_pem_x509_certificate((directory / CERTIFICATE).read_bytes())
        key = load_pem_private_key((directory / KEY).read_bytes(), password=None)
    except FileNotFoundError as error:
        raise TlsError(f"there is no authority in {directory}: {error.filename} is missing (`ca init`)") from None
    except (OSError, ValueError, TypeError) as error:
        raise TlsError(f"cannot use the authority in {directory}: {error}") from None
    check_key(directory / KEY, option="")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise TlsError(f"cannot use the authority in {directory}: {KEY} is not the key of {CERTIFICATE}")
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - BEFORE, now + timedelta(days=days)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
