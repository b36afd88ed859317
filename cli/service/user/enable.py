"""remora user enable: let an account in again."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import change, with_records


@click.command("enable", cls=Plain)
@click.argument("login")
def command(login: str, state_dir: Path | None) -> None:
    """Let the account LOGIN in again, which remora user disable has shut out, with the keys that it had.

    \b
    Example:
      remora user enable jill

    Exit status: 0, or 1 if there is no such account, or something else is wrong.
    """
    from scheduler.records import accounts
    from scheduler.records.database import Connection

    def work(c: Connection) -> None:
        accounts.enable(c, login)

    change(state_dir, work, "account enabled", account=login)


with_records(command)
