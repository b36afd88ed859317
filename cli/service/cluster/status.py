"""remora cluster status: how the cluster stands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.service.cluster import jobfiles, records, secrets, standing
from cli.service.cluster.common import ask_nomad, in_namespace
from cli.service.database import with_database_options

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi
    from scheduler.records.database import Connection

Json = dict[str, Any]
MOST_PHASES = 200
# Milliseconds for which a node without an agent is shown.
REMEMBER_MS = 86_400_000


@click.command("status", cls=Plain)
@with_database_options("The records. [default: $REMORA_DATABASE, or what Nomad's variable says]")
@in_namespace
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(database: str | None, namespace: str | None, as_json: bool) -> None:
    """Show nodes and their agents, supervisors and their jobs, and why jobs wait; at last, what is wrong.

    Every node is shown, also one started without Nomad. With a database and without NOMAD_ADDR Nomad is not asked: some
    clusters have none. If only one of Nomad and the records answers, that half is shown.

    
    Examples:
      remora cluster status
      remora cluster status --json | jq -r '.jobs[] | select(.waiting) | .waiting'

    Exit status: 0 if nothing is wrong, else 1: a part or a node is down, or supervisors cannot reserve instances.
    """
    found: Json = {"parts": [], "supervisors": [], "jobs": [], "wrong": []}
    placed: list[Json] = []
    known: Json = {"nodes": [], "leases": []}
    try:
        if os.environ.get("NOMAD_ADDR") or not database:
            asked = ask_nomad(placed_by_nomad, namespace)
            found["parts"], placed = asked["parts"], asked["nodes"]
            database = database or asked["database"]
    except Problem as problem:
        found["wrong"].append(problem.message)
    try:
        if database:
            known = asyncio.run(records.look(database, recorded))
            found |= {"supervisors": known["supervisors"], "jobs": known["jobs"]}
        elif not found["wrong"]:
            raise Problem(records.UNKNOWN)
    except Problem as problem:
        found["wrong"].append(problem.message)
    found["nodes"] = standing.nodes_of(placed, known["nodes"], known["leases"])
    if not found["wrong"]:
        found["wrong"] = list(standing.wrong(found))
    if as_json:
        print(text.compact(found))
    else:
        print("\n".join(lines(found)))
        for sentence in found["wrong"]:
            note(f"wrong: {sentence}")
    click.get_current_context().exit(1 if found["wrong"] else 0)


async def placed_by_nomad(api: NomadApi) -> Json:
    """What Nomad knows: the service's own jobs, the nodes, and where the records are."""
    return {**await parts(api), "database": (await secrets.kept(api, "supervisor")).get("database")}


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
    nodes = [
        {
            "node": node["Name"],
            "status": "draining" if node["Drain"] else node["Status"],
            "eligible": node["SchedulingEligibility"] == "eligible",
        }
        for node in await api.nodes()
    ]
    return {"parts": found, "nodes": nodes}


def recorded(c: Connection) -> Json:
    """What the records know: who lives, who holds what, which jobs there are."""
    from scheduler.records.node_trust import revoked_nodes
    from scheduler.supervisor.agents.enrolment import DEPARTED, DRAINING

    now, revoked = c.now(), revoked_nodes(c)
    return {
        "nodes": [
            {
                "node": row["name"], "heard_ms_ago": now - row["seen"], "departed": row["departed"] == DEPARTED,
                "draining": row["departed"] == DRAINING,
                "revoked": row["name"] in revoked,
            }
            for row in c.all("cluster_nodes", after=now - REMEMBER_MS)
        ],
        "supervisors": [
            {
                "supervisor": row["id"], "url": row["url"], "jobs": row["jobs"], "heard_ms_ago": now - row["heard"],
                "trouble": row["trouble"],
            }
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
    if not found["parts"]:
        yield "Nomad was not asked" if not os.environ.get("NOMAD_ADDR") else "nothing is known of Nomad"
    for part in found["parts"]:
        yield f"{part['job']:20} {part['healthy']} of {part['wanted']} healthy" + "".join(
            f"; {t}" for t in part["troubles"]
        )
    yield from table("node", ("node", "status", "eligible", "agent", "last heard", "tasks"), [
        (n["node"], n["status"] or "-", yes(n["eligible"]), n["agent"], ago(n["heard_ms_ago"]), n["tasks"])
        for n in found["nodes"]
    ])  # fmt: skip
    yield from table("supervisor", ("supervisor", "url", "jobs", "last heartbeat"), [
        (s["supervisor"], s["url"], s["jobs"], ago(s["heard_ms_ago"])) for s in found["supervisors"]
    ])  # fmt: skip
    yield from table("job", ("job", "owner", "supervisor", "phase", "tasks", "finished", "waiting"), [
        (j["job"], j["owner"], j["supervisor"] or "none", j["phase"], j["tasks"], j["finished"], j["waiting"] or "")
        for j in found["jobs"]
    ])  # fmt: skip


def yes(true: bool | None) -> str:
    return "-" if true is None else "yes" if true else "no"


def ago(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:.1f} s ago"


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
