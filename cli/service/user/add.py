"""remora user add: add an account."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import Plain, note
from cli.service.administering import change, public_key, with_records

if TYPE_CHECKING:
    from scheduler.records.database import Connection


@click.command("add", cls=Plain)
@click.option("--key", metavar="FILE.pub", type=click.Path(path_type=Path), help="SSH public key, - for stdin.")
@click.argument("login")
def command(login: str, key: Path | None, state_dir: Path | None) -> None:
    """Add the account LOGIN, and print its key's fingerprint: what it says as MANTA_KEY_ID.

    A login begins with a letter and goes on with letters, digits and any of _ - . @ %. An account is never removed;
    without keys it can do nothing.

    \b
    Examples:
      remora user add jill --key jill.pub
      curl -s https://github.com/jill.keys | head -1 | remora user add jill --key -

    Exit status: 0, or 1 if there is such an account already, or something else is wrong.
    """
    from scheduler.records import accounts

    line = public_key(key) if key else None

    def work(c: Connection) -> str | None:
        accounts.create(c, login, time.time_ns() // 1_000_000)
        return accounts.add_key(c, login, line).md5 if line else None

    if fingerprint := change(state_dir, work):
        print(fingerprint)
    else:
        note(f"{login} has no key yet: remora key add {login} FILE.pub")


with_records(command)
