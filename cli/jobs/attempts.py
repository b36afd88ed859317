"""mjob attempts: the attempts of an operation, and how each ended."""

from __future__ import annotations

import click

from cli.completion import one_of
from cli.frame import Command
from cli.jobs.common import jobs, one_job_argument, only
from cli.text import compact
from scheduler.model.operations.reasons import AbortReason

STATES = ("running", "completed", "failed", "aborted")


@click.command("attempts", cls=Command)
@click.option(
    "--state", type=click.Choice(STATES), metavar="STATE", help="Only these: running, completed, failed, aborted."
)
@click.option("--reason", metavar="REASON", shell_complete=one_of(tuple(AbortReason)),
              help="Only those that were aborted for this reason, such as node_offline.")  # fmt: skip
@one_job_argument
def command(job: tuple[str, ...], state: str | None, reason: str | None) -> None:
    """Print the attempts of an operation, one JSON object per line: task, node, state, times, and why it ended.

    An attempt that failed has a code and a message, and is counted. One that was aborted has a reason; it was not its
    command's fault, and its task was run again. stderr names the object that has what an attempt printed there.

    \b
    Examples:
      mjob attempts last --state failed | jq -r '.stderr // empty' | head -1 | xargs -r mget
      mjob attempts last | jq -r .node | sort | uniq -c
      mjob attempts last --reason node_offline
    """
    with jobs() as mine:
        only_these = {key: value for key, value in (("state", state), ("reason", reason)) if value}
        for record in mine.attempts(only(mine, job), **only_these):
            print(compact(record))
