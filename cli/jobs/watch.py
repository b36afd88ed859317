"""mjob watch: wait until jobs are done (mjob wait is the same)."""

from __future__ import annotations

import click

from cli import text
from cli.frame import Command
from cli.jobs.common import ids, ignored_parallel_option, job_argument, jobs


@click.command("watch", cls=Command)
@ignored_parallel_option
@click.option("--json", "as_json", is_flag=True, help="One line per job instead of indented JSON.")
@job_argument
def command(job: tuple[str, ...], as_json: bool) -> None:
    """Wait until jobs are done, then print the final status of each.

    On a terminal a line shows how they get on, and the first error is shown when it happens. Ctrl-C stops watching;
    the jobs go on.

    \b
    Examples:
      mjob watch 8bd3c96e-…
      mjob list -s running | tr -d / | xargs -r mjob watch    wait for all that runs
    """
    from cli.jobs.watching import Watcher

    wanted = ids(job)
    with jobs() as mine:
        for one in wanted:
            status = Watcher(mine, one).run()
            print(text.compact(status) if as_json else text.indented(status))
