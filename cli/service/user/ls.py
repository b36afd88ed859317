"""remora user ls: list the accounts."""

from __future__ import annotations

from pathlib import Path

import click

from cli import text
from cli.frame import Plain
from cli.service.administering import json_option, look, with_records


@click.command("ls", cls=Plain)
def command(as_json: bool, state_dir: Path | None) -> None:
    """List the accounts: their logins and how many keys they have.

    \b
    Examples:
      remora user ls
      remora user ls --json | jq -r 'select(.keys == 0).login'
    """
    from scheduler.model.dates import iso
    from scheduler.records import accounts

    for login, created, keys in look(state_dir, accounts.list_accounts):
        if as_json:
            print(text.compact({"login": login, "keys": keys, "created": iso(created)}))
        else:
            print(f"{login}\t{text.count(keys, 'key')}")


with_records(command, json_option())
