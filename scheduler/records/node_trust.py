"""Trust in nodes: those whose credentials were rotated or revoked.

Of every other node the first credential is valid.
"""

from __future__ import annotations

from scheduler.engine.credential import FIRST, Trust
from scheduler.records.database import Connection, Row


def trust_in(c: Connection, node: str) -> Trust:
    row = c.one("find_node_credential", node=node)
    return FIRST if row is None else _trust(row)


def all_trust(c: Connection) -> dict[str, Trust]:
    """The trust of each node whose credentials were changed, by node. An operator has named each, so they are few."""
    return {row["node"]: _trust(row) for row in c.all("list_node_credentials")}


def revoked_nodes(c: Connection) -> set[str]:
    return {node for node, trust in all_trust(c).items() if trust.is_revoked}


def rotate(c: Connection, node: str, until: int | None) -> Trust:
    return _put(c, node, trust_in(c, node).rotate(until))


def revoke(c: Connection, node: str, now: int) -> Trust:
    return _put(c, node, trust_in(c, node).revoke(now))


def _put(c: Connection, node: str, trust: Trust) -> Trust:
    c.run(
        "put_node_credential",
        node=node,
        generation=trust.generation,
        oldest=trust.oldest,
        until=trust.until,
        revoked=trust.revoked,
    )
    return trust


def _trust(row: Row) -> Trust:
    return Trust(row["generation"], row["oldest"], row["until"], row["revoked"])
