"""Tokens: a credential that the gateway gives out and later recognises.

A job acts for its owner long after the request that created it, so it carries a token
instead of a key. To clients a token is opaque; to us it is an encrypted and
authenticated note of who and for which job, with its own time of issue. Nothing is
stored: whoever holds the service's secret can check a token, and a new secret ends all.

A token that a person asked for ends by its age. One of a job has no age: it is as good as
the job is alive, which is for whoever verifies it to ask (`auth`).
"""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken

LIFETIME_SECONDS = 7 * 24 * 3600
MAX_BYTES = 8192


class Tokens:
    """Issues and verifies with one secret (any number of random bytes)."""

    def __init__(self, secret: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"remora tokens\0" + secret).digest()))

    def issue(self, login: str, now: int, job: str | None = None) -> str:
        """A token for `login`, and for one job of his if `job` is its UUID. `now` in ms."""
        note = {"login": login} if job is None else {"login": login, "job": job}
        return self._fernet.encrypt_at_time(json.dumps(note).encode(), now // 1000).decode()

    def verify(self, token: str, now: int) -> tuple[str, str | None] | None:
        """`(login, job)` that the token stands for, or None: forged, expired, not a token.

        Whether the job still runs is not looked at.
        """
        if len(token) > MAX_BYTES:
            return None
        try:
            note = json.loads(self._fernet.decrypt(token.encode()))
            age = now // 1000 - self._fernet.extract_timestamp(token.encode())
        except (InvalidToken, ValueError):
            return None
        job = note.get("job")
        return (note["login"], job) if job or age <= LIFETIME_SECONDS else None
