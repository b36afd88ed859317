"""mjob watch: wait until jobs are done (mjob wait is the same)."""

from __future__ import annotations

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Command
from cli.jobs.common import ids, ignored_parallel_option, job_argument, jobs


@click.command("watch", cls=Command)
@ignored_parallel_option
@click.option("--json", "as_json", is_flag=True, help="One line per job instead of indented JSON.")
@job_argument
def command(job: tuple[str, ...], as_json: bool) -> None:
    """Wait until jobs are done, then print the final status of each.

    On a terminal a line shows how they get on, and the first error is shown when it happens. A restart of the
    service is waited for, up to a minute. Ctrl-C stops watching; the jobs go on.

    \b
    Examples:
      mjob watch last && mjob cat last
      mjob list -s running | xargs -r mjob watch    wait for all that runs

    Exit status: 0 if all jobs ended well; 1 if any had errors or was cancelled, as with mjob create -w.
    """
    from cli.jobs.follow import outcome
    from cli.jobs.follow.wait import Watcher

    failed: list[Problem] = []
    with jobs() as mine:
        for one in ids(mine, job):
            status = Watcher(mine, one).run()
            print(text.compact(status) if as_json else text.indented(status), flush=True)
            try:
                outcome.check(mine, one, status)
            except outcome.Failed as problem:
                failed.append(problem)
    if failed:
        raise Problem("\n".join(problem.message for problem in failed))
