"""remora backup: copy a service's state while it runs."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from cli import text
from cli.client.settings import state_directory
from cli.frame import Plain, note
from cli.meter import Meter
from cli.service.account_options import json_option, said_plainly, with_state_dir


@click.command("backup", cls=Plain)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def command(directory: Path, as_json: bool, state_dir: Path | None) -> None:
    """Copy all that a service has to DIR: records, objects, secrets and keys. The service may run meanwhile.

    Every object that was stored before the backup began, and not deleted before its end, is in it. Objects that are
    there already are not copied again, so a second backup into the same DIR takes what is new, and drops what was
    deleted. If it is interrupted, the one before stays as it was. DIR has secrets: only you can read it.

    Images (remora image) and logs are not part of it. Of a cluster, dump the database and then copy the directory of
    objects: see docs/cluster.md.

    \b
    Examples:
      remora backup /mnt/backup/remora
      remora restore /mnt/backup/remora --state-dir /srv/remora

    Exit status: 0, or 1 if there is no complete backup.
    """
    from scheduler.service.operators.backup import back_up

    with said_plainly(), Meter() as meter:
        copied = back_up(state_dir or state_directory(os.environ), directory, meter.show)
    if as_json:
        print(text.compact({"directory": str(directory), **asdict(copied)}))
    else:
        new = f"{copied.blobs} new, {text.human_size(copied.bytes)} bytes"
        note(f"{directory} has {copied.objects} names with bytes ({new}); {copied.removed} were dropped")


with_state_dir(command, json_option())
