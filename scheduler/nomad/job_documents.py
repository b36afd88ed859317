"""Job documents: the Nomad jobs that reserve a pool's instances.

A document is made of a `Booking`, the *purpose* of its instances, and of a `Template`, the *settings* of this
cluster. Its id is made of the booking alone, so that two supervisors that want the same ask for the same job, and
its `Meta` contains all that a supervisor must find again in Nomad.

- A failed allocation is neither restarted nor moved: the supervisor counts instances, and asks for another
  when one is missing. Only the allocations of a dead node are replaced by Nomad.
- A node that is cut off ends its instances after a minute, when their tasks have long been running elsewhere.
  Nomad before 1.8 has another field for that.
- Memory is the tier's, and what the lackey and its shim take. Nomad's own limit applies to the launcher only,
  which is small; we cap the instance. Disk is reserved in Nomad, and capped by us.
- Instances that may run on any node are spread over nodes in proportion to their slots.

Example: pool 7 on n1 with 1024 MiB and 8 GB is `remora.5f0c91aa.0.676b8bb8.m1024d8`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.nomad.api import Json

PREFIX = "remora."
GROUP = "instance"
TASK = "launcher"
ANYWHERE = "any"
# MiB of memory that an instance takes besides its tier's.
OVERHEAD_MB = 32
# MB of disk that are reserved for a GB of tier.
GIGABYTE = 1024
NANOSECONDS = 1_000_000_000
# Seconds that a launcher has to end: the time that a task has to end, and a margin.
KILL_SECONDS = 15
CUT_OFF_SECONDS = 60
# The first version in which a group has `Disconnect`.
DISCONNECT = (1, 8, 0)


@dataclass(frozen=True, slots=True)
class Booking:
    """The purpose of instances: a phase of a job, its tier, and the node that they must be on, if any."""

    pool: int
    job: str  # UUID
    phase: int
    memory_mb: int
    disk_gb: int
    node: str | None = None

    @property
    def id(self) -> str:
        """The id of the Nomad job."""
        place = ANYWHERE if self.node is None else hashlib.sha256(self.node.encode()).hexdigest()[:8]
        return f"{PREFIX}{self.job[:8]}.{self.phase}.{place}.m{self.memory_mb}d{self.disk_gb}"


@dataclass(frozen=True, slots=True)
class Template:
    """The settings of this cluster for all its documents. `cluster` separates clusters that share a namespace."""

    cluster: str
    launcher: str = "/opt/remora/libexec/launcher"  # on every node
    socket: str = "/run/remora/launch.sock"  # the agent's, on every node
    namespace: str = "default"
    datacenters: tuple[str, ...] = ("*",)
    node_pool: str = "default"
    priority: int = 50
    cpu: int = 100  # MHz; the kernel divides processors
    version: tuple[int, int, int] = (2, 0, 0)
    driver: str = "raw_exec"
    shares: Mapping[str, int] = field(default_factory=dict)  # slots by node, of those that have an agent


def document(booking: Booking, count: int, template: Template) -> Json:
    """The document to register, on the condition that there is no such job yet."""
    job: Json = {
        "ID": booking.id,
        "Name": booking.id,
        "Namespace": template.namespace,
        "Type": "batch",
        "Priority": template.priority,
        "Datacenters": list(template.datacenters),
        "NodePool": template.node_pool,
        "Meta": meta(booking, template.cluster),
        "TaskGroups": [_group(booking, count, template)],
    }
    if booking.node is not None:
        job["Constraints"] = [{"LTarget": "${node.unique.name}", "Operand": "=", "RTarget": booking.node}]
    elif template.shares:
        job["Spreads"] = [_spread(template.shares)]
    return {"Job": job, "EnforceIndex": True, "JobModifyIndex": 0}


def meta(booking: Booking, cluster: str) -> dict[str, str]:
    """The data by which a supervisor without any state recognizes the job."""
    told = {
        "remora_cluster": cluster,
        "remora_job": booking.job,
        "remora_phase": str(booking.phase),
        "remora_pool": str(booking.pool),
        "remora_memory_mb": str(booking.memory_mb),
        "remora_disk_gb": str(booking.disk_gb),
    }
    return told | ({"remora_node": booking.node} if booking.node is not None else {})


def booking_of(told: Mapping[str, str] | None, cluster: str) -> Booking | None:
    """The booking in a job's `Meta`; None if it is no job of this cluster's."""
    if not told or told.get("remora_cluster") != cluster:
        return None
    try:
        return Booking(
            int(told["remora_pool"]),
            told["remora_job"],
            int(told["remora_phase"]),
            int(told["remora_memory_mb"]),
            int(told["remora_disk_gb"]),
            told.get("remora_node"),
        )
    except (KeyError, ValueError):
        return None


def _group(booking: Booking, count: int, template: Template) -> Json:
    group: Json = {
        "Name": GROUP,
        "Count": count,
        "RestartPolicy": {"Attempts": 0, "Interval": 60 * NANOSECONDS, "Delay": NANOSECONDS, "Mode": "fail"},
        "ReschedulePolicy": {"Attempts": 0, "Interval": 0, "Unlimited": False},
        "EphemeralDisk": {"SizeMB": booking.disk_gb * GIGABYTE, "Sticky": False, "Migrate": False},
        "Tasks": [_task(booking, template)],
    }
    if template.version >= DISCONNECT:
        group["Disconnect"] = {"StopOnClientAfter": CUT_OFF_SECONDS * NANOSECONDS, "Replace": True}
    else:
        group["StopAfterClientDisconnect"] = CUT_OFF_SECONDS * NANOSECONDS
    return group


def _task(booking: Booking, template: Template) -> Json:
    return {
        "Name": TASK,
        "Driver": template.driver,
        "Leader": True,
        "Config": {"command": template.launcher, "args": [template.socket]},
        "Env": {
            "REMORA_ALLOC": "${NOMAD_ALLOC_ID}",
            "REMORA_POOL": str(booking.pool),
            "REMORA_INSTANCES": f"{booking.job}/{booking.phase}",
            "REMORA_MEMORY_MB": str(booking.memory_mb),
            "REMORA_DISK_GB": str(booking.disk_gb),
        },
        "Resources": {"CPU": template.cpu, "MemoryMB": booking.memory_mb + OVERHEAD_MB},
        "KillSignal": "SIGTERM",
        "KillTimeout": KILL_SECONDS * NANOSECONDS,
        "LogConfig": {"Disabled": True},
    }


def _spread(shares: Mapping[str, int]) -> Json:
    """Nodes by name, each with the percentage of all slots that it has."""
    total = sum(shares.values())
    targets = [{"Value": node, "Percent": 100 * slots // total} for node, slots in sorted(shares.items())]
    return {"Attribute": "${node.unique.name}", "Weight": 100, "SpreadTarget": targets}
