"""remora user show: what an account is, has, and uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.frame import Plain
from cli.service.account_options import json_option, look, with_records
from cli.service.limits import in_cell
from cli.service.retention import shown

if TYPE_CHECKING:
    from scheduler.records.database import Connection


@click.command("show", cls=Plain)
@click.argument("login")
def command(login: str, as_json: bool, state_dir: Path | None) -> None:
    """Show an account: its keys, what was set for it, what it stores, its jobs that go on, and its limits.

    \b
    Examples:
      remora user show jill
      remora user show jill --json | jq .bytes

    Exit status: 0, or 1 if there is no such account, or something else is wrong.
    """
    found = look(state_dir, lambda c: described(c, login))
    if as_json:
        print(text.compact(found))
        return
    for name, value in in_words(found):
        print(f"{name:20}{value}")


def described(c: Connection, login: str) -> dict[str, Any]:
    """The account as JSON: what is not set is left out."""
    from scheduler.model.dates import iso
    from scheduler.model.limits import as_words
    from scheduler.records import accounts

    account = accounts.show(c, login)
    stored = accounts.stored_of(c, login)
    return {
        "login": login,
        "created": iso(account["created"]),
        "operator": bool(account["operator"]),
        **({"disabled": iso(account["disabled"])} if account["disabled"] else {}),
        **({} if account["keep_jobs"] is None else {"keepJobs": account["keep_jobs"]}),
        "keys": list(accounts.list_keys(c, login)),
        "objects": stored.objects,
        "bytes": stored.bytes,
        "liveJobs": len(c.all("live_jobs_of_owner", owner=login, key=None)),
        "limits": as_words(accounts.limits_of(c, login)),
    }


def in_words(found: dict[str, Any]) -> list[tuple[str, str]]:
    state = f"disabled since {found['disabled']}" if "disabled" in found else "active"
    kept = shown(found["keepJobs"]) if "keepJobs" in found else "as the service does"
    return [
        ("login", found["login"] + (" (operator)" if found["operator"] else "")),
        ("state", state),
        ("created", found["created"]),
        ("keys", ", ".join(found["keys"]) or "none"),
        ("stores", f"{text.count(found['objects'], 'object')}, {text.human_size(found['bytes'])} bytes"),
        ("jobs", f"{text.count(found['liveJobs'], 'job')} going on; kept: {kept}"),
        *((f"limit {name}", in_cell(name, value)) for name, value in found["limits"].items()),
    ]


with_records(command, json_option())
