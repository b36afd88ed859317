"""remora cluster status: how the cluster stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.frame import Plain
from cli.service.cluster import jobfiles, records
from cli.service.cluster.common import ask_nomad
from cli.service.database import with_database_options

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi
    from scheduler.records.database import Connection

Json = dict[str, Any]
MOST_PHASES = 200


@click.command("status", cls=Plain)
@with_database_options("The records. [default: $REMORA_DATABASE, or what Nomad's variable says]")
@click.option("--namespace", metavar="NAME", help="Where the service runs. [default: $NOMAD_NAMESPACE]")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(database: str | None, namespace: str | None, as_json: bool) -> None:
    """Show nodes and their agents, supervisors and their jobs, and why jobs wait.

    \b
    Examples:
      remora cluster status
      remora cluster status --json | jq -r '.jobs[] | select(.waiting) | .waiting'

    Exit status: 0 if every part of the service is healthy, else 1.
    """

    async def work(api: NomadApi) -> Json:
        url = await records.database_url(api, database)
        return {**await parts(api), **await records.look(url, recorded)}

    found = ask_nomad(work, namespace)
    if as_json:
        print(text.compact(found))
    else:
        print("\n".join(lines(found)))
    click.get_current_context().exit(0 if all(part["healthy"] >= part["wanted"] > 0 for part in found["parts"]) else 1)


async def parts(api: NomadApi) -> Json:
    """What Nomad knows: the service's own jobs, and the nodes with what they run."""
    from cli.service.cluster.watching import progress
    from scheduler.nomad.api import MissingError

    found = []
    for job in jobfiles.JOBS:
        name = jobfiles.job_id(job)
        try:
            now = await progress(api, name)
            found.append({"job": name, "wanted": now.wanted, "healthy": now.healthy, "troubles": list(now.troubles)})
        except MissingError:
            found.append({"job": name, "wanted": 0, "healthy": 0, "troubles": ["not deployed"]})
    agents = await running(api, jobfiles.job_id("agent"))
    nodes = [
        {
            "node": node["Name"],
            "status": "draining" if node["Drain"] else node["Status"],
            "eligible": node["SchedulingEligibility"] == "eligible",
            "agent": node["Name"] in agents,
        }
        for node in await api.nodes()
    ]
    return {"parts": found, "nodes": sorted(nodes, key=lambda node: str(node["node"]))}


async def running(api: NomadApi, job_id: str) -> set[str]:
    """The nodes on which a job runs."""
    return {a["NodeName"] for a in await api.allocations(job_id) if a["ClientStatus"] == "running"}


def recorded(c: Connection) -> Json:
    """What the records know: who lives, who holds what, which jobs there are."""
    now = c.now()
    return {
        "supervisors": [
            {"supervisor": row["id"], "url": row["url"], "jobs": row["jobs"], "heard_ms_ago": now - row["heard"]}
            for row in c.all("cluster_supervisors")
        ],
        "leases": [
            {"node": row["node"], "supervisor": row["supervisor"], "tasks": row["tasks"]}
            for row in c.all("cluster_leases")
        ],
        "jobs": [
            {
                "job": row["uuid"], "owner": row["owner"], "supervisor": row["supervisor"], "phase": row["phase"],
                "tasks": row["issued"], "finished": row["finished"], "waiting": row["waiting"],
            }
            for row in c.all("cluster_jobs", limit=MOST_PHASES)
        ],
    }  # fmt: skip


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The same, for people."""
    for part in found["parts"]:
        yield f"{part['job']:20} {part['healthy']} of {part['wanted']} healthy" + "".join(
            f"; {t}" for t in part["troubles"]
        )
    held: dict[str, int] = {}
    for lease in found["leases"]:
        held[lease["node"]] = held.get(lease["node"], 0) + lease["tasks"]
    yield from table("node", ("node", "status", "eligible", "agent", "tasks"), [
        (n["node"], n["status"], yes(n["eligible"]), "runs" if n["agent"] else "none", held.get(n["node"], 0))
        for n in found["nodes"]
    ])  # fmt: skip
    yield from table("supervisor", ("supervisor", "url", "jobs", "last heartbeat"), [
        (s["supervisor"], s["url"], s["jobs"], f"{s['heard_ms_ago'] / 1000:.1f} s ago") for s in found["supervisors"]
    ])  # fmt: skip
    yield from table("job", ("job", "owner", "supervisor", "phase", "tasks", "finished", "waiting"), [
        (j["job"], j["owner"], j["supervisor"] or "none", j["phase"], j["tasks"], j["finished"], j["waiting"] or "")
        for j in found["jobs"]
    ])  # fmt: skip


def yes(true: bool) -> str:
    return "yes" if true else "no"


def table(what: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A blank line, then the rows in columns; one line that says so if there are none."""
    yield ""
    if not rows:
        yield f"no {what}"
        return
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
