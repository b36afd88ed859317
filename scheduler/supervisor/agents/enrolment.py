"""Enrolment: which nodes have an agent, as the records know it for all supervisors and for operators.

Each supervisor hears its agents itself, and writes down with its beats which nodes it hears (`membership`). So the
records know, within a few seconds, when a node's agent was heard last. Two read it: `remora cluster status`, which
shows every node, also one started without Nomad; and the next registration.

*Two agents with one name.* A copied credential gives a second agent the name of a node. Each would throw the other
out in turn, and with it what the node keeps. So a name is taken while its agent is heard: a registration with another
store, which a second agent has, is refused until the first has ended in order, or its lease is over. An agent that was
restarted has the same store, and its registration counts at once.

Example: n3's credential is on n4, too. The agent there is refused, with a sentence that names n3, as long as n3 lives.
"""

from __future__ import annotations

from scheduler.model import errors
from scheduler.model.credentials.tickets import store_name
from scheduler.model.wire import LEASE_SECONDS, RegisterRequest
from scheduler.records.database import Connection

# What the records know of an agent besides when it was heard: it works, has ended in order, or is being drained.
WORKS, DEPARTED, DRAINING = range(3)


def enrol(c: Connection, request: RegisterRequest) -> int:
    """Record an agent, and the offer of its node; returns the agent's number. Raises WireError if its name is taken."""
    now, store = c.now(), store_of(request)
    known = c.one("find_node", name=request.node)
    # An agent of an earlier release may not have named its store.
    if known is not None and known["store"] not in (store, "", None) and known["departed"] != DEPARTED:
        silent = now - known["seen"]
        if silent < 1000 * LEASE_SECONDS:
            raise errors.node_taken(request.node, silent / 1000)
    offer = {"memory_mb": request.memory_mb, "disk_gb": request.disk_gb}
    c.run("see_node", name=request.node, **offer, now=now, store=store)
    return c.insert("insert_agent", node=request.node, now=now)


def store_of(request: RegisterRequest) -> str:
    """A name for the store that the node keeps intermediates in.

    Agents of an earlier release do not name it: it is that of their tickets, or "" if other nodes cannot read it.
    """
    if request.store is not None:
        return request.store
    return store_name(request.tickets) if request.serves and request.tickets else ""
