"""Waiting reason: why ready tasks do not run, in one sentence for their owner.

The status of a job shows such a sentence while one of its phases has tasks and none of them runs anywhere. The first
condition of this list that holds is the reason:

1. No agent is registered; the cause is added if it is known.
2. No node is large enough for the phase's tiers.
3. Nodes lack a resource (disk, processes) without which an agent makes no instance and begins no task.
4. In every slot of a node is an instance that could not be ended.
5. The account, or all accounts together, have as many instances as they may have at once.
6. Instances of other jobs have all the slots, or all the memory.

Example: one node, whose disk has 28 of 400 MB free: "node n1 cannot run tasks now: 28 MB of 400 MB are free".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NO_AGENT = "no agent is registered that could run tasks"
TOO_SMALL = "no node that is here has instances as large as this phase wants"
BUSY = "all instances serve other jobs now"


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node with an agent.

    `fits`: whether the phase's tiers fit there; `lack`: the resource that the node has too little of.
    """

    name: str
    fits: bool = True
    slots: int = 1
    disabled: int = 0
    lack: str | None = None


def why_waiting(nodes: Iterable[NodeState], absent: str | None = None, limit: str | None = None) -> str:
    """The reason for waiting, as a sentence.

    `absent`: why this machine's agent is not registered, if that is known; `limit`: which one is reached, if one is.
    """
    here = list(nodes)
    if not here:
        return f"{NO_AGENT}: {absent}" if absent else NO_AGENT
    fitting = [node for node in here if node.fits]
    if not fitting:
        return TOO_SMALL
    able = [node for node in fitting if node.lack is None]
    if not able:
        return f"node {fitting[0].name} cannot run tasks now: {fitting[0].lack}{others(len(fitting))}"
    if all(node.disabled >= node.slots for node in able):
        return f"none of the {able[0].slots} instances of node {able[0].name} could be ended{others(len(able))}"
    return limit or BUSY


def limit_reached(account: str, own: int, most_own: int | None, every: int, most: int | None) -> str | None:
    """The limit on instances that is reached, of an account that has `own`, or of all, who have `every`; or None."""
    if most_own is not None and own >= most_own:
        return f"{account} has {own} instances, of at most {most_own} at once"
    if most is not None and every >= most:
        return f"all accounts have {every} instances, of at most {most} at once"
    return None


def others(count: int) -> str:
    """The addition to a sentence about the first of `count` nodes, which counts the others."""
    return "" if count == 1 else f" (and {count - 1} more {'node' if count == 2 else 'nodes'})"
