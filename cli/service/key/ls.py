"""remora key ls: list the keys of an account."""

from __future__ import annotations

from pathlib import Path

import click

from cli import text
from cli.frame import Plain
from cli.service.account_options import json_option, look, with_records


@click.command("ls", cls=Plain)
@click.argument("login")
def command(login: str, as_json: bool, state_dir: Path | None) -> None:
    """List the keys of the account LOGIN: both fingerprints, the kind, and the comment.

    \b
    Examples:
      remora key ls jill
      remora key ls jill --json | jq -r .md5
    """
    from scheduler.model.credentials.httpsig import PublicKey
    from scheduler.records import accounts

    for md5, line in look(state_dir, lambda c: accounts.list_keys(c, login)).items():
        key, kind = PublicKey.parse(line), line.split()[0]
        if as_json:
            print(text.compact({"md5": md5, "sha256": key.sha256, "type": kind, "comment": key.comment}))
        else:
            print("\t".join((md5, key.sha256, kind, text.escape(key.comment))).rstrip())


with_records(command, json_option())
