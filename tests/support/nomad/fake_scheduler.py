"""Jobs, evaluations, allocations and nodes of a small Nomad, without its HTTP.

It places a batch job as the real one does (`_evaluate`): what has ended counts until the job has a new
version, what was lost is placed again, what finds no room is a blocked evaluation. With `run` its
allocations are processes, by raw_exec; else a test says what becomes of them (`finish`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
EVENTS = 100


@dataclass
class Node:
    name: str
    memory_mb: int
    disk_mb: int = 100_000
    eligible: bool = True
    draining: bool = False
    status: str = "ready"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    reserved_mb: int = 0

    def stub(self, resources: bool = False) -> Json:
        more: Json = {
            "NodeResources": {"Memory": {"MemoryMB": self.memory_mb}},
            "ReservedResources": {"Memory": {"MemoryMB": self.reserved_mb}},
            "Drivers": {"raw_exec": {"Detected": True, "Healthy": True}},
        }
        return (more if resources else {}) | {
            "ID": self.id,
            "Name": self.name,
            "Status": self.status,
            "SchedulingEligibility": "eligible" if self.eligible else "ineligible",
            "Drain": self.draining,
            "Version": "2.0.6",
            "Datacenter": "dc1",
            "NodePool": "default",
            "NodeClass": "",
        }


class FakeScheduler:
    """The state of a small Nomad, which tells its streams of each change."""

    def __init__(self, *nodes: Node, run: bool = False) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.jobs: dict[str, Json] = {}
        self.allocations: list[Json] = []
        self.evaluations: list[Json] = []
        self.index = 10
        self.program: str | None = None  # in place of what is to be run
        self._run = run
        self._events: deque[Json] = deque(maxlen=EVENTS)
        self._streams: set[asyncio.Queue[Json | None]] = set()
        self._changed = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ever: dict[str, Json] = {}  # jobs that had allocations, as they were last

    # -- what a test does --------------------------------------------------------------------------

    def go_back(self, to: int = 1) -> None:
        """As a server that was restored: its index is lower than it was."""
        self.index = to
        self._events.clear()

    def of(self, job: str, *statuses: str) -> list[Json]:
        """Allocations of a job, of these states."""
        return [
            one for one in self.allocations if one["JobID"] == job and (not statuses or one["ClientStatus"] in statuses)
        ]

    def live(self, job: str = "") -> list[Json]:
        return [one for one in self.allocations if one["JobID"].startswith(job) and is_live(one)]

    def finish(self, allocation: Json, status: str = "complete") -> None:
        """It ended."""
        allocation["ClientStatus"] = status
        self._tell("Allocation", "AllocationUpdated", allocation["ID"], allocation)
        self._evaluate(allocation["JobID"], "alloc-failure" if status == "failed" else "alloc-stop")

    def lose(self, name: str) -> None:
        """A node is down."""
        node = self.nodes[name]
        node.status = "down"
        self._tell("Node", "NodeStreamEvent", node.id, node.stub())
        for one in [one for one in self.allocations if one["NodeName"] == name and is_live(one)]:
            one["DesiredStatus"] = "stop"
            self._kill(one, signal.SIGKILL)
            self.finish(one, "lost")

    def drain(self, name: str, on: bool = True) -> None:
        node = self.nodes[name]
        node.eligible = not on
        self._tell("Node", "NodeDrain", node.id, node.stub())
        self._evaluate_all()

    def preempt(self, allocation: Json) -> None:
        """Somebody more important has its place."""
        allocation["DesiredStatus"], allocation["PreemptedByAllocation"] = "evict", str(uuid.uuid4())
        self._stop(allocation)

    def forget(self, allocation: Json) -> None:
        """It is lost, though its node is not."""
        allocation["DesiredStatus"] = "stop"
        self._kill(allocation, signal.SIGKILL)
        self.finish(allocation, "lost")

    def kill(self, allocation: Json) -> None:
        """Its process ends, whatever it says."""
        self._kill(allocation, signal.SIGKILL)

    def grow(self, name: str, memory_mb: int) -> None:
        """A node has more room."""
        self.nodes[name].memory_mb = memory_mb
        self._evaluate_all()

    def store(self, job: Json) -> None:
        """A job that was there before."""
        self._store(job, None)

    def last_template(self) -> str:
        """Of which cluster the jobs here were."""
        return str(next(job["Meta"]["remora_cluster"] for job in reversed(self._ever.values())))

    # -- scheduling --------------------------------------------------------------------------------

    def _tell(self, topic: str, kind: str, key: str, payload: Json) -> None:
        self.index += 1
        event = {
            "Topic": topic,
            "Type": kind,
            "Key": key,
            "Namespace": "default",
            "FilterKeys": None,
            "Index": self.index,
            "Payload": {topic: payload},
        }
        frame = {"Index": self.index, "Events": [event]}
        self._events.append(frame)
        for stream in self._streams:
            stream.put_nowait(frame)
        self._changed.set()

    def _evaluate_all(self) -> None:
        for job in list(self.jobs):
            self._evaluate(job, "node-update")

    def _evaluate(self, job_id: str, why: str) -> Json:
        """Bring a job's allocations to its count; the reply to whoever has asked for that."""
        job = self.jobs.get(job_id)
        if job is None:
            return evaluated("", 0)
        group = job["TaskGroups"][0]
        evaluation = self._evaluation_of(job, why, "complete")
        live = [one for one in self.of(job_id) if is_live(one)]
        for one in live:
            one["JobVersion"] = job["Version"]
        now = [one for one in self.of(job_id) if one["JobVersion"] == job["Version"] and one["DesiredStatus"] == "run"]
        ended = sum(one["ClientStatus"] in ("complete", "failed") for one in now)
        wanted = 0 if job["Stop"] else max(0, group["Count"] - ended)
        for one in live[wanted:]:
            one["DesiredStatus"] = "stop"
            self._stop(one)
        reasons: dict[str, Json] = {}
        placed = 0
        while len(live) + placed < wanted and (node := self._room(job, group, reasons)) is not None:
            self._place(job, group, node, evaluation["ID"])
            placed += 1
        for one in self.evaluations:
            if one["JobID"] == job_id and one["Status"] == "blocked":
                one["Status"] = "canceled"
        self.evaluations.append(evaluation)
        if len(live) + placed < wanted:
            failed = {group["Name"]: _metrics(reasons, len(self.nodes))}
            blocked = self._evaluation_of(job, "queued-allocs", "blocked") | {"FailedTGAllocs": failed}
            evaluation |= {"BlockedEval": blocked["ID"], "FailedTGAllocs": failed}
            self.evaluations.append(blocked)
            self._tell("Evaluation", "EvaluationUpdated", blocked["ID"], blocked)
        self._tell("Evaluation", "EvaluationUpdated", evaluation["ID"], evaluation)
        return evaluated(evaluation["ID"], job["JobModifyIndex"])

    def _evaluation_of(self, job: Json, why: str, status: str) -> Json:
        self.index += 1
        return {
            "CreateIndex": self.index,
            "CreateTime": time.time_ns(),
            "ID": str(uuid.uuid4()),
            "JobID": job["ID"],
            "JobModifyIndex": job["JobModifyIndex"],
            "ModifyIndex": self.index,
            "ModifyTime": time.time_ns(),
            "Namespace": "default",
            "Priority": job["Priority"],
            "SnapshotIndex": self.index,
            "Status": status,
            "TriggeredBy": why,
            "Type": "batch",
        }

    def _room(self, job: Json, group: Json, reasons: dict[str, Json]) -> Node | None:
        """The emptiest node that can take one more."""
        able = []
        for node in self.nodes.values():
            if node.status != "ready" or not node.eligible:
                continue
            if why := self._why_not(node, job, group):
                reasons[node.name] = why
            else:
                able.append(node)
        return min(able, key=lambda node: (len(self._on(node)), node.name), default=None)

    def _why_not(self, node: Node, job: Json, group: Json) -> Json | None:
        for constraint in job["Constraints"] or []:
            if constraint["LTarget"] == "${node.unique.name}" and constraint["RTarget"] != node.name:
                return {"ConstraintFiltered": f"${{node.unique.name}} = {constraint['RTarget']}"}
        here = [self._sizes(self._ever[one["JobID"]]) for one in self._on(node)]
        memory, disk = self._sizes(job)
        if sum(size[0] for size in here) + memory > node.memory_mb:
            return {"DimensionExhausted": "memory"}
        if sum(size[1] for size in here) + disk > node.disk_mb:
            return {"DimensionExhausted": "disk"}
        return None

    def _sizes(self, job: Json) -> tuple[int, int]:
        group = job["TaskGroups"][0]
        return group["Tasks"][0]["Resources"]["MemoryMB"], group["EphemeralDisk"]["SizeMB"]

    def _on(self, node: Node) -> list[Json]:
        return [one for one in self.allocations if one["NodeName"] == node.name and is_live(one)]

    def _place(self, job: Json, group: Json, node: Node, evaluation: str) -> None:
        self.index += 1
        self._ever[job["ID"]] = job
        taken = {one["Name"] for one in self.of(job["ID"]) if is_live(one)}
        name = next(name for n in itertools.count() if (name := f"{job['ID']}.{group['Name']}[{n}]") not in taken)
        allocation = {
            "ID": str(uuid.uuid4()),
            "Name": name,
            "JobID": job["ID"],
            "JobType": "batch",
            "JobVersion": job["Version"],
            "EvalID": evaluation,
            "TaskGroup": group["Name"],
            "Namespace": "default",
            "NodeID": node.id,
            "NodeName": node.name,
            "ClientStatus": "pending",
            "ClientDescription": "",
            "DesiredStatus": "run",
            "DesiredDescription": "",
            "CreateIndex": self.index,
            "CreateTime": time.time_ns(),
            "ModifyIndex": self.index,
            "ModifyTime": time.time_ns(),
            "PreemptedByAllocation": "",
            "NextAllocation": "",
            "FollowupEvalID": "",
            "TaskStates": None,
        }
        self.allocations.append(allocation)
        self._tell("Allocation", "PlanResult", allocation["ID"], allocation)
        self._spawn(self._work(allocation, group["Tasks"][0]))

    async def _work(self, allocation: Json, task: Json) -> None:
        """A client's part."""
        await asyncio.sleep(0)
        if not is_live(allocation):
            return
        if not self._run:
            self._set(allocation, "running")
            return
        environment = {
            name: value.replace("${NOMAD_ALLOC_ID}", allocation["ID"]) for name, value in task["Env"].items()
        }
        command = [self.program or task["Config"]["command"], *task["Config"]["args"]]
        arguments = [word.replace("${node.unique.name}", allocation["NodeName"]) for word in command]
        try:
            process = await asyncio.create_subprocess_exec(*arguments, env={"PATH": os.defpath, **environment})
        except OSError:
            self.finish(allocation, "failed")
            return
        self._processes[allocation["ID"]] = process
        if is_live(allocation):
            self._set(allocation, "running")
        else:
            self._kill(allocation, signal.SIGTERM)
        code = await process.wait()
        if allocation["ClientStatus"] in ("running", "pending"):
            self.finish(allocation, "complete" if code == 0 or allocation["DesiredStatus"] != "run" else "failed")

    def _set(self, allocation: Json, status: str) -> None:
        allocation["ClientStatus"] = status
        self._tell("Allocation", "AllocationUpdated", allocation["ID"], allocation)

    def _stop(self, allocation: Json) -> None:
        """Have a process end; a test's allocation has ended at once."""
        self._tell("Allocation", "AllocationUpdateDesiredStatus", allocation["ID"], allocation)
        if not self._kill(allocation, signal.SIGTERM) and not self._run:
            self.finish(allocation, "complete")

    def _kill(self, allocation: Json, number: int) -> bool:
        process = self._processes.get(allocation["ID"])
        if process is None or process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return True

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _store(self, job: Json, had: Json | None) -> None:
        self.index += 1
        defaults = {"Stop": False, "Status": "pending", "Meta": None, "Constraints": None}
        self.jobs[job["ID"]] = {**defaults, **job} | {
            "CreateIndex": had["CreateIndex"] if had else self.index,
            "ModifyIndex": self.index,
            "JobModifyIndex": self.index,
            "Version": had["Version"] + 1 if had else 0,
        }
        self._tell("Job", "JobRegistered", job["ID"], self.jobs[job["ID"]])

    async def _end(self) -> None:
        """End what runs."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(one.wait() for one in self._processes.values()), return_exceptions=True)


def is_live(allocation: Json) -> bool:
    return allocation["DesiredStatus"] == "run" and allocation["ClientStatus"] in ("pending", "running")


def evaluated(evaluation: str, index: int) -> Json:
    return {
        "EvalCreateIndex": index,
        "EvalID": evaluation,
        "Index": index,
        "JobModifyIndex": index,
        "KnownLeader": False,
        "LastContact": 0,
    }


def _metrics(reasons: dict[str, Json], nodes: int) -> Json:
    exhausted = {why["DimensionExhausted"]: 1 for why in reasons.values() if "DimensionExhausted" in why}
    filtered = {why["ConstraintFiltered"]: 1 for why in reasons.values() if "ConstraintFiltered" in why}
    return {
        "NodesEvaluated": len(reasons),
        "NodesExhausted": len(exhausted),
        "NodesFiltered": len(filtered),
        "NodesInPool": nodes,
        "NodesAvailable": {"dc1": nodes},
        "DimensionExhausted": exhausted or None,
        "ConstraintFiltered": filtered or None,
        "QuotaExhausted": None,
    }
