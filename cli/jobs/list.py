"""mjob list: which jobs there are."""

from __future__ import annotations

import time

import click

from cli import text
from cli.frame import Command
from cli.jobs.common import jobs
from cli.output import print_name


@click.command("list", cls=Command)
@click.option("-l", "--long", "long", is_flag=True, help="Long format, with the time of creation.")
@click.option("-n", "--name", metavar="NAME", help="Only jobs of this name.")
@click.option("-s", "--state", metavar="STATE", help="Only jobs in this state: running, live or done.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(long: bool, name: str | None, state: str | None, as_json: bool) -> None:
    """Print the ids of jobs, one per line with a slash, since a job is a directory below ~~/jobs.

    \b
    Examples:
      mjob list
      mjob list -l -s running
      mjob list -n nightly | tr -d / | xargs -r mjob get
    """
    now = int(time.time() * 1000)
    with jobs() as mine:
        for entry in mine.listing(state, name):
            if as_json:
                print(text.compact(entry))
            elif long:
                date = text.short_date(entry["mtime"], now, pad=False)
                print_name(f"drwxr-xr-x 1 {mine.account} 1 {date} {entry['name']}")
            else:
                print_name(entry["name"] + "/")
