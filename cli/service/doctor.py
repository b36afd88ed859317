"""remora doctor: what this machine allows."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli import text
from cli.client.settings import state_directory
from cli.frame import Plain
from cli.service.account_options import json_option, with_state_dir


@click.command("doctor", cls=Plain)
@click.option("--containerd", metavar="SOCKET", help="Socket of the containerd to try. [default: one of our own]")
def command(as_json: bool, containerd: str | None, state_dir: Path | None) -> None:
    """Examine this machine: which instances it can have, and what each lack costs.

    \b
    Examples:
      remora doctor
      sudo remora doctor --json | jq -r 'select(.lack).subject'

    Exit status: 0 if nothing lacks, else 1.
    """
    import asyncio

    from scheduler.service.doctor import examine

    async def tell() -> bool:
        lacks = False
        async for finding in examine(state_dir or state_directory(os.environ), containerd):
            lacks = lacks or finding.lack is not None
            if as_json:
                print(text.compact({"subject": finding.subject, "found": finding.found, "lack": finding.lack}))
            else:
                print(f"{'LACK' if finding.lack else 'ok':5} {finding.subject:12} {finding.found}")
                if finding.lack:
                    print(f"{'':18} {finding.lack}")
        return lacks

    click.get_current_context().exit(1 if asyncio.run(tell()) else 0)


with_state_dir(command, json_option())
