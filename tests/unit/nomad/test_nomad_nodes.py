"""Nodes as Nomad lists them."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.nomad import nodes
from scheduler.nomad.job_documents import Template

Json = dict[str, Any]
TEMPLATE = Template("c", datacenters=("dc*",), node_pool="compute")


def node(name: str = "n1", **more: Any) -> Json:
    memory = {"NodeResources": {"Memory": {"MemoryMB": 8192}}, "ReservedResources": {"Memory": {"MemoryMB": 512}}}
    return {
        "Name": name, "Status": "ready", "SchedulingEligibility": "eligible", "Drain": False, "Datacenter": "dc1",
        "NodePool": "compute", "Drivers": {"raw_exec": {"Healthy": True}}, **memory, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"Status": "down"}, {"SchedulingEligibility": "ineligible"}, {"Drain": True}, {"Datacenter": "east"},
        {"NodePool": "gpu"}, {"Drivers": {"raw_exec": {"Healthy": False}}}, {"Drivers": None},
    ],
)  # fmt: skip
def test_an_instance_is_placed_on_nodes_that_have_what_it_takes(more: Json) -> None:
    assert nodes.placeable([node(), node("n2", **more)], TEMPLATE) == {"n1"}


def test_a_pool_may_be_all_pools() -> None:
    assert nodes.placeable([node()], Template("c", node_pool="all")) == {"n1"}


def test_drained_and_ineligible_nodes_are_closed() -> None:
    found = [node(), node("n2", Drain=True), node("n3", SchedulingEligibility="ineligible"), node("n4", Status="down")]
    assert nodes.closed(found) == {"n2", "n3"}


def test_the_largest_instance_leaves_what_is_reserved_and_room_for_its_launcher() -> None:
    assert nodes.largest([node(), node("n2", ReservedResources=None), node("n3", NodeResources=None)]) == {
        "n1": 8192 - 512 - 32, "n2": 8192 - 32,
    }  # fmt: skip
