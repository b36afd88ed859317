"""A second account on a service, with a key of its own: somebody whose private things are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.client.session import Session
from cli.client.settings import Settings
from scheduler.model.credentials.httpsig import PublicKey
from tests.support.services.gateway import public_line
from tests.support.services.service import Service
from tests.support.services.user import User


@contextmanager
def neighbour(service: Service, login: str = "bob") -> Iterator[User]:
    """Make the account, and act for it."""
    key = Ed25519PrivateKey.generate()
    private = service.state_dir.with_name(f"{login}.key")
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    private.chmod(0o600)
    public = private.with_suffix(".pub")
    public.write_text(f"{public_line(key)}\n")
    service.run("remora", "user", "add", login, "--key", str(public))
    fingerprint = PublicKey.parse(public_line(key)).md5
    with Session(Settings(service.url, login, login, fingerprint, str(private))) as session:
        yield User(session)
