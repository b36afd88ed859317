"""mjob attempts: the attempts of an operation, and how each ended."""

from __future__ import annotations

import click

from cli.completion import one_of
from cli.frame import Command
from cli.jobs.common import jobs, one_job_argument, only
from cli.text import compact
from scheduler.model.operations.reasons import AbortReason

STATES = ("waiting", "running", "aborting", "completed", "failed", "aborted")


@click.command("attempts", cls=Command)
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only these: {', '.join(STATES)}.")
@click.option("--reason", metavar="REASON", shell_complete=one_of(tuple(AbortReason)),
              help="Only those that were aborted for this reason, such as node_offline.")  # fmt: skip
@click.option("--stage", type=click.IntRange(min=0), metavar="N", help="Only those of a stage.")
@click.option("--task", type=click.IntRange(min=0), metavar="N", help="Only those of tasks with this number.")
@click.option("--node", metavar="NAME", help="Only those on a node.")
@click.option("--with-stderr", is_flag=True, help="Only those whose stderr is kept.")
@one_job_argument
def command(
    job: tuple[str, ...],
    state: str | None,
    reason: str | None,
    stage: int | None,
    task: int | None,
    node: str | None,
    with_stderr: bool,
) -> None:
    """Print the attempts of an operation, one JSON object per line: task, node, state, times, and why it ended.

    The id of an attempt is STAGE.TASK.ATTEMPT. It is waiting until its command has run for a moment, and aborting until
    nothing is left of it. An attempt that failed has a code and a message, and is counted. One that was aborted has a
    reason; it was not its command's fault, and its task was run again. stderr names the object that has what an attempt
    printed there.

    \b
    Examples:
      mjob attempts last --state failed --with-stderr | jq -r .id | head -1
      mjob attempts last | jq -r .node | sort | uniq -c
      mjob attempts last --reason node_offline
    """
    with jobs() as mine:
        narrowing = {"state": state, "reason": reason, "stage": stage, "task": task, "node": node}
        only_these = {key: str(value) for key, value in narrowing.items() if value is not None}
        only_these |= {"stderr": "true"} if with_stderr else {}
        for record in mine.attempts(only(mine, job), **only_these):
            print(compact(record))
