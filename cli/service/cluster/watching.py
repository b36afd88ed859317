"""How far a job of ours is: what Nomad has started of it, and whether that is well."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi

Json = dict[str, Any]
AGAIN = "Restarting"


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one version of a job: how many there should be, how many are healthy, and what is wrong with the others."""

    wanted: int
    healthy: int
    troubles: tuple[str, ...] = ()
    failed: str = ""  # Nomad has given up, and says why

    @property
    def done(self) -> bool:
        return not self.failed and self.healthy >= self.wanted > 0

    def __str__(self) -> str:
        told = f"{self.healthy} of {self.wanted} healthy" if self.wanted else "no node for it yet"
        return told + "".join(f"; {trouble}" for trouble in self.troubles)


async def progress(api: NomadApi, job_id: str) -> Progress:
    job = await api.job(job_id)
    allocations = await api.allocations(job_id)
    deployment = await api.ask(f"show the deployment of {job_id}", "GET", f"/v1/job/{job_id}/deployment")
    evaluations = await api.evaluations(job_id)
    return judge(job, allocations, deployment, evaluations)


def judge(job: Json, allocations: list[Json], deployment: Json | None, evaluations: list[Json]) -> Progress:
    """What the job's newest version has come to. Older versions' allocations are about to end: they do not count."""
    mine = [a for a in allocations if a["DesiredStatus"] == "run" and a["JobVersion"] == job["Version"]]
    ours = deployment if deployment and deployment["JobVersion"] == job["Version"] else None
    if job["Type"] == "system":
        wanted = sum(group["DesiredTotal"] for group in ours["TaskGroups"].values()) if ours else len(mine)
    else:
        wanted = sum(group["Count"] for group in job["TaskGroups"])
    looking = ours is not None and ours["Status"] not in ("successful", "failed", "cancelled")
    healthy = [a for a in mine if is_healthy(a, looking)]
    ill = [a for a in mine if a not in healthy and (a["ClientStatus"] != "running" or health(a) is False)]
    troubles = [f"on {a['NodeName']}: {trouble_of(a)}" for a in ill]
    failed = str(ours["StatusDescription"]) if ours and ours["Status"] in ("failed", "cancelled") else ""
    lacking = shortages(job, evaluations) if len(mine) < wanted or not wanted else ()
    return Progress(wanted, len(healthy), (*troubles, *lacking), failed)


def is_healthy(allocation: Json, looking: bool) -> bool:
    """It runs; and while Nomad is `looking` at the health of a deployment, it has found it healthy."""
    healthy = health(allocation)
    return allocation["ClientStatus"] == "running" and (healthy is True if looking else healthy is not False)


def health(allocation: Json) -> bool | None:
    """What Nomad has found of it in a deployment; None if nothing yet, or it has not looked."""
    found: bool | None = (allocation.get("DeploymentStatus") or {}).get("Healthy")
    return found


def trouble_of(allocation: Json) -> str:
    """The newest thing that a task of it has to say, but that it will be tried again."""
    events = [event for state in (allocation.get("TaskStates") or {}).values() for event in state.get("Events") or []]
    telling = [event for event in events if event["Type"] != AGAIN] or events
    newest = max(telling, key=lambda event: event["Time"], default=None)
    return f"{newest['Type']}: {newest['DisplayMessage']}" if newest else allocation["ClientStatus"]


async def last_words(api: NomadApi, job_id: str) -> str | None:
    """The last line that a task of the job's newest version has logged, and where; None if there is none to be had."""
    from scheduler.nomad.api import NomadError

    version = (await api.job(job_id))["Version"]
    mine = [a for a in await api.allocations(job_id) if a["JobVersion"] == version and a.get("TaskStates")]
    for allocation in sorted(mine, key=lambda a: a["ModifyIndex"], reverse=True):
        for task in allocation["TaskStates"]:
            with contextlib.suppress(NomadError):
                if said := last_line(await api.log(allocation["ID"], task)):
                    return f"on {allocation['NodeName']} it last said: {said}"
    return None


def last_line(text: str) -> str:
    """The last line of a log; of a line of JSON its message, and why."""
    line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    try:
        told = json.loads(line)
        return ": ".join(str(told[name]) for name in ("msg", "why", "reason") if told.get(name)) or line
    except (ValueError, TypeError, AttributeError):
        return line


def shortages(job: Json, evaluations: list[Json]) -> list[str]:
    """Why Nomad finds no place for some of it, by the newest evaluation of this version."""
    from cli.service.cluster.plan import lacks

    recent = [e for e in evaluations if e.get("ModifyIndex", 0) >= job["JobModifyIndex"] and e.get("FailedTGAllocs")]
    newest = max(recent, key=lambda evaluation: evaluation["ModifyIndex"], default=None)
    return list(lacks(newest["FailedTGAllocs"])) if newest and newest["Status"] != "complete" else []
