"""How one agent asks another for an intermediate: `GET SERVES/blobs/ID?ticket=TICKET`.

An agent tells the supervisor a key, and nobody else. Who shows it the keyed hash of a blob's id
can only have it from the supervisor, who hands it to the agent whose task needs that blob: so
an agent gets what it was told of, and nothing besides. Neither side keeps a list of tickets.
"""

from __future__ import annotations

import hmac

PATH = "/blobs/"


def ticket_of(key: str, blob: str) -> str:
    """What opens a blob: 64 hexadecimal digits."""
    return hmac.digest(key.encode(), blob.encode(), "sha256").hex()


def opens(key: str, blob: str, ticket: str) -> bool:
    """Is this the blob's ticket? Takes as long whether it is or not."""
    return hmac.compare_digest(ticket_of(key, blob).encode(), ticket.encode(errors="surrogateescape"))


def source_of(serves: str, key: str, blob: str) -> str:
    """The URL that a supervisor writes into `BlobRef.source`, of what `RegisterRequest` says."""
    return f"{serves.rstrip('/')}{PATH}{blob}?ticket={ticket_of(key, blob)}"
