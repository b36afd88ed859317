"""mjob stderr: what attempts of an operation have printed on stderr."""

from __future__ import annotations

import sys

import click

from cli.client.problem import Problem, Refused
from cli.frame import Command, note
from cli.jobs import task_names
from cli.jobs.common import complete_job, jobs, only


@click.command("stderr", cls=Command)
@click.option("--failed", is_flag=True, help="Of all attempts that have failed and whose stderr is kept.")
@click.argument("words", metavar="job [task [attempt]]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], failed: bool) -> None:
    """Print the stderr of an attempt of an operation: of the newest of a task, or of the one that is named.

    Without a task it is that of the first attempt that has failed. stderr is kept of 20 attempts, the first 5 MB of
    each, those that failed first; of an attempt that runs it is what has been printed so far.

    \b
    Examples:
      mjob stderr last
      mjob stderr last 17
      mjob stderr last 1.17.2
      mjob stderr --failed last
    """
    if failed and words[1:]:
        raise click.UsageError("--failed is about all tasks: name none", click.get_current_context())
    with jobs() as mine:
        job = only(mine, words[:1])
        if words[1:]:
            names = [task_names.attempt(mine, job, words[1:])]
        else:
            names = [str(each["id"]) for each in mine.attempts(job, state="failed", stderr="true")]
            names = names if failed else names[:1]
        if not names:
            raise Problem(f"no stderr of a failed attempt of job {job} is kept")
        for name in names:
            if failed:
                note(f"==> {name} <==")
            try:
                for piece in mine.of_attempt(job, name, "stderr"):
                    sys.stdout.buffer.write(piece)
            except Refused as error:
                if not failed:
                    raise
                note(error.message)
            sys.stdout.flush()
