"""remora cluster credential: print, replace and revoke the credential of a node's agent."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cli.client.problem import Problem
from cli.frame import Plain
from cli.service.cluster import records, secrets
from cli.service.cluster.common import ask_nomad, in_namespace
from cli.service.database import with_database_options

if TYPE_CHECKING:
    from scheduler.engine.credential import Trust
    from scheduler.records.database import Connection

T = TypeVar("T")
OVERLAP_MINUTES = 60


@click.command("credential", cls=Plain)
@click.option("--rotate", is_flag=True, help="Make a new one, and print that.")
@click.option("--overlap", type=click.IntRange(min=0), default=OVERLAP_MINUTES, show_default=True, metavar="MINUTES",
              help="With --rotate: so long the one before is good, too.")  # fmt: skip
@click.option("--revoke", is_flag=True, help="None of NODE's is good from now on, until it gets a new one by --rotate.")
@click.option("--ls", "listing", is_flag=True, help="Tell of every node which of its credentials is good.")
@click.option("--agent-key-file", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="Holds the agents' key. [default: $REMORA_AGENT_KEY_FILE, $REMORA_AGENT_KEY, or Nomad's "
              "variable]")  # fmt: skip
@with_database_options("The records. [default: $REMORA_DATABASE, or what Nomad's variable says]")
@in_namespace
@click.argument("node", required=False)
def command(
    node: str | None,
    rotate: bool,
    overlap: int,
    revoke: bool,
    listing: bool,
    file: Path | None,
    database: str | None,
    namespace: str | None,
) -> None:
    """Print the credential with which the agent of NODE registers: for nodes where Nomad does not start the agent.

    It is good for this node's name only. Its holder can pretend to be that node, and gets tasks, and the objects
    that these may read. So one that may be in other hands is revoked: within two seconds nothing that it proves is
    accepted, and the node's tasks run elsewhere. One that is only old is rotated: put the new one into the agent's
    --credential-file before the overlap ends; the agent reads it for each request, and no task ends. With the key
    given here and no --database, it is the node's first one.

    \b
    Examples:
      remora cluster credential n4 --agent-key-file /etc/remora/agent.key --database postgresql://remora@db/remora
      remora cluster credential n4 --rotate >n4.credential && scp n4.credential n4:/etc/remora/credential
      remora cluster credential n4 --revoke
      remora cluster credential --ls
    """
    if (node is None) != listing or rotate + revoke + listing > 1:
        raise click.UsageError("give a NODE, with one of --rotate and --revoke or neither; or --ls alone")
    if listing:
        show_all(database, namespace)
    elif revoke:
        end(str(node), database, namespace)
    else:
        give(str(node), rotate, overlap, file, database, namespace)


def give(node: str, rotate: bool, overlap: int, file: Path | None, database: str | None, namespace: str | None) -> None:
    """Print the newest credential of a node, or one that is newer still. Raises `Problem`."""
    from scheduler.records import node_trust

    told = key(file, namespace)
    if is_local(file) and not database and not rotate:
        print(issued(told, node))
        return

    def work(c: Connection) -> str:
        trust = node_trust.trust_in(c, node)
        if rotate:
            trust = node_trust.rotate(c, node, c.now() + overlap * 60_000)
        elif trust.is_revoked:
            raise Problem(f"the credentials of {node} are revoked: --rotate makes a new one")
        return issued(told, node, trust.generation)

    issued(told, node)  # a name that no node can have is refused before anything is asked
    print(with_records(work, database, namespace))


def issued(key: str, node: str, generation: int = 0) -> str:
    """Raises `Problem`."""
    from scheduler.gateway.node_credentials import issue

    try:
        return issue(key, node, generation)
    except ValueError as error:
        raise Problem(str(error)) from None


def end(node: str, database: str | None, namespace: str | None) -> None:
    from scheduler.records import node_trust

    with_records(lambda c: node_trust.revoke(c, node, c.now()), database, namespace)


def show_all(database: str | None, namespace: str | None) -> None:
    """A line for every node that was ever here, or whose credential was changed."""
    from scheduler.engine.credential import FIRST
    from scheduler.records import node_trust

    def work(c: Connection) -> tuple[int, dict[str, Trust]]:
        seen = {row["name"]: FIRST for row in c.all("list_nodes")}
        return c.now(), seen | node_trust.all_trust(c)

    now, nodes = with_records(work, database, namespace)
    for node, trust in sorted(nodes.items()):
        print(f"{node}\tgeneration {trust.generation}\t{standing(trust, now)}")


def standing(trust: Trust, now: int) -> str:
    """How a node's credentials stand, in a few words."""
    if trust.is_revoked and trust.revoked is not None:
        return f"revoked {stamp(trust.revoked)}"
    if trust.oldest < trust.generation and trust.until is not None and now < trust.until:
        return f"good; the one before until {stamp(trust.until)}"
    return "good"


def stamp(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))


def with_records(work: Callable[[Connection], T], database: str | None, namespace: str | None) -> T:
    """Run `work` in a transaction of the cluster's records. Raises `Problem`."""
    url = database or ask_nomad(lambda api: records.database_url(api, None), namespace)
    return asyncio.run(records.change(url, work))


def is_local(file: Path | None) -> bool:
    """Whether this machine says what the agents' key is, and not Nomad."""
    return file is not None or bool(os.environ.get("REMORA_AGENT_KEY_FILE") or os.environ.get("REMORA_AGENT_KEY"))


def key(file: Path | None, namespace: str | None) -> str:
    """The agents' key: of a file, the environment, or Nomad. Raises `Problem`."""
    named = os.environ.get("REMORA_AGENT_KEY_FILE")
    if file is None and not named and (given := os.environ.get("REMORA_AGENT_KEY")):
        return given.strip()
    if file is not None or named:
        path = file or Path(str(named))
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise Problem(f"cannot read the agents' key in {path}") from None
    found = ask_nomad(lambda api: secrets.kept(api, "supervisor"), namespace).get("agent_key")
    if not found:
        where = secrets.path("supervisor")
        raise Problem(f"there is no agents' key: no file was given, and Nomad has no variable {where}")
    return found
