"""Tokens: a credential that the gateway gives out and later recognises.

To clients a token is opaque; to us it is an encrypted and authenticated note. Nothing is stored: a process that
holds the service's secret can check a token. There are two kinds, and neither is good by itself:

- A token that a person asked for names the key whose signature asked for it, and when. It ends a week later; before
  that it is as good as the key is registered and the account not revoked since, for the verifier to look up
  (`authentication`).
- A token of a job has no age. It is as good as the job is alive and the credential of the node is not revoked whose
  instances it was made for, for the verifier to ask.

The secret is a text of one key a line. The first one encrypts, all of them decrypt. So a secret is changed without an
outage: add the new key as the last line and restart every process; move it to the first line and restart again; after
a week, when the jobs of that time are done, take the old one out.
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
    """What a token says: whose it is, since when (ms), and either of which key (a fingerprint) or of which job and for
    the instances of which node."""

    login: str
    issued: int = 0
    key: str | None = None
    job: str | None = None
    node: str | None = None


NOTE = TypeAdapter(Note)


class Tokens:
    """Issues and verifies with one secret: see the module."""

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
        """What the token says; None if it is forged, too old, or no token.

        Whether the job still runs, or the key is still there, is not looked at.
        """
        if len(token) > MAX_BYTES:
            return None
        try:
            note = NOTE.validate_json(self._fernet.decrypt(token.encode()), strict=True)
        except (InvalidToken, ValueError):
            return None
        return note if note.job or (note.key and now - note.issued <= LIFETIME_MS) else None


def derived(key: bytes) -> bytes:
    """The encryption key that a line of the secret stands for."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"remora tokens\0" + key).digest())
