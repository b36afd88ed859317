"""remora cluster deploy: bring the service up on a Nomad cluster, or up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.service.cluster import jobfiles, secrets
from cli.service.cluster.common import ask_nomad, check_version, choosing, wanted_jobs
from cli.service.database import with_database_options

if TYPE_CHECKING:
    from cli.service.cluster.watching import Progress
    from scheduler.nomad.api import NomadApi

Json = dict[str, Any]
Say = Callable[[str], None]
LOOK_SECONDS = 0.5
POLICY = "remora-supervisor"
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
    can be said again at any time.

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
    if namespace not in await api.namespaces():
        await api.make_namespace(namespace, "Remora")
        say(f"namespace {namespace}: made")
    for path in await secrets.provide(api, database, credentials):
        say(f"variable {path}: written")
    await provide_policy(api, namespace, policy, say)


async def provide_policy(api: NomadApi, namespace: str, policy: str, say: Say) -> None:
    """Let the supervisors' own tokens book instances, where Nomad asks for tokens at all."""
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
        if error.status not in (401, 403):
            raise
        applied = f"-namespace {namespace} -job {jobfiles.job_id('supervisor')} {POLICY} policies/supervisor.hcl"
        say(f"policy {POLICY}: this token may not see to it; if not done yet: nomad acl policy apply {applied}")


async def bring_up(api: NomadApi, job: str, told: str, timeout: float, say: Say) -> Json:
    """Register a job unless it is as it should be, and wait until it is healthy. Raises `Problem`."""
    from scheduler.nomad.api import ConflictError

    name = jobfiles.job_id(job)
    document = await api.parse(told)
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
    from cli.service.cluster.watching import progress

    deadline = time.monotonic() + timeout
    told = ""
    while True:
        found = await progress(api, name)
        if (line := f"{name}: {found}") != told:
            say(line)
            told = line
        if found.done:
            return found
        look = f"`nomad job status {name}` and `nomad alloc logs -stderr -job {name}` say more"
        if found.failed:
            raise Problem(f"{name} does not come up: {found.failed}; {look}")
        if time.monotonic() > deadline:
            raise Problem(f"{name} is not healthy after {timeout:.0f} s: {found}; {look}")
        await asyncio.sleep(LOOK_SECONDS)


async def gateways(api: NomadApi, scheme: str) -> list[str]:
    """The URLs of all gateways that Nomad knows."""
    name = jobfiles.job_id("gateway")
    found = await api.ask(f"list services {name}", "GET", f"/v1/service/{name}")
    return sorted(f"{scheme}://{one['Address']}:{one['Port']}" for one in found or [])
