"""remora restore: make a state directory of a backup."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli.client.settings import state_directory
from cli.frame import FAILED, Plain, note
from cli.meter import Meter
from cli.service.account_options import said_plainly, server, with_records
from cli.service.verify import tell


@click.command("restore", cls=Plain)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def command(directory: Path, state_dir: Path | None) -> None:
    """Make a new state directory of the backup DIR, and verify it. Nothing of the backup is changed.

    Then remora up --state-dir serves it: with all accounts, keys, objects and jobs, and jobs that were running go on.
    Records of a PostgreSQL server are restored into the empty database that --database names, by pg_restore.

    \b
    Examples:
      remora restore /mnt/backup/remora --state-dir /srv/remora
      remora up --state-dir /srv/remora
      remora restore /mnt/backup/remora --state-dir /srv/remora --database postgresql://remora@db.example/again

    Exit status: 0 if it was restored and nothing is wrong, else 1.
    """
    from scheduler.service.operators.backup import restore

    target = state_dir or state_directory(os.environ)
    with said_plainly(), Meter() as meter:
        summary = restore(directory, target, server(), meter.show)
    tell(summary, as_json=False, mend=True)
    if summary.findings:
        note(f"see: remora verify --state-dir {target}")
        click.get_current_context().exit(FAILED)
    note(f"start it: remora up --state-dir {target}")


with_records(command)
