"""mjob map: run a command on slices of objects, and keep all that it prints, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.frame import Command
from cli.jobs import operations
from cli.jobs.common import jobs
from scheduler.model.operations.stage import MAX_TASKS


@click.command("map", cls=Command)
@click.option(
    "--tasks",
    type=click.IntRange(1, MAX_TASKS),
    metavar="N",
    help="Cut the input into exactly N tasks, if it has N lines.",
)
@click.option("--slice", "size", type=operations.Size(), metavar="SIZE",
              help="Cut it into tasks of about SIZE bytes. [default: 256M]")  # fmt: skip
@click.option("--per-object", is_flag=True, help="A task for each object, which it has as a file, too.")
@click.option("--ordered", is_flag=True, help="Keep what tasks print in the order of the input, as is done anyway.")
@operations.output_options
@operations.script_options
@operations.run_options
@click.argument("command", metavar="CMD")
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
def command(
    command: str,
    inputs: Sequence[str],
    tasks: int | None,
    size: int | None,
    per_object: bool,
    ordered: bool,
    **options: Any,
) -> None:
    """Run CMD on slices of the inputs, wait, and keep what it prints: in an object, a set of parts, or on stdout.

    The inputs are taken one after another, as cat would, and cut at line ends into slices of about the same size, each
    the standard input of one task. A slice may be a part of an object, or reach over many. What the tasks print is put
    together in the order of the input, and all of it appears at once when the last task has ended: before that, and if
    anything fails, there is nothing.

    INPUT is an object, or a directory that ends in a slash: all objects in it, but hidden ones. Without INPUT the names
    are read from stdin. The inputs are read as they are now, whatever happens to their names meanwhile. Compressed
    objects (.gz and the like) are never cut.

    A task whose command fails is run again. When ten attempts have failed the operation fails, with nothing published;
    --max-failed and --keep-going change that.

    \b
    Examples:
      mjob map 'grep -h ERROR || true' ~~/stor/logs/            all errors, printed
      mjob map -o ~~/stor/upper.txt 'tr a-z A-Z' ~~/stor/lear.txt
      mjob map --tasks 100 -o ~~/stor/counts/ 'wc -l' ~~/stor/logs/
      mfind -t o -n '\\.log$' ~~/stor | mjob map --per-object -o ~~/stor/sums/ md5sum
      mjob map --dry-run --slice 64M 'sort | uniq -c' ~~/stor/logs/

    CMD runs by bash -c, with MANTA_TASK_NUMBER (from 0), MANTA_ATTEMPT (from 1) and MANTA_JOB_TYPE in its environment.

    Exit status: 0; 1 if the operation failed or was aborted. 130 if you stop waiting with Ctrl-C; the job goes on.
    """
    if per_object and (tasks or size):
        raise click.UsageError("--per-object does not cut: leave --tasks and --slice out", click.get_current_context())
    if tasks and size:
        raise click.UsageError("--tasks and --slice both say how to cut: say one", click.get_current_context())
    with jobs() as mine:
        home = mine.session.settings.home
        run = operations.taken(options, home)
        spec = operations.script_of(command, options, home)
        given = {"task_count": tasks, "task_size": size, "per_object": per_object, "ordered": ordered}
        spec |= {key: value for key, value in given.items() if value}
        operations.perform(mine, "map", spec, inputs, run)
