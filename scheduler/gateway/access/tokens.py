"""Tokens: credentials that the gateway issues and later verifies.

To clients a token is opaque; to the gateway it is an encrypted and authenticated note. Nothing is stored: a process
that holds the service's secret can check a token. There are two kinds, and the verifier must check a second
condition for each (`authentication`):

- A token that a person requested names the key that signed the request, and the time. It expires a week later, and
  is valid only while the key is registered and the account has not been revoked since.
- A token of a job does not expire. It is valid only while the job runs, and while the credential is not revoked of
  the node for whose instances it was made.

The secret is a text of one key a line. The first one encrypts, all of them decrypt. So a secret is changed without an
outage: add the new key as the last line and restart every process; move it to the first line and restart again; after
a week, when the jobs of that time are done, remove the old one.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import TypeAdapter

LIFETIME_MS = 7 * 24 * 3600 * 1000
MAX_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Note:
    """The content of a token: its account, the time of issue (ms), and its key or its job.

    `key` is a fingerprint; with a `job` comes the `node` for whose instances the token was made.
    """

    login: str
    issued: int = 0
    key: str | None = None
    job: str | None = None
    node: str | None = None


NOTE = TypeAdapter(Note)


class Tokens:
    """Issues and verifies tokens with one secret."""

    def __init__(self, secret: bytes) -> None:
        keys = [line for line in map(bytes.strip, secret.splitlines()) if line]
        self._fernet = MultiFernet([Fernet(derived(key)) for key in keys])

    def issue(
        self, login: str, now: int, job: str | None = None, key: str | None = None, node: str | None = None
    ) -> str:
        """A token for `login`: for one job, by its UUID, on one node, or of a key, by its fingerprint. `now` in ms."""
        note = NOTE.dump_json(Note(login, now, key, job, node), exclude_none=True)
        return self._fernet.encrypt_at_time(note, now // 1000).decode()

    def verify(self, token: str, now: int) -> Note | None:
        """The content of a token; None if it is forged, expired, or no token.

        The caller must check whether the job still runs, or the key is still registered.
        """
        if len(token) > MAX_BYTES:
            return None
        try:
            note = NOTE.validate_json(self._fernet.decrypt(token.encode()), strict=True)
        except (InvalidToken, ValueError):
            return None
        return note if note.job or (note.key and now - note.issued <= LIFETIME_MS) else None


def derived(key: bytes) -> bytes:
    """The encryption key that is derived from a line of the secret."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"remora tokens\0" + key).digest())
