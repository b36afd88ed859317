"""Why a job is where it is: what it waits for, by phase and task, as sentences for an operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scheduler.model import limits
from scheduler.records import accounts
from scheduler.records.database import Connection, Row

LONGEST = 3
STALE_MS = 30_000


@dataclass(frozen=True, slots=True)
class PhaseNow:
    """A phase of a live job: tasks that wait for input, are ready, and are leased; and what keeps the ready ones."""

    phase: int
    waiting: int
    ready: int
    running: int
    done: int
    reason: str


def phases_now(c: Connection, job: int) -> list[PhaseNow]:
    return [
        PhaseNow(row["phase"], row["waiting"], row["ready"], row["running"], row["finished"], row["reason"] or "")
        for row in c.all("phases_now", job=job)
    ]


def reasons(c: Connection, row: Row) -> list[str]:
    """What a live job (a row of `jobs`) waits for, the first cause first. Of a job that is done, nothing."""
    return [] if row["state"] == "done" else list(_reasons(c, row))


def _reasons(c: Connection, row: Row) -> Iterator[str]:
    now = c.now()
    supervisors = {one["id"]: one for one in c.all("cluster_supervisors")}
    owner = supervisors.get(row["supervisor"])
    if owner is None:
        none = "no supervisor is alive" if not supervisors else "no supervisor has taken it yet"
        yield f"{none}: nothing of it moves until one does"
    elif now - owner["heard"] > STALE_MS:
        yield f"its supervisor, {owner['url']}, was last heard of {(now - owner['heard']) // 1000} s ago"
    if row["status"] == "pending":
        yield "it waits for a place among the running operations of its account"
    if not row["input_done"]:
        yield f"its input is open ({row['inputs']} so far): it cannot end before mjob close, or an hour without input"
    if row["dispatched"] < row["inputs"]:
        yield f"{row['inputs'] - row['dispatched']} of {row['inputs']} inputs are not looked up yet"
    for phase in phases_now(c, row["id"]):
        yield from _of_phase(c, row, phase, now)


def _of_phase(c: Connection, row: Row, phase: PhaseNow, now: int) -> Iterator[str]:
    where = f"phase {phase.phase}"
    if phase.reason:
        yield f"{where}: {phase.ready} ready tasks wait: {phase.reason}"
    elif phase.ready:
        yield f"{where}: {phase.ready} ready tasks wait for a free instance: {_load(c, row['owner'])}"
    if phase.waiting:
        yield f"{where}: {phase.waiting} tasks wait for their input, which earlier phases are making"
    if phase.running:
        longest = c.all("longest_leased", job=row["id"], phase=phase.phase, limit=LONGEST)
        tasks = ", ".join(f"{one['uuid']} on {one['node']} for {seconds(now, one['leased'])} s" for one in longest)
        yield f"{where}: {phase.running} tasks run, the longest: {tasks}"


def _load(c: Connection, owner: str) -> str:
    held: dict[str, int] = {}
    for one in c.all("held_by_node"):
        held[one["owner"]] = held.get(one["owner"], 0) + one["tasks"]
    others = sum(held.values()) - held.get(owner, 0)
    said = f"{owner} runs {held.get(owner, 0)} tasks, other accounts {others}"
    own, most = accounts.limits_of(c, owner).instances, limits.totals(accounts.default_limits(c)).instances
    bounds = {f"{owner} may have": own, "all accounts may have": most}
    return said + "".join(f"; {who} {most} instances at once" for who, most in bounds.items() if most is not None)


def seconds(now: int, then: int | None) -> int:
    return max(0, now - (now if then is None else then)) // 1000


def explained(c: Connection, row: Row) -> dict[str, Any]:
    """The same as JSON."""
    return {"reasons": reasons(c, row), "phases": [phase_json(phase) for phase in phases_now(c, row["id"])]}


def phase_json(phase: PhaseNow) -> dict[str, Any]:
    tasks = {"waiting": phase.waiting, "ready": phase.ready, "running": phase.running, "done": phase.done}
    return {"phase": phase.phase, **tasks, **({"reason": phase.reason} if phase.reason else {})}
