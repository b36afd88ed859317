"""remora user set: what the service does for an account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import Plain
from cli.service.account_options import change, with_records
from cli.service.limits import new_limits
from cli.service.retention import Keeping

if TYPE_CHECKING:
    from scheduler.records.database import Connection


@click.command("set", cls=Plain)
@click.option("--keep-jobs", type=Keeping(default=True), metavar="TIME",
              help="How long its jobs are kept once they are done: 7d, 12h, forever; or default.")  # fmt: skip
@click.option("--limit", "words", metavar="NAME=VALUE", multiple=True,
              help="A limit: a number with a unit, none, or default. Repeatable. See remora limits.")  # fmt: skip
@click.option("--operator/--no-operator", default=None, help="Whether it may read everything and cancel any job.")
@click.argument("login")
def command(
    login: str, keep_jobs: int | None, words: tuple[str, ...], operator: bool | None, state_dir: Path | None
) -> None:
    """Set how long the account LOGIN keeps its jobs, its limits, and whether it is an operator's.

    A job that was archived longer ago than that is deleted, as mjob delete does it: its outputs below ~~/jobs, saved
    stderr and cores, the archive. What its commands named themselves stays. The service looks every ten minutes.
    With default the account goes by the service: see remora up --keep-jobs.

    \b
    Examples:
      remora user set jill --keep-jobs 7d
      remora user set jill --keep-jobs default
      remora user set jill --limit bytes=500G --limit jobs=20 --limit task-seconds=2h
      remora user set jill --operator

    Exit status: 0, or 1 if there is no such account, or something else is wrong.
    """
    from scheduler.model.limits import changed
    from scheduler.records import accounts

    if keep_jobs is None and operator is None and not words:
        raise click.UsageError("say what to set: --keep-jobs TIME", click.get_current_context())
    seconds = None if keep_jobs == Keeping.DEFAULT else keep_jobs

    def work(c: Connection) -> None:
        if keep_jobs is not None:
            accounts.keep_jobs(c, login, seconds)
        if words:
            accounts.set_limits(c, login, new_limits(accounts.show(c, login)["limits"], words, changed))
        if operator is not None:
            accounts.set_operator(c, login, operator)

    limits = " ".join(words)
    change(
        state_dir, work, "account set", account=login, keep_jobs=keep_jobs, limits=limits, operator=operator
    )  # fmt: skip


with_records(command)
