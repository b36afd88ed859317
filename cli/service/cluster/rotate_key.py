"""remora cluster rotate-key: replace the key that nodes' credentials are made of, while jobs run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.service.cluster import jobfiles, secrets
from cli.service.cluster.common import ask_nomad, in_namespace
from cli.service.cluster.deploy import register

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi

# Who verifies credentials, and who has them made; in the order in which they learn of a new key.
VERIFIERS, SIGNER = ("supervisor", "gateway"), "agent"


@click.command("rotate-key", cls=Plain)
@click.option("--finish", is_flag=True, help="The old key is good no more: what was made of it proves nothing.")
@click.option("--timeout", type=click.IntRange(min=1), default=300, show_default=True, metavar="SECONDS",
              help="Give up on a job that is not healthy by then.")  # fmt: skip
@in_namespace
def command(finish: bool, timeout: int, namespace: str | None) -> None:
    """Replace the key of which the credentials of nodes are made: it may be in other hands, or old.

    It takes two steps. First a new key is made, and supervisors, gateways and agents are exchanged one after the other;
    from then on it signs, and both are good. Nodes whose credential is in a file of theirs get a new one meanwhile, by
    `remora cluster credential NODE`. Then --finish takes the old key away. A step that was interrupted goes on when it
    is said again. Jobs run on.

    \b
    Examples:
      remora cluster rotate-key --var-file site.hcl
      remora cluster credential n9 >n9.credential && scp n9.credential n9:/etc/remora/credential
      remora cluster rotate-key --var-file site.hcl --finish
    """

    async def work(api: NomadApi) -> None:
        found = {job: await secrets.kept(api, job) for job in jobfiles.JOBS}
        for job, key in steps(found, finish, secrets.new()):
            if found[job].get(secrets.KEY) != key:
                await api.put_variable(secrets.path(job), {**found[job], secrets.KEY: key})
            await register(api, job, await api.job(jobfiles.job_id(job)), timeout, note)

    ask_nomad(work, namespace)
    if not finish:
        note("both keys are good until `remora cluster rotate-key --finish`")


def steps(found: Mapping[str, Mapping[str, str]], finish: bool, new: str) -> list[tuple[str, str]]:
    """The agents' key for the variable of each job, in the order in which they get it. Raises `Problem`.

    `found`: the items of their variables; `new`: a key that is not in use, for a replacement that begins.
    """
    from scheduler.model.credentials.secrets import keys_of

    kept = {job: keys_of(found[job].get(secrets.KEY, "")) for job in jobfiles.JOBS}
    known = max((kept[job] for job in VERIFIERS), key=len)
    if not known:
        raise Problem(f"Nomad has no agents' key in {secrets.path('supervisor')}: nothing was deployed here")
    if finish:
        if kept[SIGNER] and kept[SIGNER] != known[:1]:
            raise Problem("agents have credentials of the old key: say `remora cluster rotate-key` first")
        return [(job, known[0]) for job in VERIFIERS]
    both = known if len(known) > 1 else (new, *known)
    signing = both[0] if kept[SIGNER] else ""  # "": nodes have their credentials in files
    return [*((job, "\n".join(both)) for job in VERIFIERS), (SIGNER, signing)]
