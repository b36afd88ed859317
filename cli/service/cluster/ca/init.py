"""remora cluster ca init: make an authority."""

from __future__ import annotations

from pathlib import Path

import click

from cli.client.problem import Problem
from cli.frame import Plain

DAYS = 3650


@click.command("init", cls=Plain)
@click.option("--days", type=click.IntRange(min=1), default=DAYS, show_default=True, help="How long it is good for.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def command(directory: Path, days: int) -> None:
    """Make a certificate authority in DIR: ca.pem, which may be published, and ca.key, which stays there.

    To replace one, make another in another directory. As long as nodes have certificates of both, their ca.pem holds
    both authorities' certificates, one after the other.

    \b
    Examples:
      remora cluster ca init authority
      cat authority/ca.pem old/ca.pem >both.pem
    """
    from scheduler.tls import authority
    from scheduler.tls.identity import TlsError

    try:
        print(authority.init(directory, days))
    except TlsError as error:
        raise Problem(str(error)) from None
