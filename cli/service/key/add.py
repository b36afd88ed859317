"""remora key add: let an account use a key."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import change, public_key, with_records


@click.command("add", cls=Plain)
@click.argument("login")
@click.argument("file", metavar="FILE.pub|-", type=click.Path(path_type=Path))
def command(login: str, file: Path, state_dir: Path | None) -> None:
    """Let the account LOGIN use an SSH public key (RSA, ECDSA or Ed25519), and print its fingerprint.

    \b
    Examples:
      remora key add jill ~/.ssh/id_ed25519.pub
      ssh-add -L | head -1 | remora key add jill -
    """
    from scheduler.records import accounts

    def named(fingerprint: str) -> dict[str, object]:
        return {"key": fingerprint}

    line = public_key(file)
    print(change(state_dir, lambda c: accounts.add_key(c, login, line).md5, "key added", named, account=login))


with_records(command)
