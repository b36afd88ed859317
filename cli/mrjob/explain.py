"""mrjob explain: why a job waits, and where its time went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import table, text
from cli.frame import Plain
from cli.mrjob.records import recorded
from cli.service.account_options import json_option, look, with_store

if TYPE_CHECKING:
    from scheduler.records.database import Connection

PARTS = ("queue", "fetch", "run", "commit")
HEADS = ("PHASE", "TASKS", *(name.upper() for name in PARTS), "MEDIAN RUN", "LONGEST RUN")


@click.command("explain", cls=Plain)
@click.argument("job")
def command(job: str, as_json: bool, objects: Path | None, state_dir: Path | None) -> None:
    """Say what a job waits for, by phase and task, and where the time of its tasks went. Archived jobs have times only.

    Times are summed over tasks: queue, until an agent takes it; fetch, until it starts, with its input and an instance;
    run; commit, until its output is durable and named. Stragglers ran twice as long as the median of their phase. The
    critical path is the chain of tasks that the end of the job waited for: to make it faster, begin there.

    \b
    Examples:
      mrjob explain 8bd3c96e
      mrjob explain last --json | jq '.critical_path'
    """
    from scheduler.service.operators.performance import report

    found = recorded(state_dir, objects, job)
    why = look(state_dir, lambda c: waits(c, found.uuid))
    performance = report(found.timeline, found.phases, found.created)
    if as_json:
        print(text.compact({"job": found.uuid, "owner": found.owner, **why, **performance}))
        return
    state = "cancelled" if found.status["cancelled"] else found.status["state"]
    print(f"job {found.uuid} of {found.owner} is {state}")
    for reason in why["reasons"]:
        print(f"  {text.escape(reason)}")
    if state == "running" and not why["reasons"]:
        print("  nothing is open: it is about to end")
    if any(phase["ran"] for phase in performance["phases"]):
        print()
        show(performance)


def waits(c: Connection, uuid: str) -> dict[str, Any]:
    from scheduler.service.operators.explain import explained

    row = c.one("job_by_uuid", uuid=uuid)
    return {"reasons": [], "waits": []} if row is None else renamed(explained(c, row))


def renamed(found: dict[str, Any]) -> dict[str, Any]:
    return {"reasons": found["reasons"], "waits": found["phases"]}


def show(performance: dict[str, Any]) -> None:
    """Print the times of the phases, and what stands out."""
    rows = [row(phase) for phase in performance["phases"] if phase["ran"]]
    for line in table.lines([HEADS, *rows]):
        print(line)
    if performance["sampled"]:
        print(f"(of {performance['sampled']} of {performance['tasks']} tasks)")
    for one in performance["stragglers"][:5]:
        slow = f"{seconds(one['run'])}, {one['times_median']} times the median of phase {one['phase']}"
        print(f"straggler: {name(one)} on {one['node']}: {slow}")
    if path := performance["critical_path"]:
        steps = " -> ".join(f"phase {one['phase']} {name(one)} ({lifetime(one)})" for one in path)
        print(f"critical path: {steps}")


def row(phase: dict[str, Any]) -> tuple[str, ...]:
    parts = (seconds(phase[part]["sum"]) for part in PARTS)
    return (
        str(phase["phase"]),
        str(phase["ran"]),
        *parts,
        seconds(phase["run"]["median"]),
        seconds(phase["run"]["max"]),
    )


def name(task: dict[str, Any]) -> str:
    return text.escape(task.get("input") or task.get("task") or "task")


def lifetime(task: dict[str, Any]) -> str:
    return ", ".join(f"{part} {seconds(task[part])}" for part in PARTS if task[part])


def seconds(ms: float) -> str:
    return f"{ms / 1000:.3f}s" if ms < 10_000 else f"{ms / 1000:.1f}s"


with_store(command, json_option())
