"""remora cluster deploy: bring the service up on a Nomad cluster, or up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.service.cluster import jobfiles, records, secrets
from cli.service.cluster.common import ask_nomad, check_version, choosing, wanted_jobs
from cli.service.database import with_database_options

if TYPE_CHECKING:
    from cli.service.cluster.watching import Progress
    from scheduler.nomad.api import NomadApi
    from scheduler.records.database import Connection

Json = dict[str, Any]
Say = Callable[[str], None]
LOOK_SECONDS = 0.5
FORBIDDEN = (401, 403)
POLICY = "remora-supervisor"
# Seconds for which supervisors may have trouble with Nomad before it counts: they have just started.
PATIENCE_SECONDS = 15.0
OVERSUBSCRIPTION = "nomad operator scheduler set-config -memory-oversubscription=true"


@click.command("deploy", cls=Plain)
@choosing
@with_database_options("PostgreSQL, for the records. Said once: Nomad keeps it. [default: $REMORA_DATABASE]")
@click.option("--timeout", type=click.IntRange(min=1), default=300, show_default=True, metavar="SECONDS",
              help="Give up on a job that is not healthy by then.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Tell the outcome as one JSON object.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
def command(
    jobs: tuple[str, ...],
    files: tuple[Path, ...],
    words: tuple[str, ...],
    directory: Path | None,
    database: str | None,
    timeout: int,
    as_json: bool,
) -> None:
    """Register the jobs supervisor, gateway and agent (or those named), in this order, waiting until each is healthy.

    What is missing is made first: the namespace, the secrets in Nomad's variables (what is there stays), and, where
    Nomad asks for tokens, the policy that lets supervisors book instances. What is right already is left alone, so it
    can be said again at any time. A database is connected to before its address is kept, and a changed secret
    exchanges the processes that read it one after the other.

    \b
    Examples:
      remora cluster deploy --var-file site.hcl --database-file /etc/remora/database
      remora cluster deploy --var-file site.hcl
      remora cluster deploy gateway --var gateways=3

    Exit status: 0 if all is healthy, else 1.
    """
    chosen = jobfiles.choices(files, words, directory)
    texts = jobfiles.rendered(wanted_jobs(jobs), chosen, directory)
    namespace = str(chosen["namespace"])
    policy = jobfiles.policy("supervisor", namespace, directory)
    if database:
        check_url(database)

    async def work(api: NomadApi) -> Json:
        await prepare(api, namespace, policy, database, bool(chosen.get("credential")), note)
        done = [await bring_up(api, job, told, timeout, note) for job, told in texts.items()]
        if "supervisor" in texts:
            await require_reservations(api, f"-namespace {namespace}")
        return {"jobs": done, "gateways": await gateways(api, "https" if chosen["tls"] else "http")}

    outcome = ask_nomad(work, namespace)
    if as_json:
        print(text.compact(outcome))
    else:
        for url in outcome["gateways"]:
            print(url)


def check_url(database: str) -> None:
    if not database.startswith(("postgresql://", "postgres://")):
        raise Problem(
            "the address of the database is postgresql://USER:PASSWORD@HOST/NAME: several nodes cannot share a file"
        )


async def prepare(
    api: NomadApi, namespace: str, policy: str, database: str | None, credentials: bool, say: Say
) -> None:
    """All that the jobs take for granted. `credentials`: nodes have theirs already. Raises `Problem`."""
    await check_version(api)
    settings = await api.ask("show the scheduler's settings", "GET", "/v1/operator/scheduler/configuration")
    if not settings["SchedulerConfig"]["MemoryOversubscriptionEnabled"]:
        raise Problem(f"agents need memory that Nomad does not count: allow that by `{OVERSUBSCRIPTION}`")
    await provide_namespace(api, namespace, say)
    for path in await secrets.provide(api, database, credentials, partial(records.check, say=say)):
        say(f"variable {path}: written")
    await provide_policy(api, namespace, policy, say)


async def provide_namespace(api: NomadApi, namespace: str, say: Say) -> None:
    from scheduler.nomad.api import NomadError

    if namespace in await api.namespaces():
        return
    try:
        await api.make_namespace(namespace, "Remora")
    except NomadError as error:
        if error.status not in FORBIDDEN:
            raise
        raise Problem(
            f"there is no namespace {namespace}, or this token may not see it; to make it takes a management token: "
            f"nomad namespace apply {namespace}"
        ) from None
    say(f"namespace {namespace}: made")


async def provide_policy(api: NomadApi, namespace: str, policy: str, say: Say) -> None:
    """Let the supervisors' own tokens book instances, where Nomad asks for tokens at all.

    A token that may not see to it is no error: whether supervisors can book is found once they run.
    """
    from scheduler.nomad.api import MissingError, NomadError

    about = await api.ask("show its settings", "GET", "/v1/agent/self")
    if not about["config"]["ACL"]["Enabled"]:
        return
    wanted = {
        "Name": POLICY,
        "Description": "What Remora's supervisors may do",
        "Rules": policy,
        "JobACL": {"Namespace": namespace, "JobID": jobfiles.job_id("supervisor")},
    }
    path = f"/v1/acl/policy/{POLICY}"
    try:
        try:
            found = await api.ask("show the policy", "GET", path)
        except MissingError:
            found = {}
        if any(found.get(name) != wanted[name] for name in ("Rules", "Description")):
            await api.ask("write the policy", "POST", path, wanted)
            say(f"policy {POLICY}: written")
    except NomadError as error:
        if error.status not in FORBIDDEN:
            raise


async def bring_up(api: NomadApi, job: str, told: str, timeout: float, say: Say) -> Json:
    """Register a job file unless it is as it should be, and wait until the job is healthy. Raises `Problem`."""
    return await register(api, job, await api.parse(told), timeout, say)


async def register(api: NomadApi, job: str, document: Json, timeout: float, say: Say) -> Json:
    """Register a job with its present secrets, unless it is so already, and wait for its health. Raises `Problem`."""
    from scheduler.nomad.api import ConflictError

    name = jobfiles.job_id(job)
    document = await secrets.stamped(api, job, document)
    plan = await api.plan({"Job": document})
    change = str((plan.get("Diff") or {}).get("Type", "None"))
    if change != "None":
        say(f"{name}: {'new' if change == 'Added' else 'changed'}")
        condition = {"EnforceIndex": True, "JobModifyIndex": plan.get("JobModifyIndex", 0)}
        try:
            await api.register({"Job": document, **condition})
        except ConflictError:
            raise Problem(f"{name} was changed by another process at the same time: look, and deploy again") from None
    found = await wait_until_healthy(api, name, timeout, say)
    return {"job": name, "changed": change != "None", "wanted": found.wanted, "healthy": found.healthy}


async def wait_until_healthy(api: NomadApi, name: str, timeout: float, say: Say) -> Progress:
    """Tell how a job comes up. Raises `Problem` if Nomad gives it up, or the time is over."""
    from cli.service.cluster.watching import last_words, progress

    deadline = time.monotonic() + timeout
    told = ""
    while True:
        found = await progress(api, name)
        if (line := f"{name}: {found}") != told:
            say(line)
            told = line
        if found.done:
            return found
        late = time.monotonic() > deadline
        if found.failed or late:
            why = (
                f"does not come up: {found.failed}"
                if found.failed
                else f"is not healthy after {timeout:.0f} s: {found}"
            )
            said = await last_words(api, name)
            look = f"`nomad job status {name}` and `nomad alloc logs -stderr -job {name}` say more"
            raise Problem(f"{name} {why}; {said or look}")
        await asyncio.sleep(LOOK_SECONDS)


async def require_reservations(api: NomadApi, place: str) -> None:
    """Raises `Problem` if supervisors cannot reserve instances, which they say in the records.

    Nomad calls them healthy all the same: their policy is missing, perhaps. `place`: Nomad's option for its namespace.
    """
    url = await records.database_url(api, None)
    limit = time.monotonic() + PATIENCE_SECONDS
    while found := await records.look(url, booking_troubles):
        if time.monotonic() > limit:
            words = f"{place} -job {jobfiles.job_id('supervisor')} {POLICY} DIR/policies/supervisor.hcl"
            raise Problem(
                f"supervisors cannot reserve instances: {found[0]}; if it is for their policy, `remora cluster render "
                f"--dir DIR` writes it, and a person with a management token runs: nomad acl policy apply {words}"
            )
        await asyncio.sleep(LOOK_SECONDS)


def booking_troubles(c: Connection) -> list[str]:
    """Why supervisors cannot reserve instances; or that there is none."""
    living = c.all("cluster_supervisors")
    found = [str(row["trouble"]) for row in living if row["trouble"]]
    return found if living else ["none is alive"]


async def gateways(api: NomadApi, scheme: str) -> list[str]:
    """The URLs of all gateways that Nomad knows."""
    name = jobfiles.job_id("gateway")
    found = await api.ask(f"list services {name}", "GET", f"/v1/service/{name}")
    return sorted(f"{scheme}://{one['Address']}:{one['Port']}" for one in found or [])
