"""The standing of a cluster: what Nomad and the records say of each part and node, and what is wrong with it. Pure.

Nomad knows the machines and what it has started on them; the records know which agents work, by Nomad or not, and
which supervisors live. A node is in one of them or in both. Three things are not wrong, although nothing runs there: a
node that was taken out of use (`drain`), one whose agent ended in order, and one whose credential is revoked.

Example: n1 and n2 are Nomad's, n9 has an agent of systemd's. n2's power fails: its agent is lost after 15 s, and Nomad
calls it "down" after half a minute. `wrong` says both. n9 is shut down: its agent has ended, and nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]

# An agent is heard every two seconds, and every four the records learn of it; its lease is ten seconds.
LOST_MS = 15_000
DOWN = ("down", "disconnected")


def agent_of(recorded: Mapping[str, Any] | None) -> str:
    """The state of a node's agent, as the records know it, in a word."""
    if recorded is None:
        return "none"
    if recorded["revoked"]:
        return "revoked"
    if recorded["departed"]:
        return "ended"
    if recorded["heard_ms_ago"] >= LOST_MS:
        return "lost"
    return "draining" if recorded["draining"] else "runs"


def nodes_of(
    placed: Iterable[Mapping[str, Any]], recorded: Iterable[Mapping[str, Any]], leases: Iterable[Mapping[str, Any]]
) -> list[Json]:
    """Every node, by name. `placed`: Nomad's; `recorded`: those that the records know; `leases`: who holds tasks."""
    known, theirs = {row["node"]: row for row in recorded}, {row["node"]: row for row in placed}
    held: dict[str, int] = {}
    for lease in leases:
        held[lease["node"]] = held.get(lease["node"], 0) + lease["tasks"]
    return [
        {
            "node": name,
            "status": theirs[name]["status"] if name in theirs else None,
            "eligible": theirs[name]["eligible"] if name in theirs else None,
            "agent": agent_of(known.get(name)),
            "heard_ms_ago": known[name]["heard_ms_ago"] if name in known else None,
            "tasks": held.get(name, 0),
        }
        for name in sorted(known.keys() | theirs.keys())
    ]


def wrong(found: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it should be, a sentence each."""
    for part in found["parts"]:
        if not part["healthy"] >= part["wanted"] > 0:
            yield f"{part['job']}: {part['healthy']} of {part['wanted']} healthy"
    for node in found["nodes"]:
        if node["eligible"] is False:
            continue
        if node["status"] in DOWN:
            yield f"node {node['node']} is {node['status']}"
        if node["agent"] == "lost":
            yield f"the agent of {node['node']} was last heard {node['heard_ms_ago'] / 1000:.0f} s ago"
    if not found["supervisors"]:
        yield "no supervisor is alive"
    for one in found["supervisors"]:
        if one["trouble"]:
            yield f"supervisor {one['supervisor']} cannot reserve instances: {one['trouble']}"
