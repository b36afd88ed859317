"""Nodes as Nomad lists them: which are out of use, where an instance may be placed, and how large it may be. Pure.

An instance without a node of its own is placed on any node that has the reservations' datacenter, pool and driver. The
largest that a node ever takes is its memory, less what is reserved for the machine, and what a launcher takes.

Example: a node of 8192 MiB, 512 of them reserved, takes tiers up to 4096, and never 8192.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from scheduler.nomad.api import Json
from scheduler.nomad.job_documents import OVERHEAD_MB, Template

EVERY_POOL = "all"


def closed(nodes: Iterable[Json]) -> set[str]:
    """The names of the nodes that Nomad has taken out of use."""
    return {str(node["Name"]) for node in nodes if node["SchedulingEligibility"] != "eligible" or node["Drain"]}


def placeable(nodes: Iterable[Json], template: Template) -> set[str]:
    """The names of the nodes on which an instance may be placed that may be anywhere."""
    return {str(node["Name"]) for node in _open(nodes) if _takes(node, template)}


def largest(nodes: Iterable[Json]) -> dict[str, int]:
    """MiB of the largest instance, by node; nodes that do not say how much memory they have are left out."""
    return {
        str(node["Name"]): _memory(node["NodeResources"]) - _memory(node.get("ReservedResources")) - OVERHEAD_MB
        for node in nodes
        if _memory(node.get("NodeResources"))
    }


def _open(nodes: Iterable[Json]) -> Iterator[Json]:
    return (node for node in nodes if node["Status"] == "ready" and not closed([node]))


def _takes(node: Json, template: Template) -> bool:
    driver = (node.get("Drivers") or {}).get(template.driver) or {}
    return (
        any(fnmatchcase(str(node.get("Datacenter")), pattern) for pattern in template.datacenters)
        and template.node_pool in (EVERY_POOL, node.get("NodePool"))
        and bool(driver.get("Healthy"))
    )


def _memory(resources: Json | None) -> int:
    return int(((resources or {}).get("Memory") or {}).get("MemoryMB") or 0)
