"""Find the private key that a fingerprint means, and sign with it.

A key id names a public key: MD5 (with or without colons or `MD5:`) or `SHA256:…` of its
SSH form. The private half is looked for where its owner keeps keys: the file that the
profile names for this very key id, the ssh agent (which may hold what no file does), any
file of `~/.ssh` whose key matches.

What comes back is a `Signer`: the fingerprint and algorithm that the wire wants, and a
function from bytes to signature. Which hashes a key can be `using` depends on who signs: a
file does them all, an agent has its own.
"""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cli.client import sshagent
from cli.client.problem import Problem
from cli.client.settings import home_directory
from cli.text import printable
from scheduler.model.credentials import httpsig
from scheduler.model.credentials.httpsig import PublicKey

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY_FILE = 64 * 1024  # no key is longer: other files of ~/.ssh are not read whole


class Signer(NamedTuple):
    """A key to sign with: MD5 fingerprint (colons), HTTP signature algorithm, what else it can do, and the act."""

    fingerprint: str
    algorithm: str
    others: Collection[str]
    act: Callable[[bytes, str], bytes]

    def sign(self, text: bytes) -> bytes:
        return self.act(text, self.algorithm)

    def using(self, algorithm: str) -> Signer:
        """This key with another algorithm. Raises `Problem` if it cannot sign so."""
        if algorithm not in (self.algorithm, *self.others):
            default = self.algorithm.upper()
            raise Problem(f"The algorithm {algorithm.upper()} could not be used with this key (try {default})")
        return self._replace(algorithm=algorithm)


class EncryptedKeyError(Exception):
    """A private key file that wants a passphrase."""


def find(key_id: str, key_file: str = "", *, agent: str | None = None, ssh_dir: Path | None = None) -> Signer:
    """The signer for `key_id`. `agent` is a socket path, by default `SSH_AUTH_SOCK`. Raises `Problem`."""
    directory = str(ssh_dir or f"{home_directory(os.environ) or '/nonexistent'}/.ssh")
    agent = os.environ.get("SSH_AUTH_SOCK", "") if agent is None else agent
    signer = (
        (from_file(key_file, key_id) if key_file else None)
        or (from_agent(agent, key_id) if agent else None)
        or from_directory(directory, key_id)
    )
    if signer is None:
        raise Problem(f"no private key for {key_id}: neither the ssh agent nor a file in {directory} holds it")
    return signer


def from_agent(agent: str, key_id: str) -> Signer | None:
    """The signer of the agent's key; None if there is no such agent or key."""
    try:
        blobs = sshagent.identities(agent)
    except (OSError, sshagent.AgentRefusedError):
        return None
    for blob in blobs:
        key = public_of_blob(blob)
        if key and key.has_fingerprint(key_id):
            others = sshagent.RSA_FLAGS if key.algorithm.startswith("rsa") else ()
            return Signer(key.md5, key.algorithm, others, agent_signature(agent, blob))
    return None


def public_of_blob(blob: bytes) -> PublicKey | None:
    """The key of an SSH blob, whose first field is its kind; None for kinds that cannot sign requests."""
    try:
        kind = next(sshagent.strings(blob)).decode("ascii")
        return PublicKey.parse(f"{kind} {base64.b64encode(blob).decode()}")
    except (ValueError, StopIteration, sshagent.AgentRefusedError):
        return None


def agent_signature(agent: str, blob: bytes) -> Callable[[bytes, str], bytes]:
    """Signing by the agent. It gives ECDSA signatures as two SSH integers; the wire wants DER."""

    def sign(text: bytes, algorithm: str) -> bytes:
        try:
            raw = sshagent.sign(agent, blob, text, algorithm)
            if not algorithm.startswith("ecdsa"):
                return raw
            r, s = (int.from_bytes(part, "big") for part in sshagent.strings(raw))
        except (OSError, ValueError, sshagent.AgentRefusedError) as error:
            raise Problem(f"the ssh agent did not sign: {error}") from error
        return encode_dss_signature(r, s)

    return sign


