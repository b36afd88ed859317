"""How one agent asks another for an intermediate: `GET SERVES/blobs/ID?for=NODE&ticket=TICKET`.

An agent tells the supervisor a key, and nobody else. Who shows it the keyed hash of a blob's id
and a node's name can only have it from the supervisor, who hands it to the agent on that node whose
task needs that blob: so an agent gets what it was told of, and nothing besides. Neither side keeps a
list of tickets. A node whose credential is revoked is refused by its name, whatever tickets it has.
"""

from __future__ import annotations

import hmac
from urllib.parse import quote

PATH = "/blobs/"


def ticket_of(key: str, blob: str, reader: str) -> str:
    """What opens a blob for the agent of one node: 64 hexadecimal digits."""
    return hmac.digest(key.encode(), f"{blob} {reader}".encode(errors="surrogateescape"), "sha256").hex()


def opens(key: str, blob: str, reader: str, ticket: str) -> bool:
    """Is this the blob's ticket for that node? Takes as long whether it is or not."""
    return hmac.compare_digest(ticket_of(key, blob, reader).encode(), ticket.encode(errors="surrogateescape"))


def source_of(serves: str, key: str, blob: str, reader: str) -> str:
    """The URL that a supervisor writes into `BlobRef.source`, of what `RegisterRequest` says."""
    return f"{serves.rstrip('/')}{PATH}{blob}?for={quote(reader, safe='')}&ticket={ticket_of(key, blob, reader)}"
