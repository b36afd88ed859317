"""mjob reduce: a command on the lines of inputs that are sorted, by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli.client.problem import Problem
from cli.completion import remote_path
from cli.frame import Command
from cli.jobs import operations
from cli.jobs.common import jobs
from scheduler.model.operations.stage import MAX_PARTITIONS


@click.command("reduce", cls=Command)
@click.option("--reduce-by", "--by", "reduce_by", metavar="KEYDEF", multiple=True,
              help="A key by which lines meet, as of sort: 1,1. Repeatable. [default: the whole line]")  # fmt: skip
@click.option("--sort-by", "sort_by", metavar="KEYDEF", multiple=True,
              help="Keys by which the inputs are sorted; they begin with those of --reduce-by.")  # fmt: skip
@click.option("-t", "--field-separator", "separator", metavar="SEP", help="The byte between fields.")
@click.option("--tasks", type=click.IntRange(1, MAX_PARTITIONS), metavar="N", help="Cut the keys into about N tasks.")
@click.option("--slice", "size", type=operations.Size(), metavar="SIZE",
              help="Cut them into tasks of about SIZE bytes. [default: 256M]")  # fmt: skip
@click.option("--pivots", type=click.Path(path_type=Path), metavar="FILE",
              help="Cut them at the lines of FILE, which are sorted.")  # fmt: skip
@click.option("--join", "foreign", metavar="PATH", multiple=True, shell_complete=remote_path,
              help="A dictionary that is sorted by --join-by, or a directory of such. Repeatable.")  # fmt: skip
@click.option("--join-by", "join_by", metavar="KEYDEF", multiple=True,
              help="A key of dictionaries; these are the first ones of --reduce-by.")  # fmt: skip
@click.option("--sorted-output", is_flag=True, help="What is printed must be sorted by --reduce-by, too.")
@operations.output_options
@operations.script_options
@operations.run_options
@click.argument("command_", metavar="CMD")
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
def command(
    command_: str,
    inputs: Sequence[str],
    reduce_by: Sequence[str],
    sort_by: Sequence[str],
    separator: str | None,
    tasks: int | None,
    size: int | None,
    pivots: Path | None,
    foreign: Sequence[str],
    join_by: Sequence[str],
    sorted_output: bool,
    **options: Any,
) -> None:
    """Run a command on inputs that are sorted, merged: all lines with one key in one task, one after another.

    The keys are cut into ranges, and a task reads its range of each input, merged; lines with equal keys come in the
    order of the inputs. No byte is sorted or read twice, as mjob mapreduce would. An input that is not sorted ends the
    operation, which says where. mjob sort and --sorted-output make inputs.

    --join adds dictionaries: each task gets their lines with the keys of its own lines, before these. Lines begin with
    a number and a tab then: 0, or which dictionary it is, from 1.

    Failures and outputs are those of mjob map.

    \b
    Examples:
      mjob reduce --reduce-by 1,1 'cut -d" " -f1 | uniq -c' ~~/stor/january/ ~~/stor/february/
      mjob reduce --reduce-by 1,1 --sort-by 1,1 --sort-by 2,2n 'msort -suk1,1' -o ~~/stor/first/ ~~/stor/set/
      mjob reduce -t/ --reduce-by 1,1 --pivots borders 'uniq -c' ~~/stor/set/
      mjob reduce --reduce-by 1,1 --join ~~/stor/a --join-by 1,1 'grep ^0 | cut -f2-' ~~/stor/january/

    Exit status: 0; 1 if the operation failed or was aborted. 130 if you stop waiting with Ctrl-C; the job goes on.
    """
    if pivots and (tasks or size):
        raise click.UsageError("--pivots cuts: leave --tasks and --slice out", click.get_current_context())
    with jobs() as mine:
        home = mine.session.settings.home
        run = operations.taken(options, home)
        given = {
            "reduce_by": list(reduce_by),
            "sort_by": list(sort_by),
            "separator": separator,
            "task_count": tasks,
            "task_size": size,
            "pivot_keys": lines_of(pivots) if pivots else None,
            "foreign": [operations.named(path, home) for path in foreign],
            "join_by": list(join_by),
            "sorted_output": sorted_output,
        }
        spec = operations.script_of(command_, options, home)
        spec |= {key: value for key, value in given.items() if value}
        operations.perform(mine, "reduce", spec, inputs, run)


def lines_of(path: Path) -> list[str]:
    """The lines of a file. Raises `Problem`."""
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
