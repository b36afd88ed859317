"""remora cancel: end jobs of any account."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.frame import FAILED, Plain, note, say
from cli.service.account_options import change, with_records


@click.command("cancel", cls=Plain)
@click.argument("job", metavar="JOB...", nargs=-1, required=True)
def command(job: tuple[str, ...], state_dir: Path | None) -> None:
    """Cancel jobs of any account: none of their tasks counts from now on; those that run end within seconds.

    A job is named by its id, the beginning of it (4 characters), or last. What it has made until now stays.

    \b
    Examples:
      remora cancel 8bd3c96e
      remora jobs -a bob --ids | xargs -r remora cancel

    Exit status: 0, or 1 if one of them could not be cancelled; the others are.
    """
    from scheduler.service.operators import jobs

    failed = False
    for text in job:
        try:
            job_id = change(state_dir, partial(jobs.cancel, text=text), "job cancelled", lambda found: {"job": found})
            note(f"cancelled {job_id}")
        except Problem as problem:
            say(click.get_current_context(), problem)
            failed = True
    if failed:
        click.get_current_context().exit(FAILED)


with_records(command)
