"""The first account: the one that a fresh service has, and its key.

By default it is named after the user who starts the service, and has an Ed25519 key pair made for the purpose, so that
the command line works without settings and no other user of the machine has access.
The pair's key is registered once, when the account or the pair is made; a key that the user gives is registered at
each start. A key that was removed stays removed until a person adds it again.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scheduler.model.credentials.httpsig import PublicKey
from scheduler.model.names import LOGIN
from scheduler.records import accounts
from scheduler.records.accounts import AccountError
from scheduler.records.database import Connection, Database
from scheduler.service.state import StateDir, StateError

log = logging.getLogger("remora.service")


@dataclass(frozen=True, slots=True)
class FirstAccount:
    """The account and the key of the command line's profile. `key_file` is the private key, if it is known."""

    login: str
    key_id: str
    key_file: str | None


def default_login() -> str:
    """The user's name, changed into a login if it is none: `_apt` becomes `u_apt`. Raises StateError."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may be started with a number as its user
        raise StateError(f"user {os.getuid()} has no name on this machine: say --login NAME") from None
    name = re.sub(r"[^A-Za-z0-9_\-.@%]", "_", user)
    return name if LOGIN.match(name) else f"u{name}"


async def ensure(db: Database, state: StateDir, login: str | None, key: Path | None, now: int) -> FirstAccount:
    """Make or find the first account of the service. Raises StateError."""
    oldest = await db.read(_oldest_login)
    name = (oldest or default_login()) if login is None else login
    to_add = key is not None or not pair_in(state.path / "keys").exists()
    key_file = private_half(key) if key else own_key(state.path / "keys")
    line = read_public(key or Path(f"{key_file}.pub"))

    def work(c: Connection) -> str:
        """Create the account if it is new, and register its key unless it was removed.

        Returns the key's fingerprint.
        """
        md5 = PublicKey.parse(line).md5
        new = not accounts.exists(c, name)
        if new:
            accounts.create(c, name, now)
        if accounts.was_removed(c, name, md5):
            log.warning("this key was removed from the account and is not added again", extra={"key": md5})
        elif new or to_add:
            accounts.add_key(c, name, line)
        return md5

    try:
        key_id = await db.write(work)
    except AccountError as error:
        raise StateError(str(error)) from None
    return FirstAccount(name, key_id, str(key_file) if key_file else None)


def _oldest_login(c: Connection) -> str | None:
    row = c.one("oldest_account")
    return None if row is None else row["login"]


def private_half(public: Path) -> Path | None:
    """`id_rsa` beside `id_rsa.pub`, if it exists."""
    private = public.with_suffix("")
    return private.absolute() if public.suffix == ".pub" and private.exists() else None


def read_public(path: Path) -> str:
    """The line of a public key file. Raises StateError."""
    try:
        return checked_line(path.read_bytes(), str(path))
    except OSError as error:
        raise StateError(f"cannot read the public key {path}: {error.strerror}") from None


def checked_line(data: bytes, where: str) -> str:
    """The line of a public key that was read from the file or option `where`. Raises StateError."""
    try:
        line = data.decode().strip()
        PublicKey.parse(line)
    except UnicodeDecodeError:
        raise StateError(f"cannot read the public key {where}: it is not text") from None
    except ValueError as error:
        raise StateError(f"{where} is {error}") from None
    return line


def pair_in(directory: Path) -> Path:
    """The private key file of the pair that belongs to a state directory."""
    return directory / "id_ed25519"


def own_key(directory: Path) -> Path:
    """The private key file of the state directory's own pair, made on first use."""
    path = pair_in(directory)
    if path.exists():
        return path
    directory.mkdir(mode=0o700, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    Path(f"{path}.pub").write_bytes(public + b" remora\n")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return path
