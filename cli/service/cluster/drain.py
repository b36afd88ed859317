"""remora cluster drain: take a node out of use, and wait until nothing runs there."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.service.cluster import records
from cli.service.cluster.common import ask_nomad, in_namespace
from cli.service.database import with_database_options

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi
    from scheduler.records.database import Connection

Json = dict[str, Any]
LOOK_SECONDS = 0.5
MARGIN_SECONDS = 60
LIVE = ("pending", "running")


@click.command("drain", cls=Plain)
@click.option("--deadline", type=click.IntRange(min=1), default=600, show_default=True, metavar="SECONDS",
              help="What still runs then is ended; its tasks run elsewhere.")  # fmt: skip
@click.option("--end", is_flag=True, help="Take the node into use again instead.")
@with_database_options("The records. [default: $REMORA_DATABASE, or what Nomad's variable says]")
@in_namespace
@click.option("--json", "as_json", is_flag=True, help="Tell the outcome as one JSON object.")
@click.argument("node")
def command(node: str, deadline: int, end: bool, database: str | None, namespace: str | None, as_json: bool) -> None:
    """Drain NODE (a name or an id of Nomad's): nothing new is placed there, and what runs may end.

    Returns when its agent holds no task and no instance. The agent itself stays, because it may have intermediates
    that running jobs still need: the last line says how many. A node that is switched off before they are used costs
    these jobs the time to make them again, and nothing else.

    \b
    Examples:
      remora cluster drain n3
      remora cluster drain n3 --deadline 30
      remora cluster drain n3 --end
    """

    async def work(api: NomadApi) -> Json:
        found = await find(api, node)
        if end:
            await api.drain(found["ID"], 0)
            return {"node": found["Name"], "drained": False}
        url = await records.database_url(api, database)
        await api.drain(found["ID"], deadline)
        blobs = await wait_until_empty(api, found, url, deadline + MARGIN_SECONDS)
        return {"node": found["Name"], "drained": True, "intermediates": blobs}

    outcome = ask_nomad(work, namespace)
    if as_json:
        print(text.compact(outcome))
    elif end:
        print(f"{outcome['node']} is in use again")
    else:
        print(f"{outcome['node']} holds no task; {outcome['intermediates']} intermediates there are still needed")


async def find(api: NomadApi, wanted: str) -> Json:
    """The one node of this name, or whose id begins so. Raises `Problem`."""
    nodes = await api.nodes()
    found = [node for node in nodes if node["Name"] == wanted] or [
        node for node in nodes if len(wanted) >= 4 and node["ID"].startswith(wanted)
    ]
    if len(found) != 1:
        names = ", ".join(sorted(node["Name"] for node in nodes)) or "none at all"
        why = "no node" if not found else f"{len(found)} nodes"
        raise Problem(f"Nomad knows {why} by the name of {wanted!r}; there are {names}")
    return found[0]


async def wait_until_empty(api: NomadApi, node: Json, url: str, seconds: float) -> int:
    """Wait until the node's agent holds nothing; how many intermediates lie there that are needed. Raises `Problem`."""
    from scheduler.nomad.job_documents import PREFIX

    def held(c: Connection) -> tuple[int, int]:
        tasks, blobs = c.one("held_at", node=node["Name"]), c.one("lie_at", node=node["Name"])
        assert tasks and blobs
        return int(tasks["tasks"]), int(blobs["blobs"])

    limit = time.monotonic() + seconds
    told = ""
    while True:
        tasks, blobs = await records.look(url, held)
        placed = [a for a in await api.node_allocations(node["ID"]) if a["JobID"].startswith(PREFIX)]
        instances = sum(a["ClientStatus"] in LIVE for a in placed)
        if (line := f"{node['Name']}: {tasks} tasks, {instances} instances") != told:
            note(line)
            told = line
        if not tasks and not instances:
            return blobs
        if time.monotonic() > limit:
            raise Problem(f"{node['Name']} is not empty after {seconds:.0f} s: {tasks} tasks, {instances} instances")
        await asyncio.sleep(LOOK_SECONDS)