def from_directory(directory: str, key_id: str) -> Signer | None:
    """The signer of the first file whose key matches. Raises `Problem` if the match is encrypted, or may be."""
    unknown: list[Problem] = []
    for path in candidates(directory, key_id):
        try:
            if signer := from_file(path, key_id):
                return signer
        except Problem as problem:
            if public_matches(path, key_id):
                raise
            if not os.path.exists(public_file(path)):
                unknown.append(problem)
    if unknown:
        raise Problem(f"no private key for {key_id} can be read: {'; '.join(map(str, unknown))}")
    return None


def candidates(directory: str, key_id: str) -> Iterator[str]:
    """Files that may hold the private key: those whose `.pub` says so first, then every other."""
    try:
        with os.scandir(directory) as found:
            files = sorted(file.path for file in found if not file.name.endswith(".pub") and file.is_file())
    except OSError:
        return
    yield from sorted(files, key=lambda path: not public_matches(path, key_id))


def public_file(private: str) -> str:
    return f"{private}.pub"


def public_matches(private: str, key_id: str) -> bool:
    """Whether the `.pub` file beside a private key is of this key."""
    try:
        with open(public_file(private)) as file:
            return PublicKey.parse(file.read()).has_fingerprint(key_id)
    except (OSError, ValueError):
        return False


def from_file(path: str, key_id: str) -> Signer | None:
    """The signer of a private key file, None if it holds no key or another one. Raises `Problem` if encrypted."""
    try:
        key = read_private(path)
        public = PublicKey.parse(public_line(key))
    except EncryptedKeyError:
        raise Problem(f"{path} is protected by a passphrase: add it to the ssh agent (ssh-add {path})") from None
    except (OSError, ValueError):
        return None
    return signer_of(key, public) if public.has_fingerprint(key_id) else None


def of_file(name: str) -> Signer:
    """The signer of a private key file, whatever its fingerprint. Raises `Problem`, `OSError`."""
    try:
        key = read_private(name)
        return signer_of(key, PublicKey.parse(public_line(key)))
    except EncryptedKeyError:
        raise Problem(f"{name} is protected by a passphrase: add it to the ssh agent, and give --keyId") from None
    except ValueError as error:
        raise Problem(f"{name} is no private key: {error}") from None


def signer_of(key: object, public: PublicKey) -> Signer:
    kind = public.algorithm.partition("-")[0]
    others = [name for name in httpsig.ALGORITHMS if name.startswith(kind)]
    return Signer(public.md5, public.algorithm, others, lambda text, algorithm: httpsig.sign(key, text, algorithm))


def read_private(path: str) -> serialization.SSHPrivateKeyTypes:
    """Read an OpenSSH or PEM private key. Raises `OSError`, `ValueError` (not a key), `EncryptedKeyError`.

    An RSA key is taken as it is: to prove its numbers prime takes 40 ms, and it is the user's own, whose signatures
    the service checks.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_KEY_FILE)
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if b"PRIVATE KEY-----" not in data:
        raise ValueError("not a private key")
    if mode & 0o077:
        told = f"warning: others may read the private key {path} (mode {mode:04o}): chmod 600 it"
        print(printable(told), file=sys.stderr)
    try:
        if b"OPENSSH PRIVATE KEY" in data:
            return serialization.load_ssh_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
        pem = serialization.load_pem_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
        return cast("serialization.SSHPrivateKeyTypes", pem)  # other kinds are refused by `public_line`
    except TypeError:
        raise EncryptedKeyError from None
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    except ValueError as error:
        if "password" in str(error).lower():
            raise EncryptedKeyError from None
        raise


def public_line(key: serialization.SSHPrivateKeyTypes) -> str:
    """A private key's public half as one line. Raises `ValueError` for kinds that SSH does not have."""
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(encoding, form).decode()
