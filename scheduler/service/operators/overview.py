"""What goes on now, of all accounts: jobs, tasks, nodes, and how long tasks wait. One snapshot of the records.

The records know which tasks are leased and ready, and since when; a rate is the difference of two snapshots. Free
memory and disk are those of the machine that asks, if the service runs there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scheduler.common.disk_reserve import space_at
from scheduler.records.database import Connection

MOST_PHASES = 10_000


@dataclass(frozen=True, slots=True)
class JobNow:
    """A live job: its tasks by counters, how many are ready, and why one of its phases waits, if one does."""

    id: str
    account: str
    name: str
    created: int
    tasks: int
    done: int
    ready: int
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class NodeNow:
    """A node: MiB and GB that it offered last, when that was (ms), and how many tasks it holds."""

    name: str
    memory_mb: int
    disk_gb: int
    seen: int
    running: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes of memory and disk of this machine, available and in all."""

    memory_free: int
    memory: int
    disk_free: int
    disk: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`at`: ms since the epoch; `finished`: tasks that have ended of all jobs on record; `queue_age_s`: how long the
    task has waited that has waited longest; `running_by_account`: tasks that agents hold."""

    at: int
    jobs: list[JobNow]
    nodes: list[NodeNow]
    supervisors: int
    running: int
    ready: int
    finished: int
    queue_age_s: float
    running_by_account: dict[str, int] = field(default_factory=dict)
    machine: Machine | None = None

    def tasks_per_second(self, before: Overview | None) -> float:
        """How many tasks ended in a second since another snapshot. Records that were removed since count as none."""
        if before is None or self.at <= before.at:
            return 0.0
        return max(0, self.finished - before.finished) * 1000 / (self.at - before.at)

    def as_json(self, before: Overview | None) -> dict[str, Any]:
        return asdict(self) | {"tasks_per_second": round(self.tasks_per_second(before), 1)}


def overview(c: Connection) -> Overview:
    """A snapshot of all that goes on."""
    now = c.now()
    jobs: dict[str, JobNow] = {}
    oldest = now
    for row in c.all("live_phases", limit=MOST_PHASES):
        job = jobs.get(row["uuid"]) or JobNow(row["uuid"], row["owner"], row["name"], row["created"], 0, 0, 0)
        waiting = job.waiting or (f"phase {row['phase']}: {row['waiting']}" if row["waiting"] else "")
        jobs[row["uuid"]] = JobNow(
            job.id, job.account, job.name, job.created, job.tasks + row["issued"], job.done + row["finished"],
            job.ready + row["ready"], waiting,
        )  # fmt: skip
        oldest = min(oldest, row["since"] or now)
    held = c.all("held_by_node")
    by_node: Counter[str] = Counter()
    by_account: Counter[str] = Counter()
    for row in held:
        by_node[row["node"]] += row["tasks"]
        by_account[row["owner"]] += row["tasks"]
    finished = c.one("finished_tasks")
    assert finished is not None
    return Overview(
        at=now,
        jobs=list(jobs.values()),
        nodes=[
            NodeNow(row["name"], row["memory_mb"], row["disk_gb"], row["seen"], by_node[row["name"]])
            for row in c.all("nodes_offered")
        ],
        supervisors=len(c.all("living_supervisors")),
        running=by_node.total(),
        ready=sum(job.ready for job in jobs.values()),
        finished=int(finished["finished"]),
        queue_age_s=(now - oldest) / 1000,
        running_by_account=dict(by_account),
    )


def machine(state_dir: Path) -> Machine:
    """The machine that has a state directory."""
    disk = space_at(state_dir)
    words = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {name: int(words[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal")}
    return Machine(memory["MemAvailable"], memory["MemTotal"], disk.free, disk.total)
