"""remora user add: add an account."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.service.account_options import change, public_key, records, with_records

if TYPE_CHECKING:
    from scheduler.records.database import Connection


@click.command("add", cls=Plain)
@click.option("--key", metavar="FILE.pub", type=click.Path(path_type=Path), help="SSH public key, - for stdin.")
@click.option("--operator", is_flag=True, help="It may read what is below any login, and cancel any job.")
@click.option("--not-isolated", is_flag=True, help="Add it though tasks of accounts are not kept from each other.")
@click.argument("login")
def command(login: str, key: Path | None, operator: bool, not_isolated: bool, state_dir: Path | None) -> None:
    """Add the account LOGIN, and print its key's fingerprint: what it says as MANTA_KEY_ID.

    Where this machine cannot keep tasks of one account from the files of another, each account can read and change all
    that the others have, and the service's own keys. So it is refused there, but with --not-isolated.

    A login begins with a letter and goes on with letters, digits and any of _ - . @ %. An account is never removed;
    without keys it can do nothing.

    \b
    Examples:
      remora user add jill --key jill.pub
      remora user add olga --operator --key jill.pub
      curl -s https://github.com/jill.keys | head -1 | remora user add jill --key -

    Exit status: 0, or 1 if there is such an account already, or something else is wrong.
    """
    from scheduler.records import accounts

    if not not_isolated:
        require_isolation(state_dir)

    line = public_key(key) if key else None

    def work(c: Connection) -> str | None:
        accounts.create(c, login, time.time_ns() // 1_000_000)
        if operator:
            accounts.set_operator(c, login, True)
        return accounts.add_key(c, login, line).md5 if line else None

    if fingerprint := change(
        state_dir, work, "account added", lambda key: {"key": key}, account=login, operator=operator or None
    ):
        print(fingerprint)
    else:
        note(f"{login} has no key yet: remora key add {login} FILE.pub")


def require_isolation(state_dir: Path | None) -> None:
    """Raises Problem where the service's last start found that tasks are not kept apart. A cluster's nodes log it."""
    from scheduler.providers.isolation import recorded, sentences

    place = records(state_dir)
    isolation = recorded(place) if isinstance(place, Path) else None
    if isolation is not None and not isolation.separates_accounts:
        raise Problem(f"{sentences(isolation)[0]} (say --not-isolated if that is meant)")


with_records(command)
