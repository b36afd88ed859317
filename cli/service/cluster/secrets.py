"""The secrets of a cluster, kept in Nomad's variables.

Each job reads one variable, `nomad/jobs/<job>`, which Nomad lets its tasks read and no others'.
So a secret that two jobs share is in two variables, and they must be the same there: whatever is
there already is taken, what is missing is made, and two that differ are an error that names them.

    database       supervisor, gateway           where the records are, with the password
    token_secret   supervisor, gateway           signs the tokens of clients and tasks
    agent_key      supervisor, gateway, agent    proves nodes' names; agents are only given what is made of it

A task reads its variable when it starts. A changed variable therefore changes nothing by itself; the job carries the
variable's modify index (`STAMP`), so a deploy finds the job changed, and Nomad exchanges its tasks one after the other.

While the agents' key is replaced (`rotate_key`) it has two lines, the new one first; the agents' job has the first
alone, which credentials are made of.

Nomad gives a variable to a job, not to a node: root on any node can read what the agents' job may read, and make
the credential of every node of the key there. Where each node has a file with its own credential (the variable
`credential` of the job files), the agents' job is not given the key.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem
from cli.service.cluster.jobfiles import JOBS, job_id

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi

READERS = {
    "database": ("supervisor", "gateway"),
    "token_secret": ("supervisor", "gateway"),
    "agent_key": ("supervisor", "gateway", "agent"),
}
# What the agents' variable says instead: their job waits until it is there.
KEYLESS = {"agent_key": ""}
BYTES = 32
KEY = "agent_key"
# In a job's meta: the modify index of its variable.
STAMP = "remora_variable"
Json = dict[str, Any]
Kept = dict[str, dict[str, str]]  # by job, by name


def path(job: str) -> str:
    return f"nomad/jobs/{job_id(job)}"


async def kept(api: NomadApi, job: str) -> dict[str, str]:
    """The items of a job's variable; none if there is none."""
    from scheduler.nomad.api import MissingError

    try:
        return (await api.variable(path(job))).items
    except MissingError:
        return {}


async def stamped(api: NomadApi, job: str, document: Json) -> Json:
    """A job's document with the modify index of its variable."""
    from scheduler.nomad.api import MissingError

    try:
        index = (await api.variable(path(job))).index
    except MissingError:
        index = 0
    return {**document, "Meta": {**(document.get("Meta") or {}), STAMP: str(index)}}


async def provide(
    api: NomadApi, database: str | None, credentials: bool = False, check: Callable[[str], None] = lambda url: None
) -> list[str]:
    """See to it that every job has its secrets; the paths that were written. Raises `Problem`.

    `database`: where the records are, if the operator said so now, or else as before; `check` raises `Problem` if they
    are not there. `credentials`: nodes have theirs already.
    """
    found = {job: await kept(api, job) for job in JOBS}
    wanted = decide(found, {"database": database} if database else {}, credentials)
    await asyncio.to_thread(check, wanted["supervisor"]["database"])
    written = []
    for job, items in wanted.items():
        if items != found[job]:
            await api.put_variable(path(job), items)
            written.append(path(job))
    return written


def decide(found: Mapping[str, Mapping[str, str]], told: Mapping[str, str], credentials: bool = False) -> Kept:
    """What each job's variable should hold, of what is there and what the operator said. Raises `Problem`.

    `credentials`: nodes have theirs already, so the agents' job is not given the key.
    """
    wanted = {job: dict(items) for job, items in found.items()}
    for name, readers in READERS.items():
        value = told.get(name) or shared(name, found)
        if not value and name == "database":
            raise Problem(
                "where are the records? Say once --database-file FILE, or set REMORA_DATABASE, with postgresql://USER:PASSWORD@HOST/NAME"
            )
        for reader in readers:
            wanted[reader][name] = value = value or new()
    wanted["agent"] |= KEYLESS if credentials else {KEY: signing(wanted["agent"][KEY])}
    return wanted


def shared(name: str, found: Mapping[str, Mapping[str, str]]) -> str | None:
    """A secret that is kept already, if all that keep it agree. Raises `Problem`."""
    values = {job: found[job][name] for job in READERS[name] if found[job].get(name)}
    if len({signing(value) if name == KEY else value for value in values.values()}) > 1:
        mend = "`remora cluster rotate-key` goes on with a replacement" if name == KEY else "make them the same"
        raise Problem(f"{name} differs between {' and '.join(path(job) for job in values)}: {mend}")
    return next(iter(values.values()), None)


def new() -> str:
    """A new random secret."""
    return secrets.token_hex(BYTES)


def signing(text: str) -> str:
    """Of a secret with several keys the one that signs."""
    from scheduler.model.credentials.secrets import keys_of

    return next(iter(keys_of(text)), "")
