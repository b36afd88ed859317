"""minfo: what HEAD says of an object."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli import text
from cli.completion import remote_path
from cli.frame import Command, session
from cli.operands import each


@click.command("minfo", cls=Command)
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per path.")
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], as_json: bool) -> None:
    """Print the status line and the headers of objects or directories, without their contents.

    \b
    Examples:
      minfo ~~/stor/lear.txt
      minfo -j ~~/stor/lear.txt | jq -r .etag

    Exit status: 0 also for a path that does not exist (the status line says so), 1 if the service cannot be reached.
    """
    with session() as client:

        def show(path: str) -> None:
            reply = client.ask("HEAD", path)
            headers = reply.headers
            status, line = reply.status_code, f"HTTP/1.1 {reply.status_code} {reply.reason_phrase}"
            if as_json:
                print(text.compact({"status": line, "statusCode": status, **headers}))
            else:
                print(line)
                print("".join(f"{name}: {value}\n" for name, value in headers.items()))

        each(client, where, show)
