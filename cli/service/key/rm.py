"""remora key rm: take a key from an account."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain, note
from cli.service.administering import change, with_records


@click.command("rm", cls=Plain)
@click.argument("login")
@click.argument("fingerprint")
def command(login: str, fingerprint: str, state_dir: Path | None) -> None:
    """Take the key with this FINGERPRINT, MD5 or SHA256, from the account LOGIN.

    The next request that it signs is refused. Jobs that were created with it go on: they act as the account. So do
    tokens (POST /LOGIN/tokens), for a week at most.

    \b
    Examples:
      remora key rm jill c1:3a:35:…
      remora key rm jill SHA256:jjC4bx…
    """
    from scheduler.records import accounts
    from scheduler.records.database import Connection

    def work(c: Connection) -> int:
        accounts.remove_key(c, login, fingerprint)
        return len(accounts.list_keys(c, login))

    if not change(state_dir, work):
        note(f"{login} has no key any more")


with_records(command)
