"""mrjob show: one job of any account, whole."""

from __future__ import annotations

from pathlib import Path

import click

from cli import text
from cli.frame import Plain
from cli.jobs.cost import priced, summed, table
from cli.mrjob.records import recorded
from cli.service.account_options import json_option, with_store


@click.command("show", cls=Plain)
@click.argument("job")
def command(job: str, as_json: bool, objects: Path | None, state_dir: Path | None) -> None:
    """Show a job of any account: what it runs, how far it is, and what its tasks took, phase by phase.

    JOB is an id, the beginning of one, or last; archived jobs are shown from their archive. See mrjob explain for what
    it waits for and where its time went, mrerrors for its errors, mrjobreport for pictures.

    \b
    Examples:
      mrjob show 8bd3c96e
      mrjob show last --json | jq .usage
    """
    found = recorded(state_dir, objects, job)
    phases = [priced(phase, None) for phase in found.phases]
    if as_json:
        print(text.compact({"owner": found.owner, **found.status, "usage": phases}))
        return
    status = found.status
    stats = status["stats"]
    state = "cancelled" if status["cancelled"] else status["state"]
    lines = [
        ("job", f"{found.uuid} of {found.owner}" + (f', "{text.escape(status["name"])}"' if status["name"] else "")),
        ("state", state + ("" if status["inputDone"] or state != "running" else ", its input is open")),
        ("created", status["timeCreated"]),
        *(
            (name, status[key])
            for name, key in (("done", "timeDone"), ("archived", "timeArchiveDone"))
            if key in status
        ),
        ("tasks", f"{stats['tasksDone']} of {stats['tasks']}, retried {stats['retries']} times"),
        ("results", f"{text.count(stats['outputs'], 'output')}, {text.count(stats['errors'], 'error')}"),
    ]
    for name, value in lines:
        print(f"{name:9}{value}")
    for number, phase in enumerate(status["phases"]):
        print(f"phase {number}  {phase['type']}  {text.escape(text.shortened(phase['exec'], 100))}")
    print()
    print(table([*phases, summed(phases)], False), end="")


with_store(command, json_option())
