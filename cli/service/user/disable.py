"""remora user disable: shut an account out."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import change, end_jobs_option, tell_of_jobs, with_records


@click.command("disable", cls=Plain)
@click.argument("login")
def command(login: str, end_jobs: bool, state_dir: Path | None) -> None:
    """Shut the account LOGIN out, until remora user enable: its keys, tokens and presigned URLs open nothing.

    It keeps its keys, objects and jobs, and whatever lies in /LOGIN/public can still be read. Jobs go on, but their
    tasks can ask the service for nothing; how many there are is said, and --end-jobs cancels them.

    \b
    Examples:
      remora user disable jill
      remora user disable jill --end-jobs

    Exit status: 0, or 1 if there is no such account, or something else is wrong.
    """
    from scheduler.records import accounts
    from scheduler.records.database import Connection
    from scheduler.service import administration

    def work(c: Connection) -> tuple[int, int]:
        accounts.disable(c, login)
        return administration.settle_jobs(c, login, end_jobs)

    tell_of_jobs(login, *change(state_dir, work, "account disabled", account=login))


with_records(command, end_jobs_option())
