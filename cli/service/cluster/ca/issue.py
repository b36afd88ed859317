"""remora cluster ca issue: make keys and certificates of nodes."""

from __future__ import annotations

from pathlib import Path

import click

from cli.client.problem import Problem
from cli.frame import Plain

DAYS = 365
ROLES = ("agent", "supervisor", "gateway")


@click.command("issue", cls=Plain)
@click.option("--days", type=click.IntRange(min=1), default=DAYS, show_default=True, help="How long they are good for.")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="What runs there. [default: any]")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("nodes", metavar="NODE[=NAME,...]...", nargs=-1, required=True)
def command(directory: Path, nodes: tuple[str, ...], roles: tuple[str, ...], days: int) -> None:
    """Make a new key and certificate for each NODE with the authority in DIR, and print where they are.

    NODE is the name that its agent has (--node); what follows `=` are the names and addresses at which the node is
    reached. Copy the files to the node, cert.pem, key.pem and ca.pem, and send SIGHUP to what runs there.

    \b
    Examples:
      remora cluster ca issue authority n1=10.0.0.1,n1.example n2=10.0.0.2
      remora cluster ca issue authority gw1=10.0.0.9,remora.example --role gateway
    """
    from scheduler.tls import authority
    from scheduler.tls.identity import TlsError

    try:
        for told in nodes:
            node, _, names = told.partition("=")
            print(authority.issue(directory, node, [name for name in names.split(",") if name], roles or ROLES, days))
    except TlsError as error:
        raise Problem(str(error)) from None
