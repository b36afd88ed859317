"""Tickets: how one agent asks another for an intermediate, `GET SERVES/blobs/ID?for=NODE&ticket=TICKET`.

An agent shares a key with the supervisor alone. A ticket is the hash, keyed with that key, of a blob's id and
the name of the reading node; so only the supervisor can issue it, and it does so for the agent whose
task needs that blob. An agent can therefore read the blobs that its leases name, and no others. Neither side keeps a
list of tickets. A node whose credential is revoked is refused by its name, whatever tickets it has.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote

PATH = "/blobs/"


def ticket_of(key: str, blob: str, reader: str) -> str:
    """The ticket that lets the agent of node `reader` read a blob: 64 hexadecimal digits."""
    return hmac.digest(key.encode(), f"{blob} {reader}".encode(errors="surrogateescape"), "sha256").hex()


def opens(key: str, blob: str, reader: str, ticket: str) -> bool:
    """Whether `ticket` is the blob's ticket for that node. Takes constant time."""
    return hmac.compare_digest(ticket_of(key, blob, reader).encode(), ticket.encode(errors="surrogateescape"))


def source_of(serves: str, key: str, blob: str, reader: str) -> str:
    """The URL that a supervisor writes into `BlobRef.source`, from the agent's `RegisterRequest`."""
    return f"{serves.rstrip('/')}{PATH}{blob}?for={quote(reader, safe='')}&ticket={ticket_of(key, blob, reader)}"


def store_name(key: str) -> str:
    """A name of the store that has this key: another store has another one, and the key cannot be told from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]
