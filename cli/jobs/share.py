"""mjob share: a public page about a job."""

from __future__ import annotations

import sys

import click

from cli.client.problem import Problem
from cli.frame import Command
from cli.jobs.common import check_done, jobs, one_job_argument, only
from scheduler.model import names

TYPE = {"content-type": "text/html; charset=utf-8"}


@click.command("share", cls=Command)
@click.option("-s", "--stdout", "to_stdout", is_flag=True, help="Print the page instead of storing it.")
@click.option("-r", "--readme", metavar="FILE", type=click.Path(), help="Text to begin the page with.")
@one_job_argument
def command(job: tuple[str, ...], to_stdout: bool, readme: str | None) -> None:
    """Make an HTML page about a finished job, store it below ~~/public, and print its address.

    The page shows the phases, the first inputs, outputs and errors, and the beginnings of these objects. It and
    all that it shows can be read by all who know the address: look at it with -s first.

    \b
    Examples:
      mjob share 8bd3c96e-…
      mjob share -s 8bd3c96e-… > page.html
      mjob share -r README.md 8bd3c96e-…
    """
    from cli.client import objects
    from cli.jobs import share_page

    text = read(readme) if readme else ""
    with jobs() as mine:
        wanted = only(mine, job)
        status = check_done(mine, wanted)
        if status["cancelled"]:
            raise Problem(f"job {wanted} was cancelled: there is nothing whole to share")
        if "timeArchiveDone" not in status:
            raise Problem(f"job {wanted} is not archived yet: try again in a moment")
        page = share_page.render(mine, status, text).encode("utf-8", "replace")
        if to_stdout:
            sys.stdout.buffer.write(page)
            return
        path = f"/{mine.account}/public/jobshares/{wanted}/index.html"
        objects.make_parents(mine.session, path)
        mine.session.call("PUT", path, headers=TYPE, body=page)
        print(mine.session.settings.url.rstrip("/") + names.encode(path))


def read(file: str) -> str:
    with open(file, "rb") as readme:
        return readme.read().decode("utf-8", "replace")
