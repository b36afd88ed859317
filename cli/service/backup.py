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
from cli.service.account_options import json_option, said_plainly, server, with_store


@click.command("backup", cls=Plain)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def command(directory: Path, as_json: bool, objects: Path | None, state_dir: Path | None) -> None:
    """Copy all that a service has to DIR: records, objects, secrets and keys. The service may run meanwhile.

    Every object that was stored before the backup began, and not deleted before its end, is in it. Objects that are
    there already are not copied again, so a second backup into the same DIR takes what is new, and drops what was
    deleted. If it is interrupted, the one before stays as it was. DIR has secrets: only you can read it.

    Records on PostgreSQL are dumped by pg_dump, as of one moment with the objects: of a service on this machine with
    --database, and of a cluster with --database and --objects, whose secrets are not part of it.

    Images (remora image) and logs are not part of it.

    \b
    Examples:
      remora backup /mnt/backup/remora
      remora restore /mnt/backup/remora --state-dir /srv/remora
      remora backup /mnt/backup/remora --database postgresql://remora@db.example/remora --objects /srv/objects

    Exit status: 0, or 1 if there is no complete backup.
    """
    from scheduler.service.operators.backup import back_up, source_of

    with said_plainly(), Meter() as meter:
        source = source_of(state_dir or state_directory(os.environ), server(), objects)
        copied = back_up(source, directory, meter.show)
    if as_json:
        print(text.compact({"directory": str(directory), **asdict(copied)}))
    else:
        new = f"{copied.blobs} new, {text.human_size(copied.bytes)} bytes"
        note(f"{directory} has {copied.objects} names with bytes ({new}); {copied.removed} were dropped")


with_store(command, json_option())
