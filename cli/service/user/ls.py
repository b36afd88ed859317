"""remora user ls: list the accounts."""

from __future__ import annotations

from pathlib import Path

import click

from cli import text
from cli.frame import Plain
from cli.service.account_options import json_option, look, with_records
from cli.service.retention import shown


@click.command("ls", cls=Plain)
def command(as_json: bool, state_dir: Path | None) -> None:
    """List the accounts: their logins, how many keys they have, and what was set: how long they keep jobs, whether
    they are operators', whether they are disabled.

    \b
    Examples:
      remora user ls
      remora user ls --json | jq -r 'select(.keys == 0).login'
    """
    from scheduler.model.dates import iso
    from scheduler.records import accounts

    for login, created, keys, keep_jobs, operator, disabled in look(state_dir, accounts.list_accounts):
        if as_json:
            kept = {} if keep_jobs is None else {"keepJobs": keep_jobs}
            kept |= {"operator": True} if operator else {}
            kept |= {"disabled": iso(disabled)} if disabled else {}
            print(text.compact({"login": login, "keys": keys, "created": iso(created), **kept}))
        else:
            kept_for = "" if keep_jobs is None else f"\tjobs kept: {shown(keep_jobs)}"
            marks = ("\toperator" if operator else "") + ("\tdisabled" if disabled else "")
            print(f"{login}\t{text.count(keys, 'key')}{kept_for}{marks}")


with_records(command, json_option())
